"""Denoising a delta: the low-rank part of each weight matrix, and the strongest of the rest.

For a weight matrix delta = U diag(s) V^T, the top-r singular triplets form L, the signal; of the rest
H = delta - L only the entries of largest magnitude survive, a share `keep` of each matrix
(Simon & Jyothi 2025, section 3.2). Where an entry of H survives the denoised entry is the delta itself,
elsewhere it is L: the same numbers as L + prune(H), but exact, so that full rank or `keep` 1 returns
the delta bit for bit. Vectors (biases) pass unchanged.
"""

from dataclasses import dataclass
from math import ceil, pi, sqrt

import torch
from torch import Tensor

from deftx.errors import DeltaError
from deftx.settings import Rank, UniformRank


@dataclass(frozen=True)
class Denoised:
    """A denoised tensor, with the spectrum it was cut from (empty for what passes unchanged)."""

    values: Tensor
    singular_values: Tensor
    rank: int | None


def denoise(delta: Tensor, rank: Rank, keep: float, name: str = "delta") -> Denoised:
    """Denoise one parameter's delta.

    Args:
        delta: any shape and floating dtype; only matrices are cut, all else passes unchanged.
        rank: the rank rule; `none` passes the delta unchanged (LT-SFT).
        keep: share of the entries of H that survive, 0 to 1, rounded up to whole entries.
        name: the parameter's name, for messages.
    Raises:
        DeltaError: the delta holds NaN or infinity.
    """
    if not bool(torch.isfinite(delta).all()):
        raise DeltaError(
            f"{name}: the delta holds NaN or infinity; the training that left it diverged. "
            "Lower its learning rate, delete the delta and run again"
        )
    if rank == "none" or delta.ndim != 2:
        return Denoised(delta, torch.empty(0), None)
    matrix = delta.float()
    left, singular, right = torch.linalg.svd(matrix, full_matrices=False)
    r = chosen_rank(singular, matrix.shape, rank)
    if r >= len(singular) or keep >= 1:
        return Denoised(delta, singular, r)
    low = (left[:, :r] * singular[:r]) @ right[:r]
    survivors = _largest_positions(matrix - low, ceil(keep * matrix.numel()))
    denoised = low.flatten()
    denoised[survivors] = matrix.flatten()[survivors]
    return Denoised(denoised.view_as(delta).to(delta.dtype), singular, r)


def chosen_rank(singular: Tensor, shape: tuple[int, ...] | torch.Size, rank: Rank) -> int:
    """The number of singular triplets kept, by the rank rule.

    `variance: x` is the smallest r whose squared singular values sum to at least x of all of them;
    `uniform: r` is r, or everything in a smaller matrix; `gavish-donoho` counts the singular values
    above the optimal hard threshold for white noise of unknown level
    (Gavish & Donoho 2014), see `hard_threshold`.
    """
    energy = singular.double().square()
    if rank == "none" or float(energy.sum()) == 0:
        return len(singular)
    if rank == "gavish-donoho":
        omega = hard_threshold(min(shape) / max(shape))
        return int((singular > omega * singular.median()).sum())
    if isinstance(rank, UniformRank):
        return min(rank.uniform, len(singular))
    share = energy.cumsum(0) / energy.sum()
    return min(int((share < rank.variance).sum()) + 1, len(singular))


def hard_threshold(beta: float) -> float:
    """omega(beta): the optimal hard threshold over the median singular value.

    For a matrix of aspect ratio 0 < beta <= 1 in white noise of unknown level
    (Gavish & Donoho 2014, equations 11 and 7, with the Marchenko-Pastur median by quadrature).
    """
    from scipy.integrate import quad
    from scipy.optimize import brentq

    lower, upper = (1 - sqrt(beta)) ** 2, (1 + sqrt(beta)) ** 2

    def density(x: float) -> float:
        return sqrt(max((upper - x) * (x - lower), 0.0)) / (2 * pi * beta * x)

    median = brentq(lambda x: quad(density, lower, x)[0] - 0.5, lower + 1e-12, upper)
    threshold = 2 * (beta + 1) + 8 * beta / (beta + 1 + sqrt(beta**2 + 14 * beta + 1))
    return sqrt(threshold / median)


def _largest_positions(matrix: Tensor, count: int) -> Tensor:
    """Flat positions of the `count` entries of largest magnitude; ties go to the lower position."""
    magnitude = matrix.abs().flatten()
    if count >= magnitude.numel():
        return torch.arange(magnitude.numel())
    if count == 0:
        return torch.empty(0, dtype=torch.int64)
    threshold = magnitude.kthvalue(magnitude.numel() - count + 1).values
    above = (magnitude > threshold).nonzero().flatten()
    ties = (magnitude == threshold).nonzero().flatten()[: count - len(above)]
    return torch.cat([above, ties])
