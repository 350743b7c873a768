"""A base model that lies in a local folder: the files it is made of, and what tells it from another."""

import os
from pathlib import Path

from deftx.config.base import Base
from deftx.core.hashing import fingerprint

PARTS = {
    "settings": ("config.json",),
    "tokenizer": ("tokenizer.json", "*token*.json", "vocab.*", "merges.txt", "*.model"),
    "weights": ("model.safetensors", "*.safetensors", "*.bin", "*.index.json"),
}
"""Files that may be a part of a base, and first the one of which transformers makes that part if it is there."""


def folder_of(base: Base) -> Path | None:
    """Return where a local base lies; None of one on the hub, and of one that the workflow trains."""
    place = None if base.pretrain else Path(os.environ.get("DEFTX_BASE") or base.model or "")
    return place if place and place.is_dir() else None


def files_of(base: Base, part: str) -> list[Path]:
    """Return all files that may be this part of a local base; of one on the hub there are none."""
    place = folder_of(base)
    matches = {file for pattern in PARTS[part] for file in place.glob(pattern)} if place else set()
    return sorted(file for file in matches if file.is_file())


def fingerprint_of(base: Base) -> str:
    """Return which model a local base is, by the files it is made of; nothing of one that the workflow trains."""
    if base.pretrain:
        return ""
    files = {part: files_of(base, part) for part in PARTS}
    first = {part: [file for file in files[part] if file.name == PARTS[part][0]] for part in PARTS}
    return fingerprint(file for part in PARTS for file in first[part] or files[part])
