# What the rules of base.smk ask of the experiment: the model, and what it is pretrained on.

BASE = EXPERIMENT.base
KNOWN = BASE.pretrain.languages if BASE.pretrain else ()


def base_files() -> list[Path]:
    """The files of a local base, wherever it lies; of one on the hub there are none."""
    if BASE.pretrain:
        return []
    place = Path(os.environ.get("DEFTX_BASE") or BASE.model)
    files = [place / name for name in ("config.json", "tokenizer.json", "model.safetensors")]
    return [file for file in files if file.is_file()]


def base_fingerprint() -> str:
    """Which model a local base is; one on the hub is known by its name and revision."""
    return fingerprint(base_files()) if not BASE.pretrain else ""
