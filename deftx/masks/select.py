"""Masks: the entries of a model that sparse fine-tuning may move.

A mask is the k entries of largest magnitude over all maskable parameters together
(Ansell et al. 2022, section 3.1), taken from the raw delta (LT-SFT) or from the denoised one
(DeFT-X, Simon & Jyothi 2025, section 3.2). It is kept as flat indices per parameter, ascending.

A delta is read one parameter at a time, as often as needed, and never held whole.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deftx.config.masks import Denoising
from deftx.core.errors import DeltaError
from deftx.core.integrity import write_json
from deftx.core.provenance import threads
from deftx.core.runtime import device
from deftx.masks.denoise import check_finite, denoise
from deftx.masks.spill import Scratch
from deftx.masks.top_k import CHUNK, Cut, cut
from deftx.masks.zero_rows import Expanded, Layout
from deftx.models.parameter_names import is_embedding
from deftx.modules import vectors


def largest(delta: Mapping[str, Tensor], k: int) -> dict[str, Tensor]:
    """The k entries of largest magnitude, as flat int64 indices by parameter name, ascending.

    Ties go to the earlier parameter and the lower index, so exactly k entries come back. The mapping is gone through
    three times and one tensor of it is used at a time, so it may read them from a file.

    Args:
        delta: float32 tensors of any shape by parameter name, in the base's order, all finite.
        k: 0 <= k <= number of entries.
    Raises:
        DeltaError: k is out of range, or an entry is NaN or infinite.
    """
    if k < 0:
        raise DeltaError(f"the budget k = {k:,} is negative; give the number of maskable entries to choose")
    if k == 0:
        return {name: torch.empty(0, dtype=torch.int64) for name in delta}
    try:
        below = cut(delta.values, k)
    except DeltaError:
        for name, tensor in delta.items():  # names the parameter, if one is the reason
            check_finite(tensor, name)
        raise
    picked: dict[str, Tensor] = {}
    for name, tensor in delta.items():
        picked[name] = _picked(tensor.flatten(), below, k)
        k -= len(picked[name])
    return picked


def _picked(flat: Tensor, below: Cut, room: int) -> Tensor:
    """Indices of the picked entries, at most `room`.

    They are written where they stay: memory that is asked for and not touched costs nothing, while small pieces kept
    between large temporary ones would hold those in the heap.
    """
    indices = torch.empty(min(room, len(flat)), dtype=torch.int64)
    filled = 0
    for number, chunk in enumerate(flat.split(CHUNK)):
        found = below.picked(chunk).nonzero().flatten()
        torch.add(found, number * CHUNK, out=indices[filled : filled + len(found)])
        filled += len(found)
    return indices[:filled]


class Stored(Mapping[str, Tensor]):
    """The tensors of an open delta, in the base's order, read anew whenever they are asked for."""

    def __init__(self, file: vectors.DeltaFile) -> None:
        self.file = file

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.file.read(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.file.names)

    def __len__(self) -> int:
        return len(self.file.names)


def layout_of(file: vectors.DeltaFile) -> Layout:
    """Where the entries of an open delta's tensors lie."""
    rows = {name: file.rows(name) for name in file.names}
    return Layout(file.metadata.shapes, {name: torch.from_numpy(r) for name, r in rows.items() if r is not None})


@dataclass(frozen=True)
class Seen:
    """What the denoising saw of a parameter: its singular values and the rank kept, where it is a matrix it cut."""

    singular_values: Tensor
    rank: int | None


@dataclass(frozen=True)
class Mask:
    """A mask, and for each parameter what the denoising saw."""

    indices: dict[str, Tensor]
    seen: dict[str, Seen]

    @property
    def k(self) -> int:
        """Number of entries in the mask."""
        return sum(len(i) for i in self.indices.values())


def select(
    delta: Mapping[str, Tensor],
    selection: Denoising,
    k: int,
    layout: Layout | None = None,
    denoised: MutableMapping[str, Tensor] | None = None,
) -> Mask:
    """The mask of a delta by a selection: denoise each parameter, then take the k largest entries.

    Args:
        delta: float32 tensors by parameter name, all maskable parameters of the model in the base's order. One is used
            at a time; each is read once to be denoised, and three times to choose from where it was not cut.
        selection: rank rule, kept share, whether embeddings are denoised.
        k: number of entries.
        layout: where entries lie, if `delta` lacks rows of zeros.
        denoised: where the denoised matrices are put, and read from three times; without it, memory.
    Raises:
        DeltaError: a delta holds NaN or infinity, or k does not fit.
    """
    layout = layout or Layout({})
    seen = dict.fromkeys(delta, Seen(torch.empty(0), None))
    cuts: MutableMapping[str, Tensor] = {} if denoised is None else denoised
    for name in delta if selection.rank != "none" else ():
        if selection.embeddings or not is_embedding(name):
            tensor = delta[name].to(device())
            result = denoise(tensor, selection.rank, selection.keep, name, layout.shapes.get(name))
            seen[name] = Seen(result.singular_values, result.rank)
            if result.values is not tensor:
                cuts[name] = result.values.cpu()
    stored = ChainMap(cuts, delta)  # type: ignore[arg-type]
    if layout.rows and k > sum(int(tensor.count_nonzero()) for tensor in stored.values()):
        return Mask(largest(Expanded(stored, layout), k), seen)  # zeros are chosen, also such as are not stored
    return Mask({name: layout.positions(name, indices) for name, indices in largest(stored, k).items()}, seen)


def build(delta: Path, selection: Denoising, k: int | float, out: Path, report: Path) -> Mask:
    """Select a mask from a delta's file; writes the mask, and per parameter what the selection saw.

    k is a number of entries (int), or a share of all entries (float, rounded to the nearest entry). While it runs,
    denoised matrices lie in a temporary file beside `out`, 4 bytes per entry.
    The report lists for every parameter its shape, how many entries were chosen, and for denoised matrices the
    singular values and the rank that was kept.

    Raises:
        VectorError: the file is no delta, or is damaged.
        DeltaError: the delta is not finite, or k does not fit.
    """
    torch.set_num_threads(threads())
    with vectors.open_delta(delta) as file, Scratch(out.parent) as denoised:
        shapes = file.metadata.shapes
        budget = k if isinstance(k, int) else round(k * sum(map(prod, shapes.values())))
        mask = select(Stored(file), selection, budget, layout_of(file), denoised)
        settings = selection.model_dump(mode="json") | {"k": mask.k}
        metadata = file.metadata.model_copy(update={"kind": "mask", "selection": settings})
    positions = {name: indices.numpy() for name, indices in mask.indices.items()}
    vectors.save(vectors.Vector(metadata, positions=positions), out)
    write_json(report, {name: _reported(mask, name, shape) for name, shape in shapes.items()})
    return mask


def _reported(mask: Mask, name: str, shape: list[int]) -> dict[str, Any]:
    seen = mask.seen[name]
    return {
        "shape": shape,
        "entries": prod(shape),
        "chosen": len(mask.indices[name]),
        "rank": seen.rank,
        "singular_values": [float(f"{s:.6g}") for s in seen.singular_values.tolist()],
    }
