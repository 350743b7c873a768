"""Adding vectors to a model: for good, or so that they can be taken off again to the last bit.

Adding and then subtracting in float32 changes some of the entries it touched; nothing here is ever undone by
subtraction. The entries are gone through in chunks: what a chunk's positions span stays in the cache between reading an
entry and writing it, so the parameter passes through memory once.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deftx.core.errors import VectorError
from deftx.models.base_model import Description, encoder_parameters
from deftx.modules import vectors
from deftx.modules.vectors import save as save

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 15  # positions: at 5 % density they span 2.6 MB of float32
PART = 1 << 18  # positions a thread takes at once
BLOCK = 1 << 20  # entries of a dense delta added at once
Positions = NDArray[np.int64]
Floats = NDArray[np.float32]
Replaced = tuple["Tensor", Any, "Tensor"]
"""A parameter, the entries or rows of it that were replaced (an index tensor or a slice), and the values they had."""


@dataclass(frozen=True)
class Undo:
    """What restores parameters a vector was added to: the untouched values, 4 bytes for each entry it moves."""

    replaced: list[Replaced]

    def undo(self) -> None:
        """Put every touched entry back, bit for bit. Undo several vectors in the reverse order of adding them."""
        for parameter, where, values in self.replaced:
            parameter[where] = values


def add_reversibly(state: "Mapping[str, Tensor]", vector: vectors.Vector, weight: float) -> Undo:
    """Add a weighted vector to contiguous float32 parameters in place; what comes back takes it off again.

    An entry becomes entry + float32(weight x value), each rounded once.

    Raises:
        VectorError: the vector moves a parameter that is not in `state`; nothing is changed.
    """
    return Undo(list(_replace_parts(state, vector, weight)))


def add(state: "Mapping[str, Tensor]", vector: vectors.Vector, weight: float) -> None:
    """Add a weighted vector to float32 parameters in place, for good; as `add_reversibly`, without holding a dense
    delta's way back.

    Raises:
        VectorError: the vector moves a parameter that is not in `state`; nothing is changed.
    """
    for _ in _replace_parts(state, vector, weight):
        pass


def _replace_parts(state: "Mapping[str, Tensor]", vector: vectors.Vector, weight: float) -> Iterator[Replaced]:
    """Add a weighted vector part by part, and yield what each part replaced."""
    import torch

    for name in (*vector.positions, *vector.dense):
        if name not in state:
            raise VectorError(f"the vector moves {name}, which this model does not have")
    flats = {name: state[name].detach().view(-1) for name in vector.positions}
    on_cpu = [name for name, flat in flats.items() if flat.is_cpu]
    entries = [(flats[name].numpy(), vector.positions[name], vector.values[name]) for name in on_cpu]
    for name, values in zip(on_cpu, _add_entries(entries, weight), strict=True):
        yield flats[name], torch.from_numpy(vector.positions[name]), torch.from_numpy(values)
    for name, flat in flats.items():
        if not flat.is_cpu:
            index = torch.from_numpy(vector.positions[name]).to(flat.device)
            replaced = flat[index]
            flat[index] = replaced + weight * torch.from_numpy(vector.values[name]).to(flat.device)
            yield flat, index, replaced
    for name, delta in vector.dense.items():
        parameter, moved, rows = state[name].detach(), torch.from_numpy(delta), vector.rows.get(name)
        if rows is None:
            parameter, moved = parameter.view(-1), moved.view(-1)
        step = max(1, BLOCK // max(1, prod(moved.shape[1:])))
        for at in range(0, len(moved), step):
            where: Any = slice(at, at + step)
            if rows is not None:
                where = torch.from_numpy(rows[where]).to(parameter.device)
            replaced = parameter[where].clone()
            # Not by `alpha=weight`, which rounds product and sum at once on some processors.
            parameter[where] = replaced + weight * moved[at : at + step].to(parameter.device)
            yield parameter, where, replaced


def _add_entries(entries: Sequence[tuple[Floats, Positions, Floats]], weight: float) -> list[Floats]:
    """Add weighted values to flattened parameters at positions, in place; returns the values that were there.

    All replaced values lie in one array: many small ones would each be fresh memory from the system.
    """
    import torch

    ends = np.cumsum([0, *(len(values) for _, _, values in entries)])
    everything = np.empty(ends[-1], np.float32)
    replaced = [everything[begin:end] for begin, end in pairwise(ends)]

    def add(part: tuple[int, int]) -> None:
        n, begin = part
        flat, positions, values = entries[n]
        moved = np.empty(CHUNK, np.float32)
        for at in range(begin, min(begin + PART, len(values)), CHUNK):
            here = slice(at, min(at + CHUNK, begin + PART))
            where, old, new = positions[here], replaced[n][here], moved[: len(values[here])]
            flat.take(where, out=old, mode="clip")  # in range already; the default copies once more
            np.multiply(values[here], np.float32(weight), out=new)
            np.add(old, new, out=new)
            flat[where] = new

    parts = [(n, begin) for n, (_, _, values) in enumerate(entries) for begin in range(0, len(values), PART)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # numpy lets go of the interpreter meanwhile
        list(pool.map(add, parts))
    return replaced


def load(path: Path) -> vectors.Vector:
    """Read and check a delta, gradients, a mask or a sparse vector.

    Raises:
        VectorError: the file is missing, damaged, or not one of these.
    """
    return vectors.load(path)


def check(terms: Sequence[tuple[Path, vectors.Vector, float]], description: Description) -> None:
    """Check that vectors, given with files and weights, belong to a base model.

    Raises:
        VectorError: a vector does not; named.
    """
    for path, vector, _ in terms:
        vectors.check_fits(vector.metadata, description.shapes, description.hash, path)


def apply(model: Any, description: Description, terms: Sequence[tuple[vectors.Vector, float]]) -> None:
    """Add weighted vectors to the encoder of a transformers model, one after the other."""
    state = {name: p.data for name, p in encoder_parameters(model, description).items()}
    for vector, weight in terms:
        add(state, vector, weight)
