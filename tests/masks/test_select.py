"""Masks: exactly k entries, those a full sort would take."""

from math import prod
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from deftx.config.masks import Denoising, UniformRank, VarianceRank
from deftx.core import integrity
from deftx.core.errors import DeltaError, VectorError
from deftx.masks.select import build, select, select_top_k
from deftx.masks.spill import Scratch
from deftx.masks.zero_rows import Layout
from deftx.modules import vectors as vector_files
from tests.helpers import vectors

Delta = dict[str, Tensor]
FEW_MAGNITUDES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 1e-40, -1e-40, 3e38])
ANY = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    """One to four tensors; magnitudes often tie."""
    elements = draw(st.sampled_from([FEW_MAGNITUDES, ANY]))
    lists = draw(st.lists(st.lists(elements, max_size=30), min_size=1, max_size=4))
    return {f"p{9 - n}": torch.tensor(values, dtype=torch.float32) for n, values in enumerate(lists)}


def sort_everything(delta: Delta, k: int) -> set[tuple[str, int]]:
    entries = [
        (-abs(value), order, index, name)
        for order, (name, tensor) in enumerate(delta.items())
        for index, value in enumerate(tensor.flatten().tolist())
    ]
    return {(name, index) for _, _, index, name in sorted(entries)[:k]}


def as_set(mask: Delta) -> set[tuple[str, int]]:
    return {(name, index) for name, indices in mask.items() for index in indices.tolist()}


@given(deltas(), st.data())
def test_largest_equals_a_full_sort(delta: Delta, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, sum(t.numel() for t in delta.values())))
    mask = select_top_k(delta, k)
    assert as_set(mask) == sort_everything(delta, k)
    assert list(mask) == list(delta)
    for indices in mask.values():
        assert indices.dtype == torch.int64
        assert indices.tolist() == sorted(set(indices.tolist()))


def test_largest_in_many_entries() -> None:
    """More entries than bins of the histogram, most of them in a few bins."""
    chance = torch.Generator().manual_seed(0)
    delta = {"a": torch.randn(300, 300, generator=chance), "b": 1e-3 * torch.randn(40_000, generator=chance)}
    threshold = torch.cat([t.abs().flatten() for t in delta.values()]).sort(descending=True).values[50_000 - 1]
    mask = select_top_k(delta, 50_000)
    for name, tensor in delta.items():
        assert torch.equal(mask[name], (tensor.abs().flatten() >= threshold).nonzero().flatten())


@pytest.mark.parametrize("k", [-1, 7])
def test_a_budget_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(DeltaError, match=r"^k = "):
        select_top_k({"a": torch.ones(2, 3)}, k)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused_by_name(bad: float) -> None:
    with pytest.raises(DeltaError, match=r"^second: the delta contains NaN or infinity"):
        select_top_k({"first": torch.ones(3), "second": torch.tensor([1.0, bad])}, 2)


def random_delta(seed: int = 0) -> Delta:
    chance = torch.Generator().manual_seed(seed)
    shapes = {"embeddings.word_embeddings.weight": (20, 8), "layer.0.dense.weight": (8, 8), "layer.0.dense.bias": (8,)}
    return {name: torch.randn(shape, generator=chance) for name, shape in shapes.items()}


