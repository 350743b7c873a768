"""Scores: measures of stored predictions, which no model is needed for."""

import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from deftx.config.tasks import Metric
from deftx.core import hashing
from deftx.core.errors import DeftxError, ResultError
from deftx.core.files import write_text
from deftx.core.integrity import read_json, sha256_of, write_json
from deftx.evaluation import predict, score, significance
from tests.helpers.command import files, refused, run

LABELS = ("negative", "neutral", "positive")
METRICS: tuple[Metric, ...] = ("macro_f1", "accuracy")
ITEMS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30)


@given(ITEMS)
def test_measures_equal_scikit_learn(items: list[tuple[str, str]]) -> None:
    """To the last bit; also where a label does not occur."""
    gold, predicted = map(list, zip(*items, strict=True))
    found = score.measures(gold, predicted, LABELS)
    options: Any = {"labels": list(LABELS), "zero_division": 0}
    expected = precision_recall_fscore_support(gold, predicted, **options)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        assert [found["classes"][label][name] for label in LABELS] == [100 * float(value) for value in values]
    assert [found["classes"][label]["support"] for label in LABELS] == expected[3].tolist()
    assert found["confusion"] == confusion_matrix(gold, predicted, labels=LABELS).tolist()
    assert found["n"] == len(gold)


@given(ITEMS)
def test_score_files_and_tables_have_the_same_scores(items: list[tuple[str, str]]) -> None:
    """To the last bit, also where a label is not among the gold ones."""
    gold, predicted = map(list, zip(*items, strict=True))
    coded = [np.array([LABELS.index(label) for label in column]) for column in (gold, predicted)]
    found = score.measures(gold, predicted, LABELS)
    assert {name: found[name] for name in METRICS} == {name: significance.METRICS[name](*coded) for name in METRICS}


def stored(path: Path, seed: int = 0, **changes: Any) -> Path:
    """Predictions as `predict` stores them, of labels with signs that CSV has to quote."""
    labels = ['so, "so"', "good\nor not", "bad"]
    rng = np.random.default_rng(seed)
    rows = [{"id": str(n), "text": "", "label": labels[n % 3]} for n in range(20)]
    write_text(path, predict.as_csv(rows, labels, rng.dirichlet(np.ones(3), len(rows))))
    content = {
        "sha256": sha256_of(path),
        "base": "b" * 64,
        "dataset": "d" * 64,
        "rows": len(rows),
        "labels": labels,
        "vectors": [{"sha256": "a" * 64, "weight": 1.0}],
        "entries": [7],
        "seeds": [None, seed],
        "max_length": 128,
        "versions": {"deftx": "0.1.0", "torch": "2.0"},
    }
    write_json(path.with_suffix(".json"), content | changes)
    return path


def test_another_metric_scores_the_same_predictions(tmp_path: Path) -> None:
    """Nothing is predicted anew: what is stored is read, and stays."""
    path = stored(tmp_path / "p.csv")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    found = {}
    for metric in METRICS:
        score.score(path, tmp_path / f"{metric}.scores", metric)
        found[metric] = read_json(tmp_path / f"{metric}.scores")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    changed = {key for key in found["accuracy"] if found["accuracy"][key] != found["macro_f1"][key]}
    assert changed == {"metric", "signature"}
    line = found["accuracy"]["signature"]
    assert line == found["macro_f1"]["signature"].replace("macro_f1|", "accuracy|")
    assert line.startswith("accuracy|n:20|seed:unknown+0|base:bbbbbbbb|data:dddddddd|vectors:")


def test_the_rule_for_conflicts_is_part_of_the_signature(tmp_path: Path) -> None:
    lines = set()
    for changes in ({}, {"conflicts": "ties"}, {"conflicts": "drop-overlap"}):
        score.score(stored(tmp_path / "p.csv", **changes), tmp_path / "s.json", "accuracy")
        content = read_json(tmp_path / "s.json")
        assert content.get("conflicts") == changes.get("conflicts")
        lines.add(content["signature"])
    assert len(lines) == 3


