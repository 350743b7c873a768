"""Checkpoints of a running training: one file, replaced as a whole, gone when the training has ended.

The file's name holds a fingerprint of the job, so a checkpoint that belongs to other settings is never used. It holds
CRC-32s of its tensors and its progress, so neither is one that has changed; SHA-256 would take several times as long,
every two minutes.
The disk holds a checkpoint before it replaces the last one, and a result before its checkpoint goes, so that a machine
that loses power loses minutes. Other results are not waited for: they notice damage, and cost less to make again.
It is not a declared output of the workflow, which deletes those before every attempt.
"""

import hashlib
import json
import logging
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from deftx.core.files import flush, publish_alone, writing

log = logging.getLogger(__name__)


def path_for(out: Path, job: dict[str, Any]) -> Path:
    """Return where the checkpoint of the job lies that will write `out`."""
    fingerprint = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
    return out.with_name(f".{out.name}.{fingerprint[:16]}.checkpoint")


def remove(out: Path, results: Iterable[Path]) -> None:
    """Remove all checkpoints of jobs that were to write `out`, also those of earlier settings.

    Args:
        results: the files that were written in their place, of which the disk is to hold all bytes before.
    Raises:
        OutputError: it cannot.
    """
    written = list(results)
    for path in dict.fromkeys([*written, *(path.parent for path in written)]):
        with writing(path):
            flush(path)
    for path in out.parent.glob(f".{out.name}.*.checkpoint"):
        path.unlink(missing_ok=True)


def save(path: Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Write a checkpoint in place of the last one."""
    with publish_alone(path) as temporary:
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        text = json.dumps({"progress": progress, "tensors": {name: _crc(t) for name, t in contiguous.items()}})
        save_file(contiguous, temporary, metadata={"progress": f"{zlib.crc32(text.encode())} {text}"})
        flush(temporary)
    with writing(path):
        flush(path.parent)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and progress of a checkpoint, or None where it is missing or corrupted."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            checked, _, text = file.metadata()["progress"].partition(" ")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stated = json.loads(text)
        if int(checked) == zlib.crc32(text.encode()) and stated["tensors"] == {n: _crc(t) for n, t in tensors.items()}:
            return tensors, stated["progress"]
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        pass
    log.warning(f"{path} is corrupted (checksum mismatch); retraining")
    return None


def _crc(tensor: Tensor) -> int:
    return zlib.crc32(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
