"""Denoising of a delta: the low-rank part of each weight matrix, and the largest elements of the residual.

For a weight matrix delta = U diag(s) V^T, the top-r singular triplets form L, the signal. Of the residual H = delta - L
only the elements of largest magnitude survive, a share `keep` of each matrix (Simon & Jyothi 2025, section 3.2). Where
an element of H survives, the denoised element is that of the delta, elsewhere that of L. The numbers are those of
L + prune(H), but exact: full rank or `keep` 1 returns the delta bit for bit. Vectors (biases) stay unchanged.

L is the projection of the delta onto its leading singular vectors on the short side, which are the eigenvectors of a
small Gram matrix; no singular vector of the long side is computed. The Gram matrix is summed in float64, which resolves
singular values as far as float32 elements do, down to 6e-8 of the largest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, pi, sqrt

import torch
from torch import Tensor

from deftx.config.masks import Rank, UniformRank
from deftx.core.errors import DeltaError
from deftx.masks import top_k

BLOCK = 4096  # rows whose float64 copies enter the Gram matrix together
TOLERANCE = 1e-4  # accepted error of L, relative to its norm
RESOLUTION = 2.0**-48  # squared singular values below this share of the largest are 0: float32 does not resolve them
ROUNDING = 8 * 2.0**-53  # error of a Gram element between unit vectors, relative to the largest eigenvalue


@dataclass(frozen=True)
class Denoised:
    """Denoised tensor with its spectrum, which is empty for unchanged tensors."""

    values: Tensor
    singular_values: Tensor
    rank: int | None


def denoise(
    delta: Tensor, rank: Rank, keep: float, name: str = "delta", shape: Sequence[int] | None = None
) -> Denoised:
    """Return the denoised delta of one parameter.

    Args:
        delta: any shape and floating dtype, on any device; only matrices are denoised.
        rank: the rank rule; `none` returns the delta unchanged (LT-SFT).
        keep: share of the elements of H that survive, 0 to 1, rounded up to whole elements.
        name: the parameter's name, for messages.
        shape: shape of the full matrix, if `delta` lacks its rows of zeros.
    Raises:
        DeltaError: the delta contains NaN or infinity.
    """
    check_finite(delta, name)
    if rank == "none" or delta.ndim != 2:
        return Denoised(delta, torch.empty(0), None)
    whole = tuple(shape or delta.shape)
    matrix = delta.float().contiguous()
    energy, directions = spectrum(matrix)
    singular = torch.zeros(min(whole), dtype=torch.float64)
    singular[: len(energy)] = energy.sqrt().cpu()
    r = choose_rank(singular, whole, rank)
    if r >= len(energy) or keep >= 1:
        return Denoised(delta, singular, r)
    low = project_low_rank(matrix, directions, singular, r)
    _restore(low, matrix, min(ceil(top_k.share_of(keep, whole[0] * whole[1])), low.numel()))
    return Denoised(low.to(delta.dtype), singular, r)


def check_finite(delta: Tensor, name: str) -> None:
    """Check, without a copy, that a delta contains neither NaN nor infinity.

    Raises:
        DeltaError: it does; with its name and the fix.
    """
    if delta.numel() and not all(bool(extreme.isfinite()) for extreme in delta.aminmax()):
        raise DeltaError(
            f"{name}: the delta contains NaN or infinity, because its training diverged. "
            "Lower the learning rate, delete the delta and rerun"
        )


def spectrum(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared singular values of a float32 matrix, descending, and its singular vectors on the short side.

    Vectors are columns. Both are float64, on the matrix's device, from the Gram matrix of the short side.
    """
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    gram = torch.zeros(tall.shape[1], tall.shape[1], dtype=torch.float64, device=matrix.device)
    for block in tall.split(BLOCK):
        rows = block.double()
        gram.addmm_(rows.T, rows)
    energy, directions = torch.linalg.eigh(gram)
    energy = torch.where(energy > RESOLUTION * energy[-1:], energy, 0.0)
    return energy.flip(0), directions.flip(1)


def project_low_rank(matrix: Tensor, directions: Tensor, singular: Tensor, r: int) -> Tensor:
    """Return L, the part of a float32 matrix (m x n) in its first r singular directions (short side squared, float64).

    If the error of the directions could change L by more than 1e-4 of its norm (singular values r and r + 1 nearly
    equal), they are computed by a singular value decomposition in float64.
    """
    if projection_error(singular, r) > TOLERANCE:
        left, _, right = torch.linalg.svd(matrix.double(), full_matrices=False)
        directions = right.T if matrix.shape[0] >= matrix.shape[1] else left
    leading = directions[:, :r]
    tall = matrix.shape[0] >= matrix.shape[1]
    if 2 * r < len(directions):  # two thin products cost less than one with the projector
        thin = leading.float()
        return (matrix @ thin) @ thin.T if tall else thin @ (thin.T @ matrix)
    projector = (leading @ leading.T).float()
    return matrix @ projector if tall else projector @ matrix


def projection_error(singular: Tensor, r: int) -> float:
    """Return a bound on the error of L by rounding in the Gram matrix, relative to its norm.

    An error E of the Gram matrix turns direction i towards direction j by E_ij / (s_i^2 - s_j^2); a turn between
    i <= r < j moves L by the turn times sqrt(s_i^2 + s_j^2), and no turn by more than a right angle (first-order
    perturbation theory, as in Stewart & Sun 1990, chapter V).
    """
    energy = singular.double().square()
    inside, outside = energy[:r, None], energy[None, r:]
    if not inside.numel() or not outside.numel() or float(energy[0]) == 0:
        return 0.0
    turn = (ROUNDING * energy[0] / (inside - outside).clamp(min=1e-300)).clamp(max=1.0)
    return float((turn.square() * (inside + outside)).sum().sqrt() / inside.sum().sqrt())


def choose_rank(singular: Tensor, shape: Sequence[int], rank: Rank) -> int:
    """Return the number of singular triplets in L, by the rank rule.

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
        return int((singular > omega * singular.quantile(0.5)).sum())  # torch's median is the lower of two
    if isinstance(rank, UniformRank):
        return min(rank.uniform, len(singular))
    share = energy.cumsum(0) / energy.sum()
    return min(int((share < rank.variance).sum()) + 1, len(singular))


def hard_threshold(beta: float) -> float:
    """Return omega(beta), the optimal hard threshold over the median singular value.

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


def _restore(low: Tensor, matrix: Tensor, count: int) -> None:
    """Replace elements of L, in place, by those of the matrix where H = matrix - L is largest in magnitude."""
    if not count:
        return

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        return zip(matrix.view(-1).split(top_k.CHUNK), low.view(-1).split(top_k.CHUNK), strict=True)

    cut = top_k.find_cut(lambda: (own - signal for own, signal in pairs()), count)
    for own, signal in pairs():
        torch.where(cut.pick(own - signal), own, signal, out=signal)
