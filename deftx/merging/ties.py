"""The election of TIES-Merging (Yadav et al. 2023, section 4), without its trimming and its mean."""

import numpy as np
from numpy.typing import NDArray


def survivors(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which values (vectors x entries, at entries several move) have the sign of their sum over the vectors.

    The sum is that of the values in ascending order, in float64: it is the same for any order of the vectors.
    """
    elected = np.sign(np.sort(values, axis=0).astype(np.float64).sum(axis=0))
    kept: NDArray[np.bool_] = (np.sign(values) == elected) & (values != 0)
    return kept
