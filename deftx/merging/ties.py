"""Election of TIES-Merging (Yadav et al. 2023, section 4), without its trimming and its mean."""

import numpy as np
from numpy.typing import NDArray


def survivors(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which values (vectors x elements, at elements that several change) have the sign of their sum.

    The values are summed over the vectors in ascending order, in float64: the sum is the same for any order of them.
    """
    elected = np.sign(np.sort(values, axis=0).astype(np.float64).sum(axis=0))
    agreeing: NDArray[np.bool_] = (np.sign(values) == elected) & (values != 0)
    return agreeing
