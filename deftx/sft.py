"""Sparse fine-tunings (SFTs), masks and deltas as files: the format, its checks, and the algebra.

One safetensors file holds, under prefixes, what a training or a selection left:

    gaps.NAME, large.NAME   positions into the flattened base parameter NAME (see `deftx.indices`)
    values.NAME             float32 differences at those positions (an SFT; a mask has none)
    delta.NAME              a dense float32 difference (a delta)
    head.NAME               a task head's parameter in full

All metadata is one JSON-valued key, so equal content gives equal bytes. Numpy only: reading, checking
and comparing vectors needs no torch.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from deftx import indices as index_code
from deftx.errors import VectorError
from deftx.files import publish

FORMAT = 1
Kind = Literal["delta", "mask", "sft"]
Array = NDArray[Any]


class Metadata(BaseModel):
    """Where a vector comes from; equal settings and data give equal metadata (it holds no times)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    kind: Kind
    base: str
    """Hash of the base model's weights."""
    base_model: str
    """The base model's name as the experiment gives it."""
    shapes: dict[str, list[int]]
    """Shape of every base parameter the file speaks of."""
    start: list[str] = []
    """Hashes of the vectors added to the base before training began (source adaptation)."""
    objective: Literal["masked-lm", "classification"]
    selection: dict[str, Any] | None = None
    labels: list[str] | None = None
    settings: dict[str, Any] = {}
    seed: int
    data: dict[str, str] = {}
    """SHA-256 of each training file by name."""
    threads: int
    versions: dict[str, str] = {}


@dataclass(frozen=True)
class Vector:
    """A difference to a base model: sparse entries, dense deltas, and a head in full.

    `positions` and `values` hold flat ascending int64 indices and float32 differences by parameter name;
    a mask has positions alone. `dense` holds float32 deltas, `head` parameters the base does not have.
    """

    metadata: Metadata
    positions: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    dense: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    head: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """Number of base entries the vector moves or may move."""
        return sum(map(len, self.positions.values())) + sum(d.size for d in self.dense.values())


def save(vector: Vector, path: Path) -> None:
    """Write a vector; the same content always gives the same bytes.

    Raises:
        VectorError: an entry is not finite.
    """
    tensors: dict[str, Array] = {}
    for name, positions in vector.positions.items():
        tensors[f"gaps.{name}"], tensors[f"large.{name}"] = index_code.encode(positions)
    for prefix, group in (("values", vector.values), ("delta", vector.dense), ("head", vector.head)):
        for name, array in group.items():
            if not np.isfinite(array).all():
                raise VectorError(
                    f"{prefix}.{name} holds NaN or infinity: the training diverged. "
                    "Lower its learning rate and run again"
                )
            tensors[f"{prefix}.{name}"] = np.ascontiguousarray(array, dtype=np.float32)
    described = vector.metadata.model_dump(mode="json")
    described["checksum"] = checksum(tensors, described)
    metadata = {"deftx": json.dumps(described, sort_keys=True, ensure_ascii=False)}
    with publish(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_metadata(path: Path) -> Metadata:
    """A vector's metadata alone, without reading its tensors."""
    with _opened(path) as file:
        return _metadata(file, path)[0]


def load(path: Path) -> Vector:
    """Read and check a vector.

    Raises:
        VectorError: the file is missing, cut short, changed, or not a deftx file; named with the way out.
    """
    with _opened(path) as file:
        metadata, expected = _metadata(file, path)
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise _damaged(path, str(error)) from error
    if checksum(tensors, metadata.model_dump(mode="json")) != expected:
        raise _damaged(path, "its content does not match its checksum")
    groups: dict[str, dict[str, Array]] = {g: {} for g in ("gaps", "large", "values", "delta", "head")}
    for key, tensor in tensors.items():
        prefix, _, name = key.partition(".")
        if prefix not in groups:
            raise _damaged(path, f"unknown tensor {key}")
        groups[prefix][name] = tensor
    return Vector(metadata, _positions(groups, metadata, path), groups["values"],
                  groups["delta"], groups["head"])  # fmt: skip


def _positions(groups: dict[str, dict[str, Array]], metadata: Metadata, path: Path) -> dict[str, NDArray[np.int64]]:
    """Decode the positions, and check every group of tensors against the shapes in the metadata."""
    for name, array in groups["delta"].items():
        if list(array.shape) != metadata.shapes.get(name):
            raise _damaged(path, f"delta.{name} has shape {list(array.shape)}")
    positions = {}
    for name, gaps in groups["gaps"].items():
        if name not in metadata.shapes:
            raise _damaged(path, f"no shape is stated for {name}")
        if name not in groups["large"]:
            raise _damaged(path, f"large.{name} is missing")
        size = int(np.prod(metadata.shapes[name]))
        positions[name] = index_code.decode(gaps, groups["large"][name], size, f"{path}: {name}")
        if metadata.kind == "sft" and len(groups["values"].get(name, ())) != len(gaps):
            raise _damaged(path, f"{name} has {len(gaps)} positions and another number of values")
    return positions


def checksum(tensors: dict[str, Array], described: dict[str, Any]) -> str:
    """SHA-256 over the metadata and the names, types, shapes and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(tensor.view(np.uint8).data if tensor.size else b"")
    return digest.hexdigest()


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
                f"{shapes.get(name, 'no such parameter')}. The file was changed or mixed up; train it again"
            )


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise VectorError(f"{path} does not exist. Run snakemake to make it, or check the name")
    try:
        return safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


def _metadata(file: Any, path: Path) -> tuple[Metadata, str]:
    described = (file.metadata() or {}).get("deftx")
    if described is None:
        raise VectorError(f"{path} is a safetensors file, but not one of deftx (it has no metadata)")
    try:
        content = dict(json.loads(described))
        expected = content.pop("checksum", "")
        if content.get("format") != FORMAT:
            raise VectorError(f"{path} has format {content.get('format')}; this deftx reads {FORMAT}")
        return Metadata.model_validate(content), expected
    except (TypeError, ValueError) as error:
        raise _damaged(path, f"unreadable metadata ({error})") from error


def _damaged(path: Path, what: str) -> VectorError:
    return VectorError(f"{path} is damaged: {what}. Delete it and run snakemake to make it again")
