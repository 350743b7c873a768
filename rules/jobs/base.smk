# What the rules of base.smk ask of the experiment: the model, and what it is pretrained on.

BASE = EXPERIMENT.base
KNOWN = BASE.pretrain.languages if BASE.pretrain else ()


def base_fingerprint() -> str:
    """Which model a local base is, wherever it lies; one on the hub is known by its name and revision."""
    place = Path(os.environ.get("DEFTX_BASE") or BASE.model or "")
    files = [place / name for name in ("config.json", "tokenizer.json", "model.safetensors")]
    return fingerprint(file for file in files if file.is_file()) if not BASE.pretrain else ""
