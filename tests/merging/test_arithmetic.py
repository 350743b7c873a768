"""Adding vectors: exactly undone, and summed as a dense reference sums."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from deftx.core.errors import VectorError
from deftx.merging import arithmetic
from deftx.merging import recipe as recipes
from deftx.models.base_model import Description
from deftx.modules import addition
from deftx.modules import vectors as vector_files
from tests.helpers import vectors

BASE = Description("pico", None, vectors.BASE, "t" * 64, vectors.SHAPES)
WEIGHTS = st.sampled_from([1.0, 0.5, -1.0, 0.3, 1e-3])
ANY = vectors.sparse_vectors() | st.builds(vectors.dense, st.integers(0, 1000), zero_rows=st.sampled_from([(), (0, 7)]))


def random_state(seed: int) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=chance) for name, shape in vectors.SHAPES.items()}


def bits(state: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


@given(
    st.lists(st.tuples(ANY, WEIGHTS), max_size=3), st.sampled_from([(1, 3, 1), (3, 7, 50), (1 << 14, 1 << 18, 1 << 20)])
)
def test_undo_restores_every_bit(terms: list[tuple[vector_files.Vector, float]], lengths: tuple[int, int, int]) -> None:
    """Whatever the lengths of chunks, parts and blocks; each entry is rounded twice, as in the plain sum."""
    state, plain = random_state(0), random_state(0)
    before = bits(state)
    with pytest.MonkeyPatch.context() as patch:
        for name, length in zip(("CHUNK", "PART", "BLOCK"), lengths, strict=True):
            patch.setattr(addition, name, length)
        undos = [addition.add_reversibly(state, vector, weight) for vector, weight in terms]
    for vector, weight in terms:
        for name, dense in vectors.as_dense(vector).items():
            plain[name] += weight * torch.from_numpy(dense.astype(np.float32))
    assert bits(state) == bits(plain)
    for undo in reversed(undos):
        undo.undo()
    assert bits(state) == before


def test_subtraction_would_not_undo() -> None:
    """Why the untouched values are kept."""
    state, vector = random_state(0), vectors.sparse(share=1.0)
    before = bits(state)
    addition.add(state, vector, 1.0)
    addition.add(state, vector, -1.0)
    assert bits(state) != before


@given(st.lists(st.tuples(vectors.sparse_vectors(), WEIGHTS), min_size=1, max_size=4))
def test_a_sum_of_vectors_is_their_dense_sum(terms: list[tuple[vector_files.Vector, float]]) -> None:
    terms = [(vector_files.Vector(v.metadata, v.positions, v.values), weight) for v, weight in terms]
    total = arithmetic.sum_of(terms)
    expected = {name: np.zeros(shape, np.float32) for name, shape in vectors.SHAPES.items()}
    moved: dict[str, set[int]] = {name: set() for name in vectors.SHAPES}
    for vector, weight in terms:
        for name, dense in vectors.as_dense(vector).items():
            expected[name] += np.float32(weight) * dense.astype(np.float32)
            moved[name] |= set(vector.positions[name].tolist())
    for name, dense in vectors.as_dense(total).items():
        np.testing.assert_array_equal(dense.astype(np.float32), expected[name])
        assert total.positions[name].tolist() == sorted(moved[name])


def test_rows_of_a_delta_are_undone_too(tmp_path: Path) -> None:
    vector_files.save(vectors.dense(zero_rows=(0, 3, 29)), tmp_path / "v")
    vector, state = vector_files.load(tmp_path / "v"), random_state(0)
    before = bits(state)
    undo = addition.add_reversibly(state, vector, 0.3)
    for name, dense in vectors.as_dense(vector).items():
        expected = random_state(0)[name] + 0.3 * torch.from_numpy(dense.astype(np.float32))
        assert torch.equal(state[name], expected)
    undo.undo()
    assert bits(state) == before


def test_a_sum_keeps_its_precision_and_both_licences() -> None:
    task = vectors.sparse(1, head=True, labels=["a", "b"], licence="MIT", values="bf16")
    one, other = vectors.sparse(2, licence="CC-BY-4.0"), vectors.sparse(3)
    described = arithmetic.sum_of([(task, 1.0), (one, 1.0)]).metadata
    assert (described.values, described.licence) == ("fp32", "CC-BY-4.0 AND MIT")
    assert arithmetic.sum_of([(task, 1.0), (other, 1.0)]).metadata.licence is None, "one of them said nothing"


@given(vectors.sparse_vectors(), vectors.sparse_vectors(), WEIGHTS, WEIGHTS)
def test_adding_the_sum_differs_by_rounding_alone(
    one: vector_files.Vector, other: vector_files.Vector, w: float, v: float
) -> None:
    other = vector_files.Vector(other.metadata, other.positions, other.values)
    apart, together = random_state(1), random_state(1)
    addition.add(apart, one, w)
    addition.add(apart, other, v)
    addition.add(together, arithmetic.sum_of([(one, w), (other, v)]), 1.0)
    for name, theta in random_state(1).items():
        a, b = w * vectors.as_dense(one)[name], v * vectors.as_dense(other)[name]
        t = theta.double().numpy()
        bound = 2.0**-24 * (abs(t + a) + abs(a + b) + 2 * abs(t + a + b)) * 1.0001
        bound[(a == 0) | (b == 0)] = 0
        assert (abs(apart[name].double().numpy() - together[name].double().numpy()) <= bound).all()


def test_a_stored_sum_is_a_vector_of_its_own(tmp_path: Path) -> None:
    task, language = vectors.sparse(1, head=True, labels=["a", "b"]), vectors.sparse(2)
    for name, vector in (("task", task), ("language", language)):
        vector_files.save(vector, tmp_path / name)
    terms = [(tmp_path / "task", 1.0), (tmp_path / "language", 0.5)]
    recipes.compose(terms, BASE, tmp_path / "recipe.json", tmp_path / "sum")
    total = vector_files.load(tmp_path / "sum")
    assert vectors.same(total, arithmetic.sum_of([(task, 1.0), (language, 0.5)]))
    assert total.metadata.labels == ["a", "b"] and total.head.keys() == task.head.keys()
    recipes.compose([(tmp_path / "sum", 1.0)], BASE, tmp_path / "again.json")
    vector_files.save(vectors.dense(), tmp_path / "dense")
    with pytest.raises(VectorError, match="dense delta cannot be part"):
        recipes.compose([(tmp_path / "dense", 1.0)], BASE, tmp_path / "no.json", tmp_path / "no")
    assert not (tmp_path / "no").exists() and not (tmp_path / "no.json").exists()
