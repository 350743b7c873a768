"""The exact k-th largest magnitude of any number of elements, in a few passes and a megabyte.

Magnitudes of float32 have the order of their bit patterns without the sign. The first pass counts the elements by the
upper half of that pattern. The second pass counts those in the bin of the k-th largest by the lower half. No element is
copied, sorted or stored, however many there are. A third pass may then select.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from deftx.core.errors import DeltaError

LOW_BITS = 15  # of the 31 bits of a magnitude; the upper 16 name its bin
NOT_FINITE = 0x7F80_0000  # infinity's pattern; NaN lies above
CHUNK = 1 << 20  # elements processed together: with all copies they fit into the cache

Passes = Callable[[], Iterable[Tensor]]
"""Callable that returns the same float32 tensors, in the same order, on every call."""


def share_of(share: float, count: int) -> Fraction:
    """Return a share of `count` elements, exactly as it is written: 0.07 of 100 is 7, and not a little more.

    A float stands for the shortest decimal number that gives it, which is what a configuration states.
    """
    return Fraction(repr(float(share))) * count


@dataclass
class Cut:
    """Lower end of the k largest magnitudes: a bit pattern, and how many elements that have it are selected."""

    bits: int
    ties: int

    def pick(self, chunk: Tensor) -> Tensor:
        """Return which elements of a flat chunk are among the k largest (bool); call it once per chunk, in order.

        Of elements equal to the k-th largest the first ones are selected.
        """
        bits = magnitude_bits(chunk)
        chosen = bits > self.bits
        if self.ties:
            ties = (bits == self.bits).nonzero().flatten()[: self.ties]
            chosen[ties] = True
            self.ties -= len(ties)
        return chosen


def find_cut(passes: Passes, k: int) -> Cut:
    """Return the cut below the k largest magnitudes, k >= 1.

    Raises:
        DeltaError: k exceeds the number of elements, or one is NaN or infinite.
    """
    bins = sum((_count(bits >> LOW_BITS, 31 - LOW_BITS) for bits in _chunks(passes)), torch.zeros(1, dtype=torch.int64))
    if bins[NOT_FINITE >> LOW_BITS :].any():
        raise DeltaError("an element is NaN or infinite, because its training diverged")
    upper, wanted = _from_top(bins, k)
    low = (1 << LOW_BITS) - 1
    inside = (bits[bits >> LOW_BITS == upper] & low for bits in _chunks(passes))
    lower, ties = _from_top(sum((_count(b, LOW_BITS) for b in inside), torch.zeros(1, dtype=torch.int64)), wanted)
    return Cut(upper << LOW_BITS | lower, ties)


def magnitude_bits(tensor: Tensor) -> Tensor:
    """Return |x| of float32 as int32 of the same order: the bit pattern without the sign."""
    return tensor.view(torch.int32) & 0x7FFF_FFFF


def _chunks(passes: Passes) -> Iterator[Tensor]:
    for tensor in passes():
        yield from map(magnitude_bits, tensor.flatten().split(CHUNK))


def _count(bins: Tensor, bits: int) -> Tensor:
    return torch.bincount(bins, minlength=1 << bits).cpu()


def _from_top(counts: Tensor, k: int) -> tuple[int, int]:
    """Return the bin of the k-th largest element, and the rank of that element in the bin (from 1)."""
    from_top = counts.flip(0).cumsum(0)
    if not len(from_top) or k > int(from_top[-1]):
        raise DeltaError(
            f"k = {k:,} exceeds the {int(counts.sum()):,} maskable parameters. "
            "Lower k in the selection, or give a share such as 0.05"
        )
    above = int((from_top < k).sum())
    before = int(from_top[above - 1]) if above else 0
    return len(counts) - 1 - above, k - before
