"""The k-th largest magnitude of any number of entries, exactly, in a few passes and a megabyte.

Magnitudes of float32 have the order of their bit patterns without the sign. One pass counts the entries by the
upper half of that pattern, a second one those of the one bin that holds the k-th largest by the lower half; so no
entry is copied, sorted or held, however many there are. A third pass may then pick.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deftx.core.errors import DeltaError

LOW_BITS = 15  # of the 31 bits of a magnitude; the upper 16 name its bin
NOT_FINITE = 0x7F80_0000  # infinity's pattern; NaN lies above
CHUNK = 1 << 20  # entries looked at together: with all copies they stay in the cache

Passes = Callable[[], Iterable[Tensor]]
"""Gives the same float32 tensors, in the same order, as often as it is called."""


@dataclass
class Cut:
    """Where the k largest magnitudes end: at this bit pattern, of which so many entries more are in."""

    bits: int
    ties: int

    def picked(self, chunk: Tensor) -> Tensor:
        """Which entries of a flat chunk are among the k largest (bool); call it once per chunk, in order.

        Of entries equal to the k-th largest the first ones are in.
        """
        bits = magnitude_bits(chunk)
        chosen = bits > self.bits
        if self.ties:
            ties = (bits == self.bits).nonzero().flatten()[: self.ties]
            chosen[ties] = True
            self.ties -= len(ties)
        return chosen


def cut(passes: Passes, k: int) -> Cut:
    """The cut below the k largest magnitudes, k >= 1.

    Raises:
        DeltaError: there are fewer than k entries, or one is NaN or infinite.
    """
    bins = sum((_count(bits >> LOW_BITS, 31 - LOW_BITS) for bits in _chunks(passes)), torch.zeros(1, dtype=torch.int64))
    if bins[NOT_FINITE >> LOW_BITS :].any():
        raise DeltaError("an entry is NaN or infinite, so its rank is not defined; the training that left it diverged")
    upper, wanted = _from_top(bins, k)
    low = (1 << LOW_BITS) - 1
    inside = (bits[bits >> LOW_BITS == upper] & low for bits in _chunks(passes))
    lower, ties = _from_top(sum((_count(b, LOW_BITS) for b in inside), torch.zeros(1, dtype=torch.int64)), wanted)
    return Cut(upper << LOW_BITS | lower, ties)


def magnitude_bits(tensor: Tensor) -> Tensor:
    """|x| of float32 as int32 of the same order: the bit pattern without the sign."""
    return tensor.view(torch.int32) & 0x7FFF_FFFF


def _chunks(passes: Passes) -> Iterator[Tensor]:
    for tensor in passes():
        yield from map(magnitude_bits, tensor.flatten().split(CHUNK))


def _count(bins: Tensor, bits: int) -> Tensor:
    return torch.bincount(bins, minlength=1 << bits).cpu()


def _from_top(counts: Tensor, k: int) -> tuple[int, int]:
    """The bin that holds the k-th largest entry, and the rank of that entry inside it (from 1)."""
    from_top = counts.flip(0).cumsum(0)
    if not len(from_top) or k > int(from_top[-1]):
        raise DeltaError(
            f"the budget k = {k:,} does not fit: there are {int(counts.sum()):,} maskable entries. "
            "Lower k in the selection, or give a share of the entries such as 0.05"
        )
    above = int((from_top < k).sum())
    before = int(from_top[above - 1]) if above else 0
    return len(counts) - 1 - above, k - before
