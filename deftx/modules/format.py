"""The container of a vector: a safetensors file that notices every change of its content.

Its one metadata entry is a JSON text that states the SHA-256 of every tensor and ends with a checksum of all before
it, so the header vouches for itself and each tensor can be checked where it is read (docs/reference/format.md). The
safetensors library writes it. It is read by plain reads at the offsets the header states: pages of a mapped file would
count as memory of the process, and hashing while reading touches every byte once.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import TensorSpec, serialize_file

from deftx.core import files, integrity
from deftx.core.errors import VectorError

FORMAT = 2
KEY = "deftx"
SEAL = ', "checksum": "'
TYPES: dict[str, np.dtype[Any]] = {
    "U8": np.dtype("u1"), "I64": np.dtype("<i8"), "F32": np.dtype("<f4"), "BF16": np.dtype("<u2"),
}  # fmt: skip
"""Types of tensors in a file, and how numpy holds them: the bits of a bf16 as uint16, for numpy has no such type."""
CODES = {dtype: code for code, dtype in TYPES.items()}
LIBRARY_NAMES = {"U8": "uint8", "I64": "int64", "F32": "float32", "BF16": "bfloat16"}
CHUNK = 1 << 20  # bytes read and hashed at once: they are still in the cache


def write(path: Path, described: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors (of the types in `TYPES`, contiguous) with their description; equal content gives equal bytes.

    Args:
        described: JSON content; the order of its keys is kept.
    Raises:
        OutputError: the disk is full, or nothing may be written there.
    """
    digests = {name: _digest(CODES[t.dtype], t.shape, t) for name, t in sorted(tensors.items())}
    body = json.dumps({**described, "tensors": digests}, ensure_ascii=False)[:-1]
    text = f'{body}{SEAL}{hashlib.sha256(body.encode()).hexdigest()}"}}'
    specs = {
        name: TensorSpec(dtype=LIBRARY_NAMES[CODES[t.dtype]], shape=t.shape, data_ptr=t.ctypes.data, data_len=t.nbytes)
        for name, t in tensors.items()
    }
    with files.publish_alone(path) as temporary:
        serialize_file(specs, temporary, metadata={KEY: text})


def damaged(path: Path, what: str) -> VectorError:
    """Return the error of a file that is not as it was written."""
    return VectorError(integrity.damaged(path, what))


@dataclass(frozen=True)
class Tensor:
    """What the header states of a tensor."""

    code: str
    """Its type, a key of `TYPES`."""
    shape: tuple[int, ...]
    start: int
    """First byte in the file."""


class Reader:
    """An open file, to be used in a `with` statement.

    `described` is what `write` was given, already checked; `tensors` what the header states, in the file's order.
    Nothing but the header is read before `read` is called.

    Raises:
        VectorError: the file is missing, cut short, changed, of another format, or not a deftx file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise VectorError(f"{path} does not exist. Check the name. {integrity.remade(path)}")
        self.path = path
        self._stream = path.open("rb", buffering=0)
        try:
            header, end = self._header()
            self.described, self._digests = _unsealed(header.pop("__metadata__", None), path)
            self.tensors = self._tensors(header, end)
        except BaseException:
            self._stream.close()
            raise
        self._checked: set[str] = set()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, name: str) -> NDArray[Any]:
        """Read a tensor into memory of its own, checked against its SHA-256 when it is read for the first time.

        Raises:
            VectorError: its bytes are not those that were written.
        """
        tensor = self.tensors[name]
        array = np.empty(tensor.shape, TYPES[tensor.code])
        content = array.reshape(-1).view(np.uint8).data
        digest = None if name in self._checked else hashlib.sha256(_label(tensor.code, tensor.shape))
        self._stream.seek(tensor.start)
        at = 0
        while at < len(content):
            got = self._stream.readinto(content[at : at + CHUNK])
            if not got:
                raise damaged(self.path, f"it ends inside {name}")
            if digest is not None:
                digest.update(content[at : at + got])
            at += got
        if digest is not None and digest.hexdigest() != self._digests[name]:
            raise damaged(self.path, f"{name} does not match its checksum")
        self._checked.add(name)
        return array

    def _header(self) -> tuple[dict[str, Any], int]:
        """Read the header's JSON, and where the tensors begin."""
        length = int.from_bytes(self._stream.read(8), "little")
        if length > os.fstat(self._stream.fileno()).st_size - 8:
            raise damaged(self.path, "it is cut short, or not a safetensors file")
        raw = bytearray()
        while len(raw) < length and (more := self._stream.read(length - len(raw))):
            raw += more
        try:
            header = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise damaged(self.path, f"unreadable header ({error})") from None
        if not isinstance(header, dict):
            raise damaged(self.path, "unreadable header")
        return header, 8 + length

    def _tensors(self, header: dict[str, Any], begin: int) -> dict[str, Tensor]:
        """Return the stated tensors, checked to fill the rest of the file without a gap."""
        tensors = {}
        at = begin
        try:
            for name, stated in sorted(header.items(), key=lambda entry: entry[1]["data_offsets"]):
                code, shape, (start, stop) = stated["dtype"], tuple(stated["shape"]), stated["data_offsets"]
                if not all(isinstance(n, int) and n >= 0 for n in (*shape, start, stop)):
                    raise ValueError(f"impossible shape or offsets of {name}")
                if begin + start != at or stop - start != prod(shape) * TYPES[code].itemsize:
                    raise ValueError(f"the bytes of {name} lie elsewhere")
                tensors[name] = Tensor(code, shape, at)
                at = begin + stop
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self.path, f"unreadable header ({error})") from None
        if at != os.fstat(self._stream.fileno()).st_size:
            raise damaged(self.path, "it is cut short, or longer than it was")
        if tensors.keys() != self._digests.keys():
            names = ", ".join(sorted(tensors.keys() ^ self._digests.keys()))
            raise damaged(self.path, f"tensors are missing or too many ({names})")
        return tensors


def _unsealed(metadata: Any, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the description and the tensors' digests from the metadata entry, once its checksum matches."""
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise VectorError(
            f"{path} is a safetensors file, but not one of deftx (it has no metadata). {integrity.remade(path)}"
        )
    try:
        described = json.loads(text)
        if described["format"] != FORMAT:
            raise VectorError(
                f"{path} has format {described['format']}; this deftx reads {FORMAT}. "
                f"Use the deftx that made it. {integrity.remade(path)}"
            )
        body, _, tail = text.rpartition(SEAL)
        if tail != hashlib.sha256(body.encode()).hexdigest() + '"}':
            raise damaged(path, "its metadata do not match their checksum")
        del described["checksum"]
        return described, dict(described.pop("tensors"))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged(path, f"unreadable metadata ({error})") from None


def _digest(code: str, shape: tuple[int, ...], array: NDArray[Any]) -> str:
    digest = hashlib.sha256(_label(code, shape))
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _label(code: str, shape: tuple[int, ...]) -> bytes:
    return f"{code} {list(shape)}\n".encode()
