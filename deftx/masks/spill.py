"""Tensors put aside in a file, read back one at a time."""

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
    """Float32 tensors by name in a nameless temporary file (4 bytes per entry) that is gone when it is closed.

    Plain reads and writes: a mapped file would count as this process' memory.
    """

    def __init__(self, folder: Path) -> None:
        self._place = folder / ".scratch"
        with writing(self._place):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = TemporaryFile(dir=folder, prefix=".scratch-")  # noqa: SIM115
        self._places: dict[str, tuple[int, torch.Size]] = {}

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of a full disk, which has been told
            self._file.close()

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        self._places[name] = self._file.seek(0, os.SEEK_END), tensor.shape
        with writing(self._place):
            self._file.write(tensor.detach().float().contiguous().numpy().data)
            self._file.flush()

    def __getitem__(self, name: str) -> Tensor:
        place, shape = self._places[name]
        self._file.seek(place)
        content = np.empty(shape, dtype=np.float32)
        self._file.readinto(content.reshape(-1).view(np.uint8).data)
        return torch.from_numpy(content)

    def __delitem__(self, name: str) -> None:
        del self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
