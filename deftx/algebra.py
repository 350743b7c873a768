"""The algebra of vectors: adding one to a model, taking it off again to the last bit, adding two to one another.

Adding and then subtracting in float32 changes some of the entries it touched; nothing here is ever undone by
subtraction. The entries are gone through in chunks: what a chunk's positions span stays in the cache between reading an
entry and writing it, so the parameter passes through memory once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deftx import sft
from deftx.errors import VectorError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 14  # positions: at 5 % density they span 1.3 MB of float32


@dataclass
class Undo:
    """What restores parameters a vector was added to: the untouched values."""

    state: "Mapping[str, Tensor]"
    sparse: "dict[str, tuple[Tensor, Tensor]]" = field(default_factory=dict)
    """Positions and the values they had."""
    dense: "dict[str, Tensor]" = field(default_factory=dict)

    def undo(self) -> None:
        """Put every touched entry back, bit for bit. Undo several vectors in the reverse order of adding them."""
        for name, (positions, values) in self.sparse.items():
            self.state[name].view(-1).index_copy_(0, positions, values)
        for name, whole in self.dense.items():
            self.state[name].copy_(whole)


def apply(state: "Mapping[str, Tensor]", vector: sft.Vector, weight: float) -> Undo:
    """Add a weighted vector to contiguous float32 parameters in place; what comes back takes it off again.

    An entry becomes entry + float32(weight x value), each rounded once.

    Raises:
        VectorError: the vector moves a parameter that is not in `state`; nothing is changed.
    """
    import torch

    for name in (*vector.positions, *vector.dense):
        if name not in state:
            raise VectorError(f"the vector moves {name}, which this model does not have")
    before = Undo(state)
    for name, positions in vector.positions.items():
        flat = state[name].view(-1)
        index = torch.from_numpy(positions).to(flat.device)
        values = torch.from_numpy(vector.values[name]).to(flat.device)
        kept = torch.empty_like(values)
        pieces = (tensor.split(CHUNK) for tensor in (index, values, kept))
        for where, value, old in zip(*pieces, strict=True):
            torch.index_select(flat, 0, where, out=old)
            flat.index_copy_(0, where, old + weight * value)
        before.sparse[name] = index, kept
    for name, delta in vector.dense.items():
        before.dense[name] = state[name].clone()
        moved = torch.from_numpy(delta).to(state[name].device)
        if name in vector.rows:
            state[name].index_add_(0, torch.from_numpy(vector.rows[name]).to(moved.device), moved, alpha=weight)
        else:
            state[name].add_(moved, alpha=weight)
    return before


def add(state: "Mapping[str, Tensor]", vector: sft.Vector, weight: float) -> None:
    """Add a weighted vector to float32 parameters in place, for good; as `apply`, without memory for the way back.

    Raises:
        VectorError: the vector moves a parameter that is not in `state`; nothing is changed.
    """
    for name in (*vector.positions, *vector.dense):
        if name not in state:
            raise VectorError(f"the vector moves {name}, which this model does not have")
    for name in (*vector.positions, *vector.dense):
        apply(state, only(vector, name), weight)


def only(vector: sft.Vector, name: str) -> sft.Vector:
    """The part of a vector that moves one parameter."""
    groups = {g: {name: getattr(vector, g)[name]} for g in ("positions", "values", "dense", "rows")
              if name in getattr(vector, g)}  # fmt: skip
    return sft.Vector(vector.metadata, **groups)


def merged(
    terms: Sequence[tuple[NDArray[np.int64], NDArray[np.float32], float]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The weighted sum of sparse vectors of one parameter: positions (ascending) that any of them moves, and values.

    A value is ((w1 v1) + w2 v2) + ... in float32, in the order of the terms. Adding the sum to a base rounds otherwise
    than adding the terms one after the other: by at most one unit in the last place of each partial sum.
    """
    union = np.unique(np.concatenate([np.empty(0, np.int64), *(positions for positions, _, _ in terms)]))
    total = np.zeros(len(union), np.float32)
    for positions, values, weight in terms:
        total[np.searchsorted(union, positions)] += np.float32(weight) * values
    return union, total


def sum_of(terms: Sequence[tuple[sft.Vector, float]]) -> sft.Vector:
    """The weighted sum of sparse vectors of one base, with the head of the one that has one.

    Raises:
        VectorError: a vector is dense.
    """
    if any(vector.dense for vector, _ in terms):
        raise VectorError("a dense delta cannot be part of a stored sum; export the composed model instead")
    vectors = [vector for vector, _ in terms]
    shapes = {name: shape for vector in vectors for name, shape in vector.metadata.shapes.items()}
    task = next((vector for vector in vectors if vector.head), vectors[0])
    sums = {}
    for name in shapes:
        moving = [(v.positions[name], v.values[name], weight) for v, weight in terms if name in v.positions]
        if moving:
            sums[name] = merged(moving)
    objectives = {vector.metadata.objective for vector in vectors}
    metadata = task.metadata.model_copy(
        update={
            "shapes": shapes,
            "objective": objectives.pop() if len(objectives) == 1 else None,
            "start": [],
            "selection": None,
            "seed": None,
            "threads": None,
            "settings": {"sum": [weight for _, weight in terms]},
            "data": {f"{n}.{key}": sha for n, v in enumerate(vectors) for key, sha in v.metadata.data.items()},
        }
    )
    positions = {name: places for name, (places, _) in sums.items()}
    return sft.Vector(metadata, positions, {name: values for name, (_, values) in sums.items()}, head=task.head)
