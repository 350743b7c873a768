"""Checkpoints of a running training: one file, replaced as a whole, gone when the training has ended.

The file's name holds a fingerprint of the job, so a checkpoint that belongs to other settings is never used.
It is not a declared output of the workflow, which deletes those before every attempt.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from deftx.files import publish


def path_for(out: Path, job: dict[str, Any]) -> Path:
    """Where the checkpoint of the job lies that will write `out`."""
    fingerprint = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
    return out.with_name(f".{out.name}.{fingerprint[:16]}.checkpoint")


def remove(out: Path) -> None:
    """Remove all checkpoints of jobs that were to write `out`, also those of settings given up since."""
    for path in out.parent.glob(f".{out.name}.*.checkpoint"):
        path.unlink(missing_ok=True)


def save(path: Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Write a checkpoint in place of the last one."""
    with publish(path) as temporary:
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={"progress": json.dumps(progress)})


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensors and progress of a checkpoint, or None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = json.loads(file.metadata()["progress"])
            return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None
