"""Pruning: the values that ranked an entry become its values."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deftx.config.masks import Denoising, UniformRank
from deftx.core.errors import VectorError
from deftx.masks import prune, random_control, select
from deftx.masks.denoise import denoise
from deftx.modules import vectors as vector_files
from tests.helpers import vectors
from tests.helpers.command import files, refused, run

SELECTIONS = [
    Denoising(),
    Denoising(rank=UniformRank(uniform=2), keep=0.1),
    Denoising(rank="gavish-donoho", keep=0.0, embeddings=False),
]


def pair(folder: Path, selection: Denoising, **delta: object) -> tuple[Path, Path]:
    """Files of a delta and of a mask selected from it."""
    vector_files.save(vectors.dense(head=True, labels=["a", "b"], **delta), folder / "delta")  # type: ignore[arg-type]
    select.build(folder / "delta", selection, 0.2, folder / "mask", folder / "report")
    return folder / "delta", folder / "mask"


@pytest.mark.parametrize("selection", SELECTIONS, ids=["raw", "denoised", "embeddings as they are"])
@pytest.mark.parametrize("zero_rows", [(), (0, 7)], ids=["full", "rows of zeros left out"])
def test_values_are_those_of_the_denoised_delta(tmp_path: Path, selection: Denoising, zero_rows: tuple[int]) -> None:
    delta, mask = pair(tmp_path, selection, zero_rows=zero_rows)
    pruned = prune.build(delta, mask, tmp_path / "pruned")
    assert vectors.same(vector_files.load(tmp_path / "pruned"), pruned)
    whole, chosen = vector_files.load(delta), vector_files.load(mask)
    for name, positions in chosen.positions.items():
        full = torch.from_numpy(whole.full(name))
        if selection.embeddings or "embeddings" not in name:
            full = denoise(full, selection.rank, selection.keep).values
        np.testing.assert_array_equal(pruned.positions[name], positions)
        np.testing.assert_allclose(pruned.values[name], full.numpy().ravel()[positions], rtol=1e-5, atol=1e-7)
    assert pruned.metadata.kind == "sft" and pruned.metadata.selection == chosen.metadata.selection
    assert pruned.head["classifier.weight"].tobytes() == whole.head["classifier.weight"].tobytes()


def test_without_denoising_every_bit_is_the_delta_s(tmp_path: Path) -> None:
    delta, mask = pair(tmp_path, Denoising())
    pruned, whole = prune.build(delta, mask, tmp_path / "pruned"), vector_files.load(delta)
    assert all((pruned.values[n] == whole.full(n).ravel()[p]).all() for n, p in pruned.positions.items())


@settings(max_examples=15)
@given(st.integers(0, 50), st.integers(1, 624))
def test_no_entry_left_out_is_larger_than_one_taken(
    tmp_path_factory: pytest.TempPathFactory, seed: int, k: int
) -> None:
    folder = tmp_path_factory.mktemp("pruned")
    vector_files.save(vectors.dense(seed), folder / "delta")
    select.build(folder / "delta", Denoising(), k, folder / "mask", folder / "report")
    pruned, whole = (
        prune.build(folder / "delta", folder / "mask", folder / "pruned"),
        vector_files.load(folder / "delta"),
    )
    least = min(float(np.abs(v).min()) for v in pruned.values.values() if len(v))
    left = [np.delete(whole.full(n).ravel(), p) for n, p in pruned.positions.items()]
    assert all(float(np.abs(rest).max(initial=0)) <= least for rest in left)


def test_a_random_mask_takes_the_delta_as_it_is(tmp_path: Path) -> None:
    vector_files.save(vectors.dense(), tmp_path / "delta")
    random_control.build(tmp_path / "delta", Denoising(), 60, tmp_path / "mask", tmp_path / "report")
    run("prune", tmp_path / "delta", "--mask", tmp_path / "mask", "--out", tmp_path / "pruned")
    assert vector_files.load(tmp_path / "pruned").entries == 60


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    delta, mask = pair(tmp_path, Denoising())
    vector_files.save(vectors.dense(seed=1, data={"train": "another"}), tmp_path / "other")
    options = "--mask", mask, "--out", tmp_path / "out"
    before = files(tmp_path)
    assert "mask was not selected from" in refused("prune", tmp_path / "other", *options)
    assert "mask is a mask, but a delta is needed" in refused("prune", mask, *options)
    assert files(tmp_path) == before
    with pytest.raises(VectorError, match="delta is a delta, but a mask is needed"):
        prune.build(delta, delta, tmp_path / "out")
