"""Earlier results stay: the comparison sees every kind of difference, and a few results of the baseline are accepted.

`python -m benchmarks.compatibility --touch` does for every method what is done here for one.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.compatibility import compare, declared, sides
from benchmarks.compatibility.__main__ import BASELINE, EXPERIMENTS
from tests.helpers import REPOSITORY
from tests.helpers.project import Project

DELTA = "pico/deltas/language/suma/seed0.safetensors"
RECIPE = "pico/composed/lt-sft/sentiment/suma/seed0.json"
TABLE = "pico/tables/scores.csv"
PREDICTIONS = "pico/predictions/lt-sft/sentiment/suma/seed0.csv"
TARGET = "results/bert/scores/deft-x/sentiment/suma/seed0.json"


@pytest.fixture
def both(finished: Project, tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of equal results; the second is to be changed."""
    old, new = finished.folder / "results", tmp_path / "results"
    shutil.copytree(old, new)
    return old, new


def edit(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def described(both: tuple[Path, Path], file: str) -> str:
    """What is said of the one file that differs."""
    comparison = compare.compare(*both)
    assert not comparison.same
    different = {name: lines for kind in comparison.kinds.values() for name, lines in kind.different.items()}
    assert list(different) == [file]
    return "\n".join(different[file])


def test_equal_results_are_equal_and_all_are_compared(both: tuple[Path, Path]) -> None:
    comparison = compare.compare(*both)
    assert comparison.same
    assert {"deltas .safetensors", "masks .json", "predictions .csv", "base .json"} < comparison.kinds.keys()
    assert sum(kind.count for kind in comparison.kinds.values()) == len(list(compare.files_below(both[0])))
    assert compare.report(comparison).count("different: ") == 0


def test_a_value_of_a_vector_and_its_metadata(both: tuple[Path, Path]) -> None:
    path = both[1] / DELTA
    metadata, _ = compare.read_vector(path)
    tensors = load_file(path)
    name = next(name for name, tensor in tensors.items() if tensor.dtype == np.float32)
    tensors[name].flat[0] += 0.5
    save_file(tensors, path, {"deftx": json.dumps(metadata)})
    assert described(both, DELTA) == f"tensor {name}: 1 of {tensors[name].size} values differ, by 0.5 at most"
    tensors[name].flat[0] -= 0.5
    save_file(load_file(both[0] / DELTA), path, {"deftx": json.dumps(metadata | {"seed": 7})})
    assert described(both, DELTA) == "metadata seed: 0 -> 7"


def test_a_key_of_json(both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is a difference unless it is declared; a value that changes always is."""
    edit_json(both[1] / RECIPE, conflicts="ties")
    assert described(both, RECIPE) == 'conflicts: "sum" -> "ties"'
    edit_json(both[1] / RECIPE, conflicts="sum", head=0, checksum="another")
    assert "head: (missing) -> 0" in described(both, RECIPE)
    addition = declared.Addition("*/composed/*.json", "head", "for this test")
    monkeypatch.setattr(compare, "ADDITIONS", (addition,))
    comparison = compare.compare(*both)
    assert comparison.same and comparison.used == {addition}
    assert comparison.kinds["composed .json"].declared == 1
    edit_json(both[1] / RECIPE, entries=[1])
    assert described(both, RECIPE).startswith("entries: [")


def test_cells_of_tables_and_predictions(both: tuple[Path, Path]) -> None:
    """New columns come last in tables alone; times among the costs are no difference."""
    edit(both[1] / "pico/tables/costs.csv", lambda text: text.replace(".0,", ".5,"))
    assert described(both, "pico/tables/costs.csv").startswith("row 1, parameters: ")
    shutil.copy(both[0] / "pico/tables/costs.csv", both[1] / "pico/tables/costs.csv")
    edit(both[1] / TABLE, lambda text: "".join(f"{line},x\n" for line in text.splitlines()))
    assert compare.compare(*both).same
    edit(both[1] / TABLE, lambda text: text.replace("score,sd", "sd,score"))
    assert described(both, TABLE).startswith("columns [")
    shutil.copy(both[0] / TABLE, both[1] / TABLE)
    edit(both[1] / PREDICTIONS, lambda text: "".join(f"{line},x\n" for line in text.splitlines()))
    assert described(both, PREDICTIONS).startswith("columns [")


def test_files_of_one_side_and_words(both: tuple[Path, Path]) -> None:
    (both[1] / DELTA).unlink()
    (both[1] / "pico/figures/new.svg").touch()
    (both[1] / "pico/logs/full/language/suma/seed1.progress.json").touch()  # declared
    edit(both[1] / "pico/tables/sentiment.md", str.upper)
    comparison = compare.compare(*both)
    assert comparison.kinds["deltas .safetensors"].only_old == [DELTA]
    assert comparison.kinds["figures .svg"].only_new == ["pico/figures/new.svg"]
    assert comparison.kinds["logs .json"].declared == 1
    assert not any(kind.different for kind in comparison.kinds.values()) and not comparison.same
    assert f"only old: {DELTA}" in compare.report(comparison)


def test_results_of_the_baseline_are_made_alike_and_accepted(commands: Path, tmp_path: Path) -> None:
    """The deltas, masks and vectors behind one score of DeFT-X: the same bytes, and touched they are not made again."""
    if subprocess.run(["git", "cat-file", "-e", f"{BASELINE}^{{commit}}"], cwd=REPOSITORY, stderr=-3).returncode:
        pytest.skip(f"needs the history up to {BASELINE}")
    configs = [EXPERIMENTS / "bert.yaml"]
    old, new = sides.of_commit(BASELINE, tmp_path / "old", commands), sides.of_present(tmp_path / "new", commands)
    for side in (old, new):
        sides.make(side, configs, TARGET)
    comparison = compare.compare(old.folder / "results", new.folder / "results")
    assert comparison.same, compare.report(comparison)
    assert comparison.kinds["sfts .safetensors"].count == 3
    touched = sides.with_results_of(old, new, tmp_path / "touched")
    assert "suma: mask by deft-x, seed 0" in sides.planned(touched, configs, TARGET)
    assert sides.planned_after_touch(touched, configs, TARGET) == []
    touched.edit("deftx/masks/top_k.py", "LOW_BITS = 15", "LOW_BITS = 14")
    assert "suma: mask by deft-x, seed 0" in sides.planned(touched, configs, TARGET)
