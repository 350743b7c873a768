"""Sparse fine-tunings (SFTs), masks and deltas as files: what they hold, and its checks (docs/reference/format.md).

A file holds, under prefixes, what a training or a selection left:

    gaps.NAME               positions into the flattened base parameter NAME (see `deftx.modules.gap_encoding`)
    values.NAME             differences at those positions, float32 or bf16 (an SFT; a mask has none)
    delta.NAME              a dense float32 difference (a delta), without its rows of zeros
    rows.NAME               the rows delta.NAME holds, as gaps; absent where it holds all
    large.NAME              the gaps of gaps.NAME or rows.NAME that do not fit a byte; absent where all do
    head.NAME               a task head's parameter in full, float32

Numpy only: reading, checking and comparing vectors needs no torch.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deftx.core.errors import VectorError
from deftx.modules import format as file_format
from deftx.modules import gap_encoding

Kind = Literal["delta", "gradient", "mask", "sft"]
Precision = Literal["fp32", "bf16"]
LARGEST = 1 << 53  # entries of a parameter: below it sums of gaps stay exact, and no real one comes near
BLOCK = 1 << 16  # entries looked at together: they stay in the cache


class Metadata(BaseModel):
    """Where a vector comes from; equal settings and data give equal metadata (it holds no times)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = file_format.FORMAT
    kind: Kind
    base: str
    """Hash of the base model's weights."""
    base_model: str
    """The base model's name as the experiment gives it."""
    base_revision: str | None = None
    """The base model's commit on the hub, where one was given."""
    shapes: dict[str, list[Annotated[int, Field(ge=0)]]]
    """Shape of every base parameter the file speaks of, in the order of the base's state dict."""
    start: list[str] = []
    """Hashes of the vectors added to the base before training began (source adaptation)."""
    objective: str | None
    """What it was trained with, by its name in `deftx.tasks.registry`; None where nobody knows (a
    converted file), or where vectors of several were added."""
    selection: dict[str, Any] | None = None
    labels: list[str] | None = None
    settings: dict[str, Any] = {}
    seed: int | None
    data: dict[str, str] = {}
    """SHA-256 of each training file by name."""
    threads: int | None
    processes: int = Field(default=1, exclude_if=lambda number: number == 1)
    """How many processes trained together (the last of them, where others began)."""
    versions: dict[str, str] = {}
    values: Precision = "fp32"
    """How the file stores an SFT's values; in memory they are float32 always."""
    licence: str | None = None
    """Under which terms the vector may be used, where its maker said so (an SPDX name if there is one)."""


@dataclass(frozen=True)
class Vector:
    """A difference to a base model: sparse entries, dense deltas, and a head in full.

    `positions` and `values` hold flat ascending int64 indices and float32 differences by parameter name;
    a mask has positions alone. `dense` holds float32 deltas, `head` parameters the base does not have.
    Where `rows` names a matrix, `dense` holds those rows of it alone ([n, width], the row numbers ascending int64)
    and all others are zero; `expand` gives its full shape.
    """

    metadata: Metadata
    positions: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    dense: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    head: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    rows: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """Number of base entries the vector moves or may move."""
        return sum(map(len, self.positions.values())) + sum(prod(self.metadata.shapes[n]) for n in self.dense)

    def full(self, name: str) -> NDArray[np.float32]:
        """Return the dense delta of a parameter in its full shape."""
        return expand(self.dense[name], self.rows.get(name), self.metadata.shapes[name])


def expand(stored: NDArray[np.float32], rows: NDArray[np.int64] | None, shape: Sequence[int]) -> NDArray[np.float32]:
    """Return a dense delta in its full `shape` from its stored `rows` ([n, width]); None means all are stored."""
    if rows is None:
        return stored
    full = np.zeros(tuple(shape), np.float32)
    full[rows] = stored
    return full


def save(vector: Vector, path: Path) -> None:
    """Write a vector; the same content always gives the same bytes.

    Rows of zeros of a dense delta are left out, whether or not the vector's `rows` leave them out already. Values are
    stored as `metadata.values` says; bf16 rounds them to the nearest, ties to even.

    Raises:
        VectorError: an entry is not finite, positions do not ascend or lie outside their parameter, or an array's
            shape is not the one `metadata.shapes` states.
    """
    shapes = vector.metadata.shapes
    tensors: dict[str, NDArray[Any]] = {}
    for group, arrays in (("SFT", vector.values), ("delta", vector.dense), ("head", vector.head)):
        _check_finite(arrays, group, path)
    for name, positions in vector.positions.items():
        tensors |= _gaps("gaps", name, positions, prod(shapes.get(name, [0])))
    for name, values in vector.values.items():
        single = np.ascontiguousarray(values, np.float32)
        tensors[f"values.{name}"] = single if vector.metadata.values == "fp32" else _rounded(single, name)
    for name, delta in vector.dense.items():
        stored, rows = _without_zero_rows(np.ascontiguousarray(delta, np.float32), vector.rows.get(name))
        height = shapes.get(name, [0])[0] if stored.ndim == 2 else 0
        tensors[f"delta.{name}"] = stored
        if rows is not None and len(rows) < height:
            tensors |= _gaps("rows", name, rows, height)
    for name, parameter in vector.head.items():
        tensors[f"head.{name}"] = np.ascontiguousarray(parameter, np.float32)
    stated = {name: (file_format.CODES[t.dtype], t.shape) for name, t in tensors.items()}
    if problem := _problem(stated, vector.metadata):
        raise VectorError(f"{path} cannot be written: {problem}")
    file_format.write(path, _described(vector.metadata), tensors)


