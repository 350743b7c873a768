"""Ascending indices as gaps of one byte, the form in which masks and SFTs store positions.

A gap is the distance from the previous index (the first one from -1), minus one, so it is >= 0.
Gaps of 255 and more are written as the byte 255 and stored in full in a second array.
At 5 % density a gap exceeds a byte about twice in a million entries, so a position costs one byte.
"""

import numpy as np
from numpy.typing import NDArray

from deftx.errors import VectorError

ESCAPE = 255


def encode(indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The one-byte gaps and the large gaps of strictly ascending `indices` (1-D, >= 0)."""
    gaps = np.diff(indices, prepend=-1) - 1
    large = gaps[gaps >= ESCAPE]
    return np.minimum(gaps, ESCAPE).astype(np.uint8), large.astype(np.int64)


def decode(gaps: NDArray[np.uint8], large: NDArray[np.int64], size: int, name: str) -> NDArray[np.int64]:
    """The indices behind `gaps` and `large`, for a parameter of `size` entries called `name`.

    Raises:
        VectorError: the arrays do not belong together, or an index lies outside the parameter.
    """
    wide = gaps.astype(np.int64)
    escaped = gaps == ESCAPE
    if int(escaped.sum()) != len(large):
        raise VectorError(f"{name}: {int(escaped.sum())} large gaps announced, {len(large)} stored")
    if len(large) and (int(large.min()) < ESCAPE or int(large.max()) > size):
        raise VectorError(f"{name}: a stored gap lies outside {ESCAPE}..{size}")
    wide[escaped] = large
    indices = np.cumsum(wide + 1) - 1
    if len(indices) and int(indices[-1]) >= size:
        raise VectorError(f"{name}: index {int(indices[-1])} in a parameter of {size} entries")
    return indices
