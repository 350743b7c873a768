"""Denoising: exact where nothing is cut, elsewhere what a plain SVD in float64 says."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from deftx.config.masks import Rank, UniformRank, VarianceRank
from deftx.core.errors import DeltaError
from deftx.masks import denoise as stage
from deftx.masks.denoise import TOLERANCE, choose_rank, denoise, hard_threshold, projection_error, spectrum

RULES: list[Rank] = ["none", "gavish-donoho", UniformRank(uniform=2), VarianceRank(variance=0.6)]


def random_matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def matrices() -> st.SearchStrategy[Tensor]:
    return st.builds(random_matrix, st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))


def plain(delta: Tensor, rank: int, keep: float) -> NDArray[np.float64]:
    """L + prune(H) as the paper writes it, in float64."""
    matrix = delta.numpy().astype(np.float64)
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    low = (left[:, :rank] * singular[:rank]) @ right[:rank]
    rest = matrix - low
    pruned = np.zeros(matrix.size)
    largest = np.argsort(-np.abs(rest).ravel(), kind="stable")[: ceil(Fraction(repr(keep)) * matrix.size)]
    pruned[largest] = rest.ravel()[largest]
    return low + pruned.reshape(matrix.shape)


@given(matrices(), st.sampled_from(RULES))
def test_keeping_all_of_the_rest_returns_the_delta(delta: Tensor, rank: Rank) -> None:
    assert torch.equal(denoise(delta, rank, keep=1.0).values, delta)


@given(matrices(), st.floats(0, 1), st.integers(0, 3))
def test_full_rank_returns_the_delta(delta: Tensor, keep: float, more: int) -> None:
    whole = UniformRank(uniform=min(delta.shape) + more)
    assert torch.equal(denoise(delta, whole, keep).values, delta)
    assert torch.equal(denoise(delta, "none", keep).values, delta)


@given(matrices(), st.integers(1, 5), st.floats(0, 1))
def test_low_rank_plus_pruned_rest(delta: Tensor, r: int, keep: float) -> None:
    denoised = denoise(delta, UniformRank(uniform=r), keep)
    np.testing.assert_allclose(denoised.values.numpy(), plain(delta, r, keep), atol=2e-5)
    assert denoised.rank == min(r, *delta.shape)


@given(matrices(), st.floats(0, 1))
def test_survivors_are_counted_and_exact(delta: Tensor, keep: float) -> None:
    cut, without = (denoise(delta, UniformRank(uniform=1), share).values for share in (keep, 0.0))
    survivors = cut != without
    if min(delta.shape) > 1:
        assert int(survivors.sum()) == ceil(Fraction(repr(keep)) * delta.numel())
    assert torch.equal(cut[survivors], delta[survivors])


@given(matrices(), st.floats(0.01, 0.99))
def test_variance_takes_the_smallest_rank(delta: Tensor, share: float) -> None:
    singular = torch.linalg.svdvals(delta)
    energy = singular.double().square().tolist()
    enough = [r for r in range(1, len(energy) + 1) if sum(energy[:r]) >= share * sum(energy)]
    assert choose_rank(singular, delta.shape, VarianceRank(variance=share)) == enough[0]


def test_variance_of_one_keeps_everything() -> None:
    delta = random_matrix(6, 4, 0)
    assert torch.equal(denoise(delta, VarianceRank(variance=1.0), 0.0).values, delta)


@pytest.mark.parametrize("shape", [(120, 80), (80, 120), (100, 100)])
def test_gavish_donoho_finds_a_planted_rank(shape: tuple[int, int]) -> None:
    left, right = random_matrix(shape[0], 3, 1), random_matrix(3, shape[1], 2)
    noise = random_matrix(*shape, 3)
    delta = 1e-3 * (left @ right + noise)
    assert denoise(delta, "gavish-donoho", 0.0).rank == 3


def test_gavish_donoho_keeps_nothing_of_pure_noise() -> None:
    denoised = denoise(random_matrix(200, 100, 0), "gavish-donoho", 0.0)
    assert denoised.rank == 0
    assert not denoised.values.any()


def test_gavish_donoho_takes_the_mean_of_the_two_in_the_middle() -> None:
    """The threshold is 2.858 times the median, which is 5 here: 14.3. Times the lower of the two, it would be 5.7."""
    singular = torch.tensor([30.0, 8.0, 2.0, 0.1], dtype=torch.float64)
    assert choose_rank(singular, (4, 4), "gavish-donoho") == 1


@pytest.mark.parametrize(("share", "count"), [(0.07, 7), (0.14, 14), (0.28, 28), (0.29, 29), (0.055, 6)])
def test_the_kept_share_is_exact(share: float, count: int) -> None:
    """As a float, 0.07 times 100 is a little more than 7, and would be rounded up to 8."""
    delta = random_matrix(10, 10, 0)
    without, kept = (denoise(delta, UniformRank(uniform=1), keep).values for keep in (0.0, share))
    assert int((without != kept).sum()) == count


@pytest.mark.parametrize(("beta", "published"), [(1.0, 2.858), (0.5, 2.1711), (0.25, 1.8371)])
def test_hard_threshold_as_published(beta: float, published: float) -> None:
    """Gavish & Donoho 2014, table IV."""
    assert hard_threshold(beta) == pytest.approx(published, abs=1e-3)


@pytest.mark.parametrize("rank", RULES)
def test_vectors_and_zero_matrices_pass_unchanged(rank: Rank) -> None:
    for delta in (torch.randn(7), torch.zeros(4, 3), torch.zeros(3)):
        assert torch.equal(denoise(delta, rank, 0.0).values, delta)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_come_back_as_they_were(dtype: torch.dtype) -> None:
    delta = random_matrix(6, 5, 0).to(dtype)
    assert denoise(delta, UniformRank(uniform=2), 0.1).values.dtype == dtype
    assert torch.equal(denoise(delta, UniformRank(uniform=5), 0.1).values, delta)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("rank", RULES)
@pytest.mark.parametrize("shape", [(3, 3), (9,)])
def test_what_is_not_finite_is_refused_by_name(bad: float, rank: Rank, shape: tuple[int, ...]) -> None:
    delta = torch.ones(9)
    delta[4] = bad
    with pytest.raises(DeltaError, match=r"layer\.0\.dense\.weight"):
        denoise(delta.view(shape), rank, 1.0, "layer.0.dense.weight")


def with_spectrum(rows: int, columns: int, singular: Tensor, seed: int = 0) -> Tensor:
    """A float32 matrix of given singular values."""
    left, right = (torch.linalg.qr(random_matrix(n, len(singular), seed + n).double()).Q for n in (rows, columns))
    return ((left * singular.double()) @ right.T).float()


SPECTRA = {
    "random": None,
    "decaying": torch.logspace(0, -7, 96),
    "slowly decaying": 1 / torch.arange(1, 97).sqrt(),
    "rank-deficient": torch.cat([torch.linspace(2, 1, 20), torch.zeros(76)]),
}


@pytest.mark.parametrize("shape", [(96, 96), (700, 96), (96, 700), (5000, 96)])
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("r", [1, 17, 60])
def test_low_rank_part_against_float64(shape: tuple[int, int], kind: str, r: int) -> None:
    singular = SPECTRA[kind]
    delta = random_matrix(*shape, 0) if singular is None else with_spectrum(*shape, singular)
    left, s, right = torch.linalg.svd(delta.double(), full_matrices=False)
    expected = (left[:, :r] * s[:r]) @ right[:r]
    found = denoise(delta, UniformRank(uniform=r), 0.0)
    assert float((found.values - expected).norm() / expected.norm()) < 1e-4
    np.testing.assert_allclose(found.singular_values, s, rtol=1e-6, atol=1e-7 * float(s[0]))


@pytest.mark.parametrize("kind", SPECTRA)
def test_entries_selected_as_in_float64(kind: str) -> None:
    singular = SPECTRA[kind]
    delta = random_matrix(700, 96, 0) if singular is None else with_spectrum(700, 96, singular)
    denoised = denoise(delta, UniformRank(uniform=15), 0.05).values.double().flatten()
    reference = torch.from_numpy(plain(delta, 15, 0.05)).flatten()
    k = delta.numel() // 20
    chosen, expected = (set(t.abs().argsort(descending=True)[:k].tolist()) for t in (denoised, reference))
    assert len(chosen & expected) >= 0.999 * k


@given(matrices(), st.floats(0.05, 0.95))
def test_a_rank_by_variance_differs_from_float64_only_at_its_threshold(delta: Tensor, share: float) -> None:
    energy = torch.linalg.svdvals(delta.double()).square()
    reached = (energy.cumsum(0) / energy.sum()).tolist()
    exact = next(r for r, value in enumerate(reached, 1) if value >= share or r == len(reached))
    found = denoise(delta, VarianceRank(variance=share), 0.0).rank
    assert found == exact or min(abs(value - share) for value in reached) < 1e-5


def test_nearly_equal_singular_values_are_told_apart_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where directions r and r + 1 are not resolved by the Gram matrix, the matrix itself is decomposed."""
    delta = with_spectrum(60, 20, torch.cat([torch.full((10,), 1.0), torch.linspace(0.9, 0.1, 10)]))
    assert projection_error(spectrum(delta)[0].sqrt(), 10) < TOLERANCE
    equal = torch.eye(20)[:, :12]
    assert projection_error(spectrum(equal)[0].sqrt(), 5) > TOLERANCE
    decomposed = []
    original = torch.linalg.svd
    monkeypatch.setattr(stage.torch.linalg, "svd", lambda m, **o: decomposed.append(m.shape) or original(m, **o))
    denoise(delta, UniformRank(uniform=10), 0.0)
    assert not decomposed
    low = denoise(equal, UniformRank(uniform=5), 0.0).values
    assert decomposed
    assert torch.linalg.matrix_rank(low) == 5 and torch.allclose(low @ low.T @ low, low, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1)])
def test_one_row_or_column(shape: tuple[int, int]) -> None:
    delta = random_matrix(*shape, 0)
    for rule in RULES[2:]:
        assert torch.equal(denoise(delta, rule, 0.0).values, delta)


@given(matrices(), st.sampled_from(RULES), st.floats(0, 1), st.integers(0, 20))
def test_rows_of_zeros_change_nothing(delta: Tensor, rank: Rank, keep: float, zeros: int) -> None:
    padded = torch.cat([delta, torch.zeros(zeros, delta.shape[1])])
    short, whole = denoise(delta, rank, keep, shape=padded.shape), denoise(padded, rank, keep)
    torch.testing.assert_close(short.values, whole.values[: len(delta)], atol=1e-5, rtol=0)
    assert short.rank == whole.rank
    if whole.rank is not None:
        torch.testing.assert_close(short.singular_values, whole.singular_values, atol=1e-6, rtol=1e-6)