def read_metadata(path: Path) -> Metadata:
    """Read a vector's metadata alone, checked, without its tensors."""
    with file_format.Reader(path) as file:
        return _metadata(file)


def load(path: Path) -> Vector:
    """Read and check a vector. Beside the vector itself, its positions need memory for one byte each.

    Raises:
        VectorError: the file is missing, cut short, changed, or not a deftx file; the message names the fix.
    """
    groups: dict[str, dict[str, NDArray[Any]]] = {}
    with file_format.Reader(path) as file:
        metadata = _metadata(file)
        for key in file.tensors:
            prefix, _, name = key.partition(".")
            groups.setdefault(prefix, {})[name] = file.read(key)
    large = groups.get("large", {})
    values = {n: v if v.dtype == np.float32 else _widened(v) for n, v in groups.get("values", {}).items()}
    vector = Vector(
        metadata,
        {n: _indices(g, large.get(n), prod(metadata.shapes[n]), n, path) for n, g in groups.get("gaps", {}).items()},
        values,
        groups.get("delta", {}),
        groups.get("head", {}),
        {n: _indices(g, large.get(n), metadata.shapes[n][0], n, path) for n, g in groups.get("rows", {}).items()},
    )
    for group, arrays in (("SFT", values), ("delta", vector.dense), ("head", vector.head)):
        _check_finite(arrays, group, path)
    return vector


class DeltaFile:
    """An open delta that is read one parameter at a time; see `open_delta`."""

    def __init__(self, metadata: Metadata, file: file_format.Reader) -> None:
        self.metadata = metadata
        self._file = file
        self.names = [name for name in metadata.shapes if f"delta.{name}" in file.tensors]
        """The parameters it holds, in the order of the base's state dict."""

    def rows(self, name: str) -> NDArray[np.int64] | None:
        """Return the rows of a matrix that `read` gives, ascending; None where it gives all. The others are zero.

        Raises:
            VectorError: they are damaged.
        """
        if f"rows.{name}" not in self._file.tensors:
            return None
        gaps = self._file.read(f"rows.{name}")
        large = self._file.read(f"large.{name}") if f"large.{name}" in self._file.tensors else None
        return _indices(gaps, large, self.metadata.shapes[name][0], name, self._file.path)

    def read(self, name: str) -> NDArray[np.float32]:
        """Read the stored rows of a parameter's delta (all of it where `rows` is None), in memory of their own.

        Its checksum has been compared; whether its entries are finite has not.

        Raises:
            VectorError: it is damaged.
        """
        return self._file.read(f"delta.{name}")


@contextmanager
def open_delta(path: Path) -> Iterator[DeltaFile]:
    """Open a delta to be read one parameter at a time; peak memory is the largest tensor that is read.

    The file is never mapped. The header is checked on opening; a tensor is hashed in pieces while it is read for the
    first time and given out only if it matches, so nothing is read twice and a second pass costs no hashing. What is
    wrong with a tensor is therefore said when it is read, not before.

    Raises:
        VectorError: the file is missing, damaged, or no delta.
    """
    with file_format.Reader(path) as file:
        metadata = _metadata(file)
        if metadata.kind not in ("delta", "gradient"):
            raise VectorError(f"{path} is a {metadata.kind}, where a delta is needed")
        yield DeltaFile(metadata, file)


def check_fits(
    metadata: Metadata, shapes: dict[str, list[int]], base: str, path: Path, kinds: Sequence[Kind] = ("sft", "delta")
) -> None:
    """Check that a vector is of the kind wanted and belongs to a base model of these parameter shapes and this hash.

    Raises:
        VectorError: it is of another kind, was made for another base, or speaks of a parameter the base does not have.
    """
    if metadata.kind not in kinds:
        raise VectorError(f"{path} is a {metadata.kind}, where a {' or a '.join(kinds)} is needed")
    if metadata.base != base:
        raise VectorError(
            f"{path} was made for another base model ({metadata.base_model}, weights {metadata.base[:12]}); "
            f"this one has weights {base[:12]}. Use the base it was made for, or train the vector again"
        )
    for name, shape in metadata.shapes.items():
        if shapes.get(name) != shape:
            raise VectorError(
                f"{path} speaks of {name} with shape {shape}, but the base model has "
                f"{shapes.get(name, 'no such parameter')}. The file was changed or mixed up. Retrain it"
            )


def _described(metadata: Metadata) -> dict[str, Any]:
    """Return metadata as JSON content: dictionaries ordered by key, but for `shapes`, whose order says something."""
    content = metadata.model_dump(mode="json")
    return {key: c if key == "shapes" else json.loads(json.dumps(c, sort_keys=True)) for key, c in content.items()}


