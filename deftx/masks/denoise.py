"""Denoising a delta: the low-rank part of each weight matrix, and the strongest of the rest.

For a weight matrix delta = U diag(s) V^T, the top-r singular triplets form L, the signal; of the rest
H = delta - L only the entries of largest magnitude survive, a share `keep` of each matrix
(Simon & Jyothi 2025, section 3.2). Where an entry of H survives the denoised entry is the delta itself,
elsewhere it is L: the same numbers as L + prune(H), but exact, so that full rank or `keep` 1 returns
the delta bit for bit. Vectors (biases) pass unchanged.

L is the projection of the delta onto its leading singular vectors on the short side, and those are the
eigenvectors of a small Gram matrix: no singular vector of the long side is ever computed. The Gram matrix is summed
in float64, which resolves singular values as far as float32 entries do, down to 6e-8 of the largest.
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
TOLERANCE = 1e-4  # error of L that is accepted, relative to its norm
RESOLUTION = 2.0**-48  # squared singular values below this share of the largest are 0: float32 does not resolve them
ROUNDING = 8 * 2.0**-53  # error of an entry of the Gram matrix between unit vectors, relative to the largest eigenvalue


@dataclass(frozen=True)
class Denoised:
    """A denoised tensor, with the spectrum it was cut from (empty for what passes unchanged)."""

    values: Tensor
    singular_values: Tensor
    rank: int | None


def denoise(
    delta: Tensor, rank: Rank, keep: float, name: str = "delta", shape: Sequence[int] | None = None
) -> Denoised:
    """Denoise one parameter's delta.

    Args:
        delta: any shape and floating dtype, on any device; only matrices are cut, all else passes unchanged.
        rank: the rank rule; `none` passes the delta unchanged (LT-SFT).
        keep: share of the entries of H that survive, 0 to 1, rounded up to whole entries.
        name: the parameter's name, for messages.
        shape: shape of the whole matrix, where `delta` lacks its rows of zeros.
    Raises:
        DeltaError: the delta holds NaN or infinity.
    """
    check_finite(delta, name)
    if rank == "none" or delta.ndim != 2:
        return Denoised(delta, torch.empty(0), None)
    whole = tuple(shape or delta.shape)
    matrix = delta.float().contiguous()
    energy, directions = spectrum(matrix)
    singular = torch.zeros(min(whole), dtype=torch.float64)
    singular[: len(energy)] = energy.sqrt().cpu()
    r = chosen_rank(singular, whole, rank)
    if r >= len(energy) or keep >= 1:
        return Denoised(delta, singular, r)
    low = low_rank(matrix, directions, singular, r)
    _restore(low, matrix, min(ceil(keep * whole[0] * whole[1]), low.numel()))
    return Denoised(low.to(delta.dtype), singular, r)


def check_finite(delta: Tensor, name: str) -> None:
    """Refuse a delta of NaN or infinity; no copy of it is made.

    Raises:
        DeltaError: named, with the way out.
    """
    if delta.numel() and not all(bool(extreme.isfinite()) for extreme in delta.aminmax()):
        raise DeltaError(
            f"{name}: the delta holds NaN or infinity; the training that left it diverged. "
            "Lower its learning rate, delete the delta and run again"
        )


def spectrum(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Squared singular values of a float32 matrix, falling, and its singular vectors on the short side, as columns.

    Both float64, on the matrix's device, from the eigenvalues of the Gram matrix of the short side.
    """
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    gram = torch.zeros(tall.shape[1], tall.shape[1], dtype=torch.float64, device=matrix.device)
    for block in tall.split(BLOCK):
        rows = block.double()
        gram.addmm_(rows.T, rows)
    energy, directions = torch.linalg.eigh(gram)
    energy = torch.where(energy > RESOLUTION * energy[-1:], energy, 0.0)
    return energy.flip(0), directions.flip(1)


def low_rank(matrix: Tensor, directions: Tensor, singular: Tensor, r: int) -> Tensor:
    """L, the part of a float32 matrix (m x n) in its first r singular directions (short side x short side, float64).

    Where the stated error of the directions would change L by more than 1e-4 of its norm (singular values r and r + 1
    nearly equal), they come from a singular value decomposition in float64 instead.
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
    """Bound on the error of L, relative to its norm, that comes from rounding in the Gram matrix.

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


def chosen_rank(singular: Tensor, shape: Sequence[int], rank: Rank) -> int:
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


def _restore(low: Tensor, matrix: Tensor, count: int) -> None:
    """Put the matrix's own entries into L, in place, where the rest H = matrix - L is largest in magnitude."""
    if not count:
        return

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        return zip(matrix.view(-1).split(top_k.CHUNK), low.view(-1).split(top_k.CHUNK), strict=True)

    cut = top_k.cut(lambda: (own - signal for own, signal in pairs()), count)
    for own, signal in pairs():
        torch.where(cut.picked(own - signal), own, signal, out=signal)