def test_a_share_is_rounded_to_entries_and_an_integer_is_a_count(tmp_path: Path) -> None:
    vector_files.save(vectors.dense(), tmp_path / "delta")
    total = sum(map(prod, vectors.SHAPES.values()))
    for k, count in ((0.0, 0), (0.05, round(0.05 * total)), (0.5, total // 2), (1, 1), (1.0, total)):
        assert build(tmp_path / "delta", Denoising(), k, tmp_path / "mask", tmp_path / "report").k == count


@given(st.integers(0, 100), st.integers(0, 232))
def test_lt_sft_is_the_limit_of_deft_x(seed: int, k: int) -> None:
    delta = random_delta(seed)
    raw = as_set(select_top_k(delta, k))
    for selection in (
        Denoising(rank="none"),
        Denoising(rank=VarianceRank(variance=0.3), keep=1.0),
        Denoising(rank=UniformRank(uniform=8), keep=0.0),
    ):
        assert as_set(select(delta, selection, k).indices) == raw


SELECTIONS = st.sampled_from(
    [Denoising(), Denoising(rank=UniformRank(uniform=2)), Denoising(rank="gavish-donoho", keep=0.2)]
)


@given(st.integers(0, 100), SELECTIONS, st.sets(st.integers(0, 19), max_size=19), st.integers(0, 232))
def test_rows_of_zeros_may_be_left_out(seed: int, selection: Denoising, empty: set[int], k: int) -> None:
    """Also where k is more than there are other entries, so that zeros are chosen."""
    delta = random_delta(seed)
    word = next(iter(delta))
    delta[word][sorted(empty)] = 0
    rows = torch.tensor([row for row in range(20) if row not in empty])
    layout = Layout({name: list(tensor.shape) for name, tensor in delta.items()}, {word: rows})
    short = select(delta | {word: delta[word][rows]}, selection, k, layout)
    whole = select(delta, selection, k)
    for name, indices in whole.indices.items():
        assert torch.equal(short.indices[name], indices)
    assert {n: s.rank for n, s in short.spectra.items()} == {n: s.rank for n, s in whole.spectra.items()}


def test_denoised_matrices_may_lie_in_a_file(tmp_path: Path) -> None:
    delta, selection = random_delta(), Denoising(rank=UniformRank(uniform=2))
    with Scratch(tmp_path) as denoised:
        mask = select(delta, selection, 50, denoised=denoised)
        assert list(denoised) == [name for name, tensor in delta.items() if tensor.ndim == 2]
    assert as_set(mask.indices) == as_set(select(delta, selection, 50).indices)
    assert not list(tmp_path.iterdir())


def test_denoising_moves_the_mask() -> None:
    delta = random_delta()
    denoised = select(delta, Denoising(rank=UniformRank(uniform=1), keep=0.0), 50)
    assert as_set(denoised.indices) != as_set(select(delta, Denoising(), 50).indices)


def test_embeddings_are_denoised_or_not() -> None:
    delta = random_delta()
    word, dense, bias = delta
    for embeddings in (True, False):
        mask = select(delta, Denoising(rank=UniformRank(uniform=1), keep=0.0, embeddings=embeddings), 50)
        assert [mask.spectra[name].rank for name in (word, dense, bias)] == [1 if embeddings else None, 1, None]
        assert [len(mask.spectra[name].singular_values) for name in (word, dense, bias)] == [8 * embeddings, 8, 0]


def test_build_leaves_a_mask_and_a_report(tmp_path: Path) -> None:
    vector_files.save(vectors.dense(head=True, labels=["a", "b"]), tmp_path / "delta")
    build(tmp_path / "delta", Denoising(rank=UniformRank(uniform=2)), 60, tmp_path / "mask", tmp_path / "report")
    mask = vector_files.load(tmp_path / "mask")
    assert mask.metadata.kind == "mask"
    assert mask.metadata.selection == {"rank": {"uniform": 2}, "keep": 0.05, "embeddings": True, "k": 60}
    assert mask.entries == 60
    assert not (mask.values or mask.dense or mask.head)
    report = integrity.read_json(tmp_path / "report")
    assert sum(seen["chosen"] for seen in report.values()) == 60
    assert [len(report[name]["singular_values"]) for name in vectors.SHAPES] == [4, 0, 20]
    assert report["layer.weight"]["rank"] == 2


def test_a_mask_is_selected_from_a_delta_only(tmp_path: Path) -> None:
    vector_files.save(vectors.sparse(), tmp_path / "sft")
    with pytest.raises(VectorError, match="is a sft"):
        build(tmp_path / "sft", Denoising(), 1, tmp_path / "mask", tmp_path / "report")
    assert not (tmp_path / "mask").exists()