def _metadata(file: file_format.Reader) -> Metadata:
    """Read the metadata of an open file, checked against what the header states of its tensors."""
    try:
        metadata = Metadata.model_validate(file.described)
    except ValidationError as error:
        raise file_format.damaged(file.path, f"unreadable metadata ({error.errors()[0]['msg']})") from None
    problem = _problem({name: (t.code, t.shape) for name, t in file.tensors.items()}, metadata)
    if problem:
        raise file_format.damaged(file.path, problem)
    return metadata


PREFIXES = {"gaps": "U8", "large": "I64", "values": "F32", "rows": "U8", "delta": "F32", "head": "F32"}


def _problem(stated: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Metadata) -> str | None:
    """Return what does not go together among tensors, stated by type and shape, and metadata; None if all is well."""
    if metadata.values != "fp32" and metadata.kind != "sft":
        return f"a {metadata.kind} has no values to store as {metadata.values}, only an SFT has"
    for key, (code, shape) in stated.items():
        prefix, _, name = key.partition(".")
        if prefix not in PREFIXES:
            return f"unknown tensor {key}"
        wanted = "BF16" if prefix == "values" and metadata.values == "bf16" else PREFIXES[prefix]
        if code != wanted:
            return f"{key} has type {code}, not {wanted}"
        if prefix == "head":
            continue
        if name not in metadata.shapes:
            return f"no shape is stated for {name}"
        whole = tuple(metadata.shapes[name])
        if prod(whole) >= LARGEST:
            return f"{name} is stated to have {prod(whole)} entries"
        if prefix != "delta" and len(shape) != 1:
            return f"{key} has {len(shape)} dimensions"
        if prefix == "gaps":
            if f"delta.{name}" in stated:
                return f"{name} has positions and a dense delta"
            if metadata.kind != "mask" and stated.get(f"values.{name}", ("", ()))[1] != shape:
                return f"{name} has {shape[0]} positions and another number of values"
        elif prefix == "values" and (f"gaps.{name}" not in stated or metadata.kind == "mask"):
            return f"{key} stands alone" if metadata.kind != "mask" else f"{key} in a mask"
        elif prefix == "rows" and (f"delta.{name}" not in stated or len(whole) != 2):
            return f"{key} belongs to no matrix"
        elif prefix == "large" and f"gaps.{name}" not in stated and f"rows.{name}" not in stated:
            return f"{key} stands alone"
        elif prefix == "delta":
            if f"rows.{name}" in stated:
                whole = (*stated[f"rows.{name}"][1], *whole[1:])
            if shape != whole:
                return f"{key} has shape {list(shape)}, not {list(whole)}"
    return None


def _gaps(prefix: str, name: str, positions: NDArray[np.int64], size: int) -> dict[str, NDArray[Any]]:
    gaps, large = gap_encoding.encode(positions, size, name)
    return {f"{prefix}.{name}": gaps} | ({f"large.{name}": large} if len(large) else {})


def _indices(
    gaps: NDArray[np.uint8], large: NDArray[np.int64] | None, size: int, name: str, path: Path
) -> NDArray[np.int64]:
    try:
        return gap_encoding.decode(gaps, np.empty(0, np.int64) if large is None else large, size, name)
    except VectorError as error:
        raise file_format.damaged(path, str(error)) from None


def _without_zero_rows(
    delta: NDArray[np.float32], rows: NDArray[np.int64] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Return the rows of a matrix that are not all zero, and their numbers (None: all of a full one).

    Zero means zero bits: a row of -0.0 stays, so that expanding gives back every bit.
    """
    if delta.ndim != 2:
        return delta, rows
    step = max(1, BLOCK // max(1, delta.shape[1]))
    bits = delta.view(np.uint32)
    moved = [bits[at : at + step].any(axis=1) for at in range(0, len(delta), step)]
    nonzero = np.flatnonzero(np.concatenate([np.empty(0, bool), *moved]))
    if len(nonzero) == len(delta):
        return delta, rows
    return delta[nonzero], nonzero if rows is None else rows[nonzero]


def _check_finite(arrays: Mapping[str, NDArray[np.float32]], group: str, path: Path) -> None:
    for name, array in arrays.items():
        flat = array.reshape(-1)
        if not all(np.isfinite(flat[at : at + BLOCK]).all() for at in range(0, len(flat), BLOCK)):
            raise VectorError(
                f"{path}: {name}: the {group} holds NaN or infinity; the training that left it diverged. "
                "Lower its learning rate and run again"
            )


def _rounded(values: NDArray[np.float32], name: str) -> NDArray[np.uint16]:
    """Return float32 values as the bits of the nearest bf16, ties to even."""
    bits = values.view(np.uint32)
    nearest = ((bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16).astype(np.uint16)
    if bool(((nearest & 0x7F80) == 0x7F80).any()):
        raise VectorError(f"{name} holds a value that is too large for bf16; store it as fp32")
    return nearest


def _widened(values: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return float32 values from the bits of bf16, exactly."""
    return (values.astype(np.uint32) << 16).view(np.float32)
