"""Evaluation: the composed model is the base plus its vectors, and its measures are those of scikit-learn."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score

from deftx.config.masks import Denoising
from deftx.config.methods import Conflicts
from deftx.config.tasks import Metric
from deftx.core.errors import DatasetError, VectorError
from deftx.evaluation import predict, significance
from deftx.masks.select import build
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import vectors as vector_files
from tests.helpers import pico
from tests.helpers.trainings import LESSONS, Trainings

LABELS = ("negative", "neutral", "positive")
METRICS: tuple[Metric, ...] = ("macro_f1", "accuracy")
PHASE = {"max_steps": 2, "learning_rate": 1e-2}


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_measures_equal_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = map(list, zip(*pairs, strict=True))
    found = predict.measures(gold, predicted, LABELS)
    options: Any = {"labels": LABELS, "zero_division": 0}
    assert found["n"] == len(gold)
    occurring = sorted(set(gold))
    expected = f1_score(gold, predicted, average="macro", labels=occurring, zero_division=0)
    assert found["macro_f1"] == pytest.approx(100 * expected)
    assert found["accuracy"] == pytest.approx(100 * accuracy_score(gold, predicted))
    assert found["confusion"] == confusion_matrix(gold, predicted, labels=LABELS).tolist()
    precisions = precision_score(gold, predicted, average=None, **options)
    assert [found["classes"][label]["precision"] for label in LABELS] == pytest.approx(list(100 * precisions))
    assert sum(found["classes"][label]["support"] for label in LABELS) == len(gold)


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_score_files_and_tables_have_the_same_scores(pairs: list[tuple[str, str]]) -> None:
    """To the last bit, also where a label is not among the gold ones."""
    gold, predicted = map(list, zip(*pairs, strict=True))
    coded = [np.array([LABELS.index(label) for label in some]) for some in (gold, predicted)]
    found = predict.measures(gold, predicted, LABELS)
    assert {name: found[name] for name in METRICS} == {name: significance.METRICS[name](*coded) for name in METRICS}


class Vectors:
    """A task vector and a language vector of one base, and a test set."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.base, self.folder = base, folder
        self.test = pico.rows(folder / "test.csv", 30, seed=2)
        trainings = Trainings(base, folder)
        for role in LESSONS:
            delta, mask = folder / f"{role}.delta", folder / f"{role}.mask"
            trainings.train("delta", role, delta.name, **PHASE)
            build(delta, Denoising(), 300, mask, folder / "report")
            trainings.train("sft", role, f"{role}.sft", mask, **PHASE)

    def compose(self, *terms: tuple[str, float], rule: Conflicts = "sum") -> Path:
        out = self.folder / "recipe.json"
        vectors = [(self.folder / name, weight) for name, weight in terms]
        recipes.compose(vectors, base_model.read(self.base), out, rule=rule)
        return out


@pytest.fixture(scope="module", params=["pico_bert", "pico_xlmr"])
def vectors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    return Vectors(request.getfixturevalue(request.param), tmp_path_factory.mktemp("vectors"))


def test_the_composed_model_is_base_plus_vectors(vectors: Vectors) -> None:
    recipe = vectors.compose(("task.sft", 1.0), ("language.sft", 0.5))
    description = base_model.read(vectors.base)
    model = predict.build(recipes.read(recipe), description)
    task, language = (vector_files.load(vectors.folder / f"{o}.sft") for o in ("task", "language"))
    for name, start in base_model.weights(description.location).items():
        expected = start.double().flatten()
        for vector, weight in ((task, 1.0), (language, 0.5)):
            if name in vector.positions:
                expected[vector.positions[name]] += weight * torch.from_numpy(vector.values[name]).double()
        actual = model.base_model.get_parameter(name).flatten()
        torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-7)
    for name, value in task.head.items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().numpy(), value)
    assert not model.training


def test_evaluate_writes_scores_and_predictions(vectors: Vectors) -> None:
    recipe = vectors.compose(("task.delta", 1.0), ("language.sft", 1.0))
    out = vectors.folder / "scores.json", vectors.folder / "predictions.csv"
    predict.evaluate(recipe, vectors.base, vectors.test, 16, *out)
    scores = json.loads(out[0].read_text())
    rows = list(csv.DictReader(out[1].read_text().splitlines()))
    given = list(csv.DictReader(vectors.test.read_text().splitlines()))
    assert [(r["id"], r["label"]) for r in rows] == [(r["id"], r["label"]) for r in given]
    for row in rows:
        probability = {label: float(row[f"p_{label}"]) for label in pico.LABELS}
        assert sum(probability.values()) == pytest.approx(1, abs=1e-5)
        assert probability[row["predicted"]] == max(probability.values())
    assert scores["accuracy"] == pytest.approx(100 * np.mean([r["label"] == r["predicted"] for r in rows]))
    assert [vector["weight"] for vector in scores["vectors"]] == [1.0, 1.0]
    described = base_model.read(vectors.base)
    assert scores["metric"] == "macro_f1" and scores["signature"].startswith(
        f"macro_f1|n:30|seed:0|base:{described.hash[:8]}|data:{scores['dataset'][:8]}|vectors:"
    )
    assert scores["signature"].endswith(f"|torch:{torch.__version__.partition('+')[0]}")
    before = [path.read_bytes() for path in out]
    predict.evaluate(recipe, vectors.base, vectors.test, 16, *out)
    assert [path.read_bytes() for path in out] == before


def test_the_signature_tells_metrics_weights_and_rules_apart(vectors: Vectors) -> None:
    rules: list[tuple[float, Conflicts, Metric]] = [
        (1.0, "sum", "macro_f1"),
        (1.0, "sum", "accuracy"),
        (0.5, "sum", "macro_f1"),
        (1.0, "ties", "macro_f1"),
        (1.0, "drop-overlap", "macro_f1"),
    ]
    found = []
    for weight, rule, metric in rules:
        recipe = vectors.compose(("task.sft", 1.0), ("language.sft", weight), rule=rule)
        scores = vectors.folder / "scores.json"
        predict.evaluate(recipe, vectors.base, vectors.test, 16, scores, vectors.folder / "p.csv", metric)
        found.append(json.loads(scores.read_text()))
    assert len({scores["signature"] for scores in found}) == len(rules)
    assert [scores.get("conflicts", "sum") for scores in found] == [rule for _, rule, _ in rules]


def test_a_model_without_task_vector_is_refused(vectors: Vectors) -> None:
    recipe = recipes.read(vectors.compose(("language.sft", 1.0)))
    with pytest.raises(VectorError, match="no task vector"):
        predict.build(recipe, base_model.read(vectors.base))


def test_a_test_set_of_another_task_is_refused(vectors: Vectors) -> None:
    recipe = vectors.compose(("task.sft", 1.0))
    other = pico.rows(vectors.folder / "other.csv", labels=("bad", "worse"))
    with pytest.raises(DatasetError, match=r"other\.csv.*'worse'.*bad, good"):
        predict.evaluate(recipe, vectors.base, other, 16, vectors.folder / "s", vectors.folder / "p")
    assert not (vectors.folder / "s").exists() and not (vectors.folder / "p").exists()
