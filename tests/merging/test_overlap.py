"""The overlap table: every pair of vectors once."""

import itertools
from pathlib import Path

import pandas as pd
import pytest

from deftx.core.errors import VectorError
from deftx.merging import overlap
from deftx.merging import overlap as overlaps
from deftx.modules import vectors as vector_files
from tests.helpers import vectors


def test_every_pair_once(tmp_path: Path) -> None:
    made = {"one": vectors.sparse(1), "two": vectors.sparse(2), "three": vectors.dense(3)}
    for name, vector in made.items():
        vector_files.save(vector, tmp_path / name)
    overlaps.build({name: tmp_path / name for name in made}, tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv").set_index(["one", "other"])
    assert list(table.index) == list(itertools.combinations(made, 2))
    for (one, other), row in table.iterrows():
        assert dict(row) == pytest.approx(overlap.overlap(made[one], made[other]), abs=1e-6)


def test_masks_have_no_values_to_compare(tmp_path: Path) -> None:
    vector_files.save(vectors.sparse(kind="mask"), tmp_path / "mask")
    with pytest.raises(VectorError, match="mask is a mask"):
        overlaps.build({"one": tmp_path / "mask"}, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
