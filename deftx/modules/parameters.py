"""Files of modules other than vectors (adapters, LoRA): parameters by name, a task's head, and where they come from.

A file holds tensors `KIND.NAME` and `head.NAME`, all float32, in the container of vectors (docs/reference/format.md).
Which names and shapes there must be follows from the sizes its metadata state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deftx.core.errors import VectorError
from deftx.models.base_model import Description
from deftx.modules import format as file_format


class Shape(BaseModel):
    """The sizes of a module; each kind has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter by name, in the order in which a file holds them."""
        raise NotImplementedError


class Metadata(BaseModel):
    """Where a module comes from; equal settings and data give equal metadata (it holds no times)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = file_format.FORMAT
    kind: str
    role: Literal["language", "task"]
    base: str
    """Hash of the base model's weights."""
    base_model: str
    """The base model's name as the experiment gives it."""
    base_revision: str | None = None
    """The base model's commit on the hub, where one was given."""
    shape: Shape
    start: list[str] = []
    """Hash of the language module a task's was trained on."""
    objective: str
    """What it was trained with, by its name in `deftx.tasks.registry`."""
    labels: list[str] | None = None
    settings: dict[str, Any] = {}
    seed: int
    data: dict[str, str] = {}
    """SHA-256 of each training file by name."""
    threads: int
    processes: int = Field(default=1, exclude_if=lambda number: number == 1)
    """How many processes trained together (the last of them, where others began)."""
    versions: dict[str, str] = {}
    licence: str | None = None
    """Under which terms the module may be used, where its maker said so (an SPDX name if there is one)."""


Of = TypeVar("Of", bound=Metadata)


@dataclass(frozen=True)
class Stored(Generic[Of]):
    """What a file holds of a module: its parameters by name (float32), and a task's head in full."""

    metadata: Of
    parameters: dict[str, NDArray[np.float32]]
    head: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """Number of the module's parameters, those of the head aside."""
        return sum(prod(shape) for shape in self.metadata.shape.parameters().values())


def save(stored: Stored[Any], path: Path) -> None:
    """Write a module; the same content always gives the same bytes.

    Raises:
        VectorError: a value is not finite.
    """
    tensors = {f"{group}.{n}": np.ascontiguousarray(t, np.float32) for group, n, t in _named(stored)}
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise VectorError(f"{path}: {name} contains NaN or infinity. Lower the learning rate and retrain")
    if problem := _problem(tensors, stored.metadata):
        raise VectorError(f"{path} cannot be written: {problem}")
    file_format.write(path, stored.metadata.model_dump(mode="json"), tensors)


def _named(stored: Stored[Any]) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    yield from ((stored.metadata.kind, name, tensor) for name, tensor in stored.parameters.items())
    yield from (("head", name, tensor) for name, tensor in stored.head.items())


def load(path: Path, metadata_of: type[Of], wanted: str) -> Stored[Of]:
    """Read and check a module of the kind that `metadata_of` describes; messages call it `wanted`.

    Raises:
        VectorError: the file is missing, cut short, changed, or of another kind; the message names the fix.
    """
    kind = metadata_of.model_fields["kind"].default
    with file_format.Reader(path) as file:
        if file.described.get("kind") != kind:
            raise VectorError(f"{path} is a {file.described.get('kind')}, where {wanted} is needed")
        try:
            metadata = metadata_of.model_validate(file.described)
        except ValidationError as error:
            raise file_format.damaged(path, f"unreadable metadata ({error.errors()[0]['msg']})") from None
        tensors = {name: file.read(name) for name in file.tensors}
    if problem := _problem(tensors, metadata):
        raise file_format.damaged(path, problem)
    parameters = {name: tensors[f"{kind}.{name}"] for name in metadata.shape.parameters()}
    head = {key.removeprefix("head."): tensor for key, tensor in tensors.items() if key.startswith("head.")}
    return Stored(metadata, parameters, head)


def _problem(tensors: dict[str, NDArray[Any]], metadata: Metadata) -> str | None:
    """Return what does not go together among tensors and metadata; None if all is well."""
    wanted = {f"{metadata.kind}.{name}": shape for name, shape in metadata.shape.parameters().items()}
    for name in wanted.keys() - tensors.keys():
        return f"{name} is missing"
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or (name not in wanted and not name.startswith("head.")):
            return f"unknown tensor {name}"
        if tensor.shape != wanted.get(name, tensor.shape):
            return f"{name} has shape {list(tensor.shape)}, not {list(wanted[name])}"
        if not np.isfinite(tensor).all():
            return f"{name} holds NaN or infinity"
    return None


def check_base(stored: Stored[Any], description: Description, path: Path) -> None:
    """Check that a module belongs to a base model.

    Raises:
        VectorError: it was made for another one.
    """
    metadata = stored.metadata
    if metadata.base != description.hash:
        raise VectorError(
            f"{path} was made for another base model ({metadata.base_model}, weights {metadata.base[:12]}); "
            f"this one has weights {description.hash[:12]}. Use that base, or retrain it on this one"
        )
