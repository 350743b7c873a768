"""Temporary storage of tensors in a file, from which they are loaded one at a time."""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from deftx.core.files import writing


class Scratch(MutableMapping[str, Tensor]):
    """Float32 tensors by name in a nameless temporary file (4 bytes per element), which is removed on closing.

    It uses plain reads and writes: a mapped file would count as memory of this process.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".scratch"
        with writing(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = TemporaryFile(dir=folder, prefix=".scratch-")  # noqa: SIM115
        self._offsets: dict[str, tuple[int, torch.Size]] = {}

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of a full disk, which was already reported
            self._file.close()

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        self._offsets[name] = self._file.seek(0, os.SEEK_END), tensor.shape
        with writing(self._path):
            self._file.write(tensor.detach().float().contiguous().numpy().data)
            self._file.flush()

    def __getitem__(self, name: str) -> Tensor:
        offset, shape = self._offsets[name]
        self._file.seek(offset)
        content = np.empty(shape, dtype=np.float32)
        self._file.readinto(content.reshape(-1).view(np.uint8).data)
        return torch.from_numpy(content)

    def __delitem__(self, name: str) -> None:
        del self._offsets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)
