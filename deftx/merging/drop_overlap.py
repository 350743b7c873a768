"""Merging rule that drops elements which several vectors change, so that the vectors become disjoint."""

import numpy as np
from numpy.typing import NDArray


def survivors(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return that no value survives (vectors x elements, at elements that several change)."""
    return np.zeros(values.shape, bool)
