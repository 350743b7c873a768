# What the rules of base.smk ask of the experiment: the model, and what it is pretrained on.

BASE = EXPERIMENT.base
KNOWN = BASE.pretrain.languages if BASE.pretrain else ()


PARTS = {
    "settings": ("config.json",),
    "tokenizer": (
        "tokenizer.json",
        "*token*.json",
        "vocab.*",
        "merges.txt",
        "*.model",
    ),
    "weights": ("model.safetensors", "*.safetensors", "*.bin", "*.index.json"),
}
"""Files that may be a part of a local base, and first the one of which transformers makes that part if it is there."""


def base_folder() -> Path | None:
    """Where a local base lies; None of one on the hub, and of one that is trained here."""
    place = None if BASE.pretrain else Path(os.environ.get("DEFTX_BASE") or BASE.model)
    return place if place and place.is_dir() else None


def base_files(part: str) -> list[Path]:
    """All files that may be this part of a local base; of one on the hub there are none."""
    place = base_folder()
    found = {file for pattern in PARTS[part] for file in place.glob(pattern)} if place else set()
    return sorted(file for file in found if file.is_file())


def base_fingerprint() -> str:
    """Which model a local base is, by the files it is made of; one on the hub is known by its name and revision."""
    files = {part: base_files(part) for part in PARTS}
    first = {part: [file for file in files[part] if file.name == PARTS[part][0]] for part in PARTS}
    return fingerprint(file for part in PARTS for file in first[part] or files[part]) if not BASE.pretrain else ""
