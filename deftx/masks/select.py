"""Masks: the elements of a model that sparse fine-tuning trains.

A mask is the k elements of largest magnitude over all maskable parameters together (Ansell et al. 2022, section 3.1),
of the raw delta (LT-SFT) or of the denoised one (DeFT-X, Simon & Jyothi 2025, section 3.2). It is stored as flat
indices per parameter, ascending.

A delta is read one parameter at a time, as often as needed, and never loaded as a whole.
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
from deftx.masks.top_k import CHUNK, Cut, find_cut, share_of
from deftx.masks.zero_rows import Expanded, Layout
from deftx.models.parameter_names import is_embedding
from deftx.modules import vectors


def select_top_k(delta: Mapping[str, Tensor], k: int) -> dict[str, Tensor]:
    """Return the k elements of largest magnitude, as flat int64 indices by parameter name, ascending.

    Ties go to the earlier parameter and the lower index, so exactly k elements are returned. The mapping is iterated
    three times and one of its tensors is used at a time, so it may read them from a file.

    Args:
        delta: float32 tensors of any shape by parameter name, in the base's order, all finite.
        k: 0 <= k <= number of elements.
    Raises:
        DeltaError: k is out of range, or an element is NaN or infinite.
    """
    if k < 0:
        raise DeltaError(f"k = {k:,} is negative. Give the number of parameters to select")
    if k == 0:
        return {name: torch.empty(0, dtype=torch.int64) for name in delta}
    try:
        below = find_cut(delta.values, k)
    except DeltaError:
        for name, tensor in delta.items():  # an error that names the parameter, if one is not finite
            check_finite(tensor, name)
        raise
    selected: dict[str, Tensor] = {}
    for name, tensor in delta.items():
        selected[name] = _pick(tensor.flatten(), below, k)
        k -= len(selected[name])
    return selected


def _pick(flat: Tensor, below: Cut, most: int) -> Tensor:
    """Return the indices of the selected elements, at most `most`.

    They are written into one allocation: untouched memory costs nothing, while small tensors between large temporary
    ones would keep those in the heap.
    """
    indices = torch.empty(min(most, len(flat)), dtype=torch.int64)
    filled = 0
    for number, chunk in enumerate(flat.split(CHUNK)):
        picked = below.pick(chunk).nonzero().flatten()
        torch.add(picked, number * CHUNK, out=indices[filled : filled + len(picked)])
        filled += len(picked)
    return indices[:filled]


class DeltaTensors(Mapping[str, Tensor]):
    """Tensors of an open delta, in the base's order, read from the file on every access."""

    def __init__(self, file: vectors.DeltaFile) -> None:
        self.file = file

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.file.read(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.file.names)

    def __len__(self) -> int:
        return len(self.file.names)


def layout_of(file: vectors.DeltaFile) -> Layout:
    """Return the layout of an open delta's tensors."""
    rows = {name: file.rows(name) for name in file.names}
    return Layout(file.metadata.shapes, {name: torch.from_numpy(r) for name, r in rows.items() if r is not None})


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a denoised matrix and the rank of its signal; empty for other parameters."""

    singular_values: Tensor
    rank: int | None


@dataclass(frozen=True)
class Mask:
    """Mask, with the spectrum of each parameter."""

    indices: dict[str, Tensor]
    spectra: dict[str, Spectrum]

    @property
    def k(self) -> int:
        """Number of elements in the mask."""
        return sum(len(i) for i in self.indices.values())


def select(
    delta: Mapping[str, Tensor],
    selection: Denoising,
    k: int,
    layout: Layout | None = None,
    denoised: MutableMapping[str, Tensor] | None = None,
) -> Mask:
    """Return the mask of a delta: denoise each parameter, then select the k largest elements.

    Args:
        delta: float32 tensors by parameter name, all maskable parameters of the model in the base's order. One is used
            at a time. Each is read once to denoise it, and three times to select from it if it was not denoised.
        selection: rank rule, share of the residual, whether embeddings are denoised.
        k: number of elements.
        layout: positions of stored rows, if `delta` lacks rows of zeros.
        denoised: storage of the denoised matrices, read three times; by default main memory.
    Raises:
        DeltaError: a delta contains NaN or infinity, or k exceeds its size.
    """
    layout = layout or Layout({})
    spectra = dict.fromkeys(delta, Spectrum(torch.empty(0), None))
    cuts: MutableMapping[str, Tensor] = {} if denoised is None else denoised
    for name in delta if selection.rank != "none" else ():
        if selection.embeddings or not is_embedding(name):
            tensor = delta[name].to(device())
            result = denoise(tensor, selection.rank, selection.keep, name, layout.shapes.get(name))
            spectra[name] = Spectrum(result.singular_values, result.rank)
            if result.values is not tensor:
                cuts[name] = result.values.cpu()
    stored = ChainMap(cuts, delta)  # type: ignore[arg-type]
    if layout.rows and k > sum(int(tensor.count_nonzero()) for tensor in stored.values()):
        return Mask(select_top_k(Expanded(stored, layout), k), spectra)  # zeros are selected, also those not stored
    return Mask({name: layout.positions(name, indices) for name, indices in select_top_k(stored, k).items()}, spectra)


def build(delta: Path, selection: Denoising, k: int | float, out: Path, report: Path) -> Mask:
    """Select a mask from a delta's file, and write the mask and a report.

    k is a number of elements (int), or a share of all (float, rounded to the nearest element). Meanwhile denoised
    matrices are stored in a temporary file in the folder of `out`, 4 bytes per element. The report lists for every
    parameter its shape and the number of selected elements, and for denoised matrices the singular values and the rank
    of the signal.

    Raises:
        VectorError: the file is not a delta, or is corrupted.
        DeltaError: the delta is not finite, or k exceeds its size.
    """
    torch.set_num_threads(threads())
    with vectors.open_delta(delta) as file, Scratch(out.parent) as denoised:
        shapes = file.metadata.shapes
        budget = k if isinstance(k, int) else round(share_of(k, sum(map(prod, shapes.values()))))
        mask = select(DeltaTensors(file), selection, budget, layout_of(file), denoised)
        settings = selection.model_dump(mode="json") | {"k": mask.k}
        metadata = file.metadata.model_copy(update={"kind": "mask", "selection": settings})
    positions = {name: indices.numpy() for name, indices in mask.indices.items()}
    vectors.save(vectors.Vector(metadata, positions=positions), out)
    write_json(report, {name: _report(mask, name, shape) for name, shape in shapes.items()})
    return mask


def _report(mask: Mask, name: str, shape: list[int]) -> dict[str, Any]:
    spectrum = mask.spectra[name]
    return {
        "shape": shape,
        "entries": prod(shape),
        "chosen": len(mask.indices[name]),
        "rank": spectrum.rank,
        "singular_values": [float(f"{s:.6g}") for s in spectrum.singular_values.tolist()],
    }