def test_many_predictions_in_one_go(tmp_path: Path) -> None:
    names = [f"{lang}/seed{seed}" for lang in ("ace", "ban") for seed in (0, 1)]
    for n, name in enumerate(names):
        path = stored(tmp_path / "predictions" / f"{name}.csv", n)
        score.score(path, tmp_path / "expected" / f"{name}.json", "accuracy")
    folders = ["--predictions", tmp_path / "predictions", "--scores", tmp_path / "scores"]
    run("score", *names[:3], *folders, "--metric", "accuracy")
    assert files(tmp_path / "scores") == [f"{name}.json" for name in names[:3]]
    for name in files(tmp_path / "scores"):
        assert (tmp_path / "scores" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_an_edit_of_a_metric_predicts_nothing_anew() -> None:
    """Nor does an edit of a training; and one of a model's code scores nothing anew while its predictions stay."""
    predicting, scoring = (hashing._collect_imports([f"deftx.evaluation.{name}"]) for name in ("predict", "score"))
    metric = {"deftx.tasks.metrics", "deftx.evaluation.signature"}
    model = {"deftx.models.base_model", "deftx.merging.recipe", "deftx.tasks.inference"}
    assert metric <= scoring and not scoring & (model | {"deftx.evaluation.predict"})
    assert model <= predicting and not predicting & (metric | {"deftx.evaluation.score"})
    assert not predicting & {"deftx.tasks.classification", "deftx.finetuning.common", "deftx.training.loop"}


def test_scoring_loads_no_model_and_no_library_of_learning(tmp_path: Path) -> None:
    command = ["score", "--predictions", str(stored(tmp_path / "p.csv")), "--scores", str(tmp_path / "s.json")]
    code = f"import sys\nfrom deftx.cli.app import app\napp({command!r}, standalone_mode=False)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "numpy" in packages
    assert not packages & {"torch", "transformers", "sklearn", "scipy", "pandas", "matplotlib", "safetensors"}
    assert read_json(tmp_path / "s.json")["n"] == 20


def test_changed_predictions_are_refused(tmp_path: Path) -> None:
    """Every bit of the table, and of what it is stated to be."""
    path = stored(tmp_path / "p.csv")
    chance = random.Random(0)
    for file in (path, path.with_suffix(".json")):
        good = file.read_bytes()
        for place in chance.sample(range(len(good)), 60):
            changed = bytearray(good)
            changed[place] ^= 1 << chance.randrange(8)
            file.write_bytes(changed)
            with pytest.raises(ResultError, match=rf"{file.name} is corrupted .* snakemake --force"):
                score.load(path)
        file.write_bytes(good)
    assert len(score.load(path).gold) == 20


def test_missing_predictions_are_named(tmp_path: Path) -> None:
    for suffix in (".csv", ".json"):
        path = stored(tmp_path / "p.csv")
        path.with_suffix(suffix).unlink()
        message = refused("score", "--predictions", path, "--scores", tmp_path / "s.json")
        assert message.startswith(f"{path.with_suffix(suffix)} does not exist.")
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 21}, r"p\.csv is corrupted \(it does not contain the 21 predictions"),
        ({"labels": ["bad"]}, r"p\.csv is corrupted .* is not one of its labels"),
    ],
)
def test_provenance_of_other_predictions_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeftxError, match=message):
        score.load(stored(tmp_path / "p.csv", **changes))


def test_a_dataset_is_not_taken_for_predictions(tmp_path: Path) -> None:
    path = stored(tmp_path / "p.csv")
    write_json(path.with_suffix(".json"), {"rows": 20, "labels": {"bad": 20}, "sha256": sha256_of(path)})
    with pytest.raises(ResultError, match=r"p\.json does not describe predictions \(it has no 'base'\)"):
        score.load(path)


def test_scores_overwrite_no_provenance(tmp_path: Path) -> None:
    path = stored(tmp_path / "p.csv")
    good = path.with_suffix(".json").read_bytes()
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert "another name or folder" in refused("score", "--predictions", path, "--scores", tmp_path / "copy/../p.json")
    assert path.with_suffix(".json").read_bytes() == good


@pytest.mark.parametrize("changes", [{}, {"conflicts": "ties"}, {"seeds": [0, 7]}])
def test_where_predictions_of_an_earlier_version_come_from_is_restored(tmp_path: Path, changes: Any) -> None:
    """From their scores; the same scores follow again. Nothing is written over, or said of other predictions."""
    path = stored(tmp_path / "p.csv", **changes)
    score.score(path, tmp_path / "p.scores", "macro_f1")
    assert not score.restore_provenance(path, tmp_path / "p.scores"), "it is there"
    path.with_suffix(".json").unlink()
    assert score.restore_provenance(path, tmp_path / "p.scores")
    score.score(path, tmp_path / "again.scores", "macro_f1")
    assert (tmp_path / "again.scores").read_bytes() == (tmp_path / "p.scores").read_bytes()
    other = stored(tmp_path / "other.csv", seed=1)
    other.with_suffix(".json").unlink()
    assert not score.restore_provenance(other, tmp_path / "p.scores")
    assert not score.restore_provenance(tmp_path / "missing.csv", tmp_path / "p.scores")
