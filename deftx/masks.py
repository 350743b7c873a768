"""Masks: the entries of a model that sparse fine-tuning may move.

A mask is the k entries of largest magnitude over all maskable parameters together
(Ansell et al. 2022, section 3.1), taken from the raw delta (LT-SFT) or from the denoised one
(DeFT-X, Simon & Jyothi 2025, section 3.2). It is kept as flat indices per parameter, ascending.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deftx import sft
from deftx.denoise import Denoised, denoise
from deftx.errors import DeltaError, VectorError
from deftx.files import write_json
from deftx.provenance import threads
from deftx.settings import Denoising, Rank

BIN_BITS = 15  # a magnitude's upper 16 of 31 bits name its bin


def largest(delta: Mapping[str, Tensor], k: int) -> dict[str, Tensor]:
    """The k entries of largest magnitude, as flat int64 indices by parameter name, ascending.

    A histogram of the magnitudes' bit patterns finds the bin of the k-th largest, then that bin alone
    is sorted, so beside `delta` only one parameter's worth of memory is needed.
    Ties go to the earlier parameter and the lower index, so exactly k entries come back.

    Args:
        delta: float32 tensors of any shape by parameter name, in the base's order, all finite.
        k: 0 <= k <= number of entries.
    Raises:
        DeltaError: k is out of range.
    """
    total = sum(tensor.numel() for tensor in delta.values())
    if not 0 <= k <= total:
        raise DeltaError(
            f"the budget k = {k:,} does not fit: the model has {total:,} maskable entries. "
            "Lower k in the selection, or give a share of the entries such as 0.05"
        )
    if k == 0:
        return {name: torch.empty(0, dtype=torch.int64) for name in delta}
    threshold, ties_left = _threshold(delta, k)
    indices = {}
    for name, tensor in delta.items():
        bits = _magnitude_bits(tensor)
        chosen = bits > threshold
        ties = (bits == threshold).nonzero().flatten()[:ties_left]
        chosen[ties] = True
        ties_left -= len(ties)
        indices[name] = chosen.nonzero().flatten()
    return indices


def _threshold(delta: Mapping[str, Tensor], k: int) -> tuple[int, int]:
    """The bit pattern of the k-th largest magnitude, and how many entries equal to it are in."""
    counts = torch.zeros(1 << (31 - BIN_BITS), dtype=torch.int64)
    for tensor in delta.values():
        counts += torch.bincount(_magnitude_bits(tensor) >> BIN_BITS, minlength=len(counts))
    from_top = counts.flip(0).cumsum(0).flip(0)  # entries in this bin or above
    pivot = int((from_top >= k).sum()) - 1
    wanted = k - (int(from_top[pivot + 1]) if pivot + 1 < len(counts) else 0)
    in_pivot = torch.cat(
        [bits[(bits >> BIN_BITS) == pivot] for bits in (_magnitude_bits(tensor) for tensor in delta.values())]
    )
    threshold = int(in_pivot.sort(descending=True).values[wanted - 1])
    return threshold, wanted - int((in_pivot > threshold).sum())


def _magnitude_bits(tensor: Tensor) -> Tensor:
    """|x| of float32 as int32 in the same order: the bit pattern without the sign."""
    return tensor.float().flatten().view(torch.int32) & 0x7FFFFFFF


@dataclass(frozen=True)
class Mask:
    """A mask, and for each parameter what the denoising saw."""

    indices: dict[str, Tensor]
    denoised: dict[str, Denoised]

    @property
    def k(self) -> int:
        """Number of entries in the mask."""
        return sum(len(i) for i in self.indices.values())


def select(delta: Mapping[str, Tensor], selection: Denoising, k: int | float) -> Mask:
    """The mask of a delta by a selection: denoise each parameter, then take the k largest entries.

    Args:
        delta: float32 tensors by parameter name, all maskable parameters of the model.
        selection: rank rule, kept share, whether embeddings are denoised.
        k: a number of entries (int), or a share of all entries (float, rounded to the nearest entry).
    Raises:
        DeltaError: a delta holds NaN or infinity, or k does not fit.
    """
    denoised = {}
    for name, tensor in delta.items():
        rank: Rank = "none" if _is_embedding(name) and not selection.embeddings else selection.rank
        denoised[name] = denoise(tensor, rank, selection.keep, name)
    total = sum(tensor.numel() for tensor in delta.values())
    budget = k if isinstance(k, int) else round(k * total)
    return Mask(largest({n: d.values for n, d in denoised.items()}, budget), denoised)


def _is_embedding(name: str) -> bool:
    return "embeddings." in name


def build(delta: Path, selection: Denoising, k: int | float, out: Path, report: Path) -> Mask:
    """Select a mask from a delta's file; writes the mask, and per parameter what the selection saw.

    The report lists for every parameter its shape, how many entries were chosen, and for denoised matrices the
    singular values and the rank that was kept.

    Raises:
        VectorError: the file is no delta, or is damaged.
        DeltaError: the delta is not finite, or k does not fit.
    """
    torch.set_num_threads(threads())
    source = sft.load(delta)
    if source.metadata.kind != "delta":
        raise VectorError(f"{delta} is a {source.metadata.kind}; a mask is selected from a delta")
    mask = select({name: torch.from_numpy(d) for name, d in source.dense.items()}, selection, k)
    settings = selection.model_dump(mode="json") | {"k": mask.k}
    metadata = source.metadata.model_copy(update={"kind": "mask", "selection": settings})
    positions = {name: indices.numpy() for name, indices in mask.indices.items()}
    sft.save(sft.Vector(metadata, positions=positions), out)
    write_json(report, {name: _seen(mask, name, source.metadata.shapes[name]) for name in positions})
    return mask


def _seen(mask: Mask, name: str, shape: list[int]) -> dict[str, Any]:
    denoised = mask.denoised[name]
    return {
        "shape": shape,
        "entries": denoised.values.numel(),
        "chosen": len(mask.indices[name]),
        "rank": denoised.rank,
        "singular_values": [float(f"{s:.6g}") for s in denoised.singular_values.tolist()],
    }
