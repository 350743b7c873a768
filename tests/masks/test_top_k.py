"""The cut below the k largest magnitudes is that of a full sort, wherever chunks end."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from deftx.core.errors import DeltaError
from deftx.masks import top_k

TIED = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 1e-45, -1e-45, 3.4e38])
VALUES = st.lists(TIED | st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=60)


@given(VALUES, st.data())
def test_the_cut_is_that_of_a_full_sort(values: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    entries = torch.tensor(values)
    falling = entries.abs().sort(descending=True).values
    found = top_k.find_cut(lambda: [entries], k)
    assert found.bits == int(top_k.magnitude_bits(falling)[k - 1])
    assert found.ties == k - int((falling > falling[k - 1]).sum())


@given(VALUES, st.integers(1, 9), st.data())
def test_picked_entries_are_the_first_of_a_stable_sort(values: list[float], size: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    entries = torch.tensor(values)
    chunks: list[Tensor] = list(entries.split(size))
    found = top_k.find_cut(lambda: chunks, k)
    picked = torch.cat([found.pick(chunk) for chunk in chunks])
    expected = entries.abs().sort(descending=True, stable=True).indices[:k].sort().values
    assert torch.equal(picked.nonzero().flatten(), expected)


def test_more_entries_than_one_chunk() -> None:
    entries = torch.randn(2 * top_k.CHUNK + 5, generator=torch.Generator().manual_seed(0))
    found = top_k.find_cut(lambda: [entries], 100_000)
    kth = entries.abs().sort(descending=True).values[100_000 - 1]
    assert found.bits == int(top_k.magnitude_bits(kth[None]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(DeltaError, match="NaN or infinite"):
        top_k.find_cut(lambda: [torch.tensor([1.0, bad])], 1)


@pytest.mark.parametrize("entries", [torch.ones(3), torch.empty(0)])
def test_more_than_there_are_is_refused(entries: Tensor) -> None:
    with pytest.raises(DeltaError, match=f"k = 4 .* {len(entries)} maskable"):
        top_k.find_cut(lambda: [entries], 4)


@given(st.integers(0, 1000), st.integers(0, 10**9))
def test_a_share_is_taken_as_it_is_written(thousandths: int, count: int) -> None:
    assert top_k.share_of(thousandths / 1000, count) * 1000 == thousandths * count
