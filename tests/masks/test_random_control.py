"""Random masks: exactly k entries, any as likely as another, the same ones each time."""

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deftx.config.masks import Denoising
from deftx.core import integrity
from deftx.masks import random_control
from deftx.masks.random_control import Noise
from deftx.masks.select import select_top_k
from deftx.modules import vectors as vector_files
from tests.helpers import vectors
from tests.helpers.command import refused

TOTAL = sum(map(prod, vectors.SHAPES.values()))


def drawn(folder: Path, k: int | float, **metadata: object) -> vector_files.Vector:
    delta = vectors.dense(zero_rows=[1, 2])
    vector_files.save(replace(delta, metadata=delta.metadata.model_copy(update=metadata)), folder / "delta")
    random_control.build(folder / "delta", Denoising(), k, folder / "mask", folder / "report")
    return vector_files.load(folder / "mask")


@pytest.mark.parametrize(("k", "count"), [(0, 0), (1, 1), (60, 60), (0.25, round(0.25 * TOTAL)), (1.0, TOTAL)])
def test_exactly_k_entries_are_drawn(tmp_path: Path, k: int | float, count: int) -> None:
    mask = drawn(tmp_path, k)
    assert (mask.metadata.kind, mask.entries) == ("mask", count)
    assert mask.metadata.selection == {"select": "random", "k": count}
    report = integrity.read_json(tmp_path / "report")
    assert {name: seen["chosen"] for name, seen in report.items()} == {n: len(p) for n, p in mask.positions.items()}


def test_the_same_training_gives_the_same_mask_and_another_an_independent_one(tmp_path: Path) -> None:
    masks = [
        drawn(tmp_path, 0.5, **changes)
        for changes in ({}, {}, {"seed": 1}, {"data": {"train": "x"}}, {"start": ["s"]}, {"objective": None})
    ]
    chosen = [
        np.concatenate([np.isin(np.arange(prod(vectors.SHAPES[n])), p) for n, p in m.positions.items()]) for m in masks
    ]
    assert (chosen[0] == chosen[1]).all()
    for n, one in enumerate(chosen[1:]):
        for other in chosen[n + 2 :]:
            assert 0.4 < (one == other).mean() < 0.6  # 0.5 +- 5 standard deviations of 624 coins


@given(st.integers(1, 2**13), st.text(max_size=5))
def test_no_parameter_is_favoured(share: int, seed: str) -> None:
    """Of two parameters of equal size, each gets about half; five standard deviations."""
    mask = select_top_k(Noise({"one": [2**12], "other": [2**6, 2**6]}, seed), share)
    expected, variance = share / 2, share / 4 * (2**13 - share) / (2**13 - 1)
    assert abs(len(mask["one"]) - expected) <= 5 * variance**0.5 + 1


def test_numbers_are_drawn_anew_and_alike() -> None:
    noise = Noise({"one": [5, 4], "other": [20]}, "seed")
    assert torch.equal(noise["one"], noise["one"])
    assert not torch.equal(noise["one"], noise["other"])


def test_an_impossible_size(tmp_path: Path) -> None:
    vector_files.save(vectors.dense(), tmp_path / "delta")
    options = "--out", tmp_path / "mask", "--report", tmp_path / "report"
    assert "maskable parameters" in refused("random-mask", tmp_path / "delta", "--k", "1000", *options)
    assert not (tmp_path / "mask").exists()
