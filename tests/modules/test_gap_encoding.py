"""Indices as gaps: nothing is lost, and damaged arrays never give wrong positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.core.errors import VectorError
from deftx.modules.gap_encoding import ESCAPE, decode, encode

SIZE = 200_000


@given(st.sets(st.integers(0, SIZE - 1), max_size=50) | st.sets(st.integers(0, 600)))
def test_roundtrip(chosen: set[int]) -> None:
    indices = np.array(sorted(chosen), dtype=np.int64)
    gaps, large = encode(indices, SIZE, "p")
    assert gaps.dtype == np.uint8 and len(gaps) == len(indices)
    np.testing.assert_array_equal(decode(gaps, large, SIZE, "p"), indices)


@pytest.mark.parametrize("first", [0, 1, ESCAPE - 1, ESCAPE, ESCAPE + 1, SIZE - 1])
def test_roundtrip_around_the_escape(first: int) -> None:
    indices = np.array([first])
    np.testing.assert_array_equal(decode(*encode(indices, SIZE, "p"), SIZE, "p"), indices)


def test_every_position_of_a_parameter() -> None:
    indices = np.arange(1000)
    gaps, large = encode(indices, 1000, "p")
    assert not gaps.any() and not len(large)
    np.testing.assert_array_equal(decode(gaps, large, 1000, "p"), indices)


def test_more_than_one_chunk() -> None:
    rng = np.random.default_rng(0)
    for density in (0.001, 0.05, 0.9):
        indices = np.flatnonzero(rng.random(300_000) < density)
        for kind in (np.int64, np.int32):
            coded = encode(indices.astype(kind), 300_000, "p")
            np.testing.assert_array_equal(decode(*coded, 300_000, "p"), indices)


@pytest.mark.parametrize("indices", [[3, 2], [2, 2], [-1, 2], [0, SIZE], [0, 1, 40_000, 39_999]])
def test_indices_that_do_not_ascend_inside_the_parameter_are_refused(indices: list[int]) -> None:
    with pytest.raises(VectorError, match="p: "):
        encode(np.array(indices), SIZE, "p")


@given(
    st.lists(st.integers(0, 255) | st.just(255), max_size=20),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(250, 400), max_size=5),
    st.integers(0, 3000),
)
def test_any_arrays_give_positions_inside_or_an_error(gaps: list[int], large: list[int], size: int) -> None:
    try:
        indices = decode(np.array(gaps, np.uint8), np.array(large, np.int64), size, "layer.weight")
    except VectorError as error:
        assert "layer.weight" in str(error)
    else:
        assert all(0 <= i < size for i in indices)
        assert (np.diff(indices) > 0).all()
