"""Dropping what several vectors move, so that what is left is disjoint."""

import numpy as np
from numpy.typing import NDArray


def survivors(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return that no value survives (vectors x entries, at entries several move)."""
    return np.zeros(values.shape, bool)
