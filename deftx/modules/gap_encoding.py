"""Ascending indices as gaps of one byte, the form in which masks, SFTs and deltas store positions.

A gap is the distance from the previous index (the first one from -1), minus one, so it is >= 0.
Gaps of 255 and more are written as the byte 255 and stored in full in a second array.
At 5 % density a gap exceeds a byte about twice in a million entries, so a position costs one byte.

Both directions work in chunks whose 8-byte integers fit the cache: the plain form, one operation on the whole array
after another, spends its time moving memory.
"""

import numpy as np
from numpy.typing import NDArray

from deftx.core.errors import VectorError

ESCAPE = 255
CHUNK = 1 << 15  # indices at once, 256 KiB


def encode(indices: NDArray[np.integer], size: int, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the one-byte gaps and the large gaps of strictly ascending `indices` (1-D) below `size`.

    Raises:
        VectorError: an index is outside 0..size-1, or not above the one before it.
    """
    gaps = np.empty(len(indices), np.uint8)
    large = []
    previous = -1
    for start in range(0, len(indices), CHUNK):
        part = indices[start : start + CHUNK].astype(np.int64)
        if int(part.min()) < 0 or int(part.max()) >= size:
            raise VectorError(f"{name}: an index lies outside 0..{size - 1}")
        wide = np.diff(part, prepend=previous)
        if int(wide.min()) < 1:
            raise VectorError(f"{name}: indices must ascend, and none may come twice")
        wide -= 1
        if int(wide.max()) >= ESCAPE:
            large.append(wide[wide >= ESCAPE])
            np.minimum(wide, ESCAPE, out=wide)
        gaps[start : start + CHUNK] = wide
        previous = int(part[-1])
    return gaps, np.concatenate([np.empty(0, np.int64), *large])


def decode(gaps: NDArray[np.uint8], large: NDArray[np.int64], size: int, name: str) -> NDArray[np.int64]:
    """Return the indices behind `gaps` and `large`, for a parameter of `size` (< 2^53) entries called `name`.

    Raises:
        VectorError: the arrays do not belong together, or an index lies outside the parameter.
    """
    announced = int(np.count_nonzero(gaps == ESCAPE))
    if announced != len(large):
        raise VectorError(f"{name}: {announced} large gaps announced, {len(large)} stored")
    # Added as floats, gaps that are too large together cannot wrap around to a small sum.
    if len(large) and (int(large.min()) < ESCAPE or float(large.sum(dtype=np.float64)) > size):
        raise VectorError(f"{name}: a stored gap lies outside {ESCAPE}..{size}")
    indices = np.empty(len(gaps), np.int64)
    previous, used = -1, 0
    for start in range(0, len(gaps), CHUNK):
        part, wide = gaps[start : start + CHUNK], indices[start : start + CHUNK]
        np.add(part, 1, out=wide, dtype=np.int64)
        if len(large):
            escaped = np.flatnonzero(part == ESCAPE)
            wide[escaped] += large[used : used + len(escaped)] - ESCAPE
            used += len(escaped)
        wide[0] += previous
        np.cumsum(wide, out=wide)
        previous = int(wide[-1])
    if previous >= size:
        raise VectorError(f"{name}: index {previous} in a parameter of {size} entries")
    return indices
