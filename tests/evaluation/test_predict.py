"""Predictions: the composed model is the base plus its vectors, and what it predicts is stored with its provenance."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deftx.config.masks import Denoising
from deftx.config.methods import Conflicts
from deftx.config.tasks import Metric
from deftx.core.errors import ConfigError, DatasetError, VectorError
from deftx.core.integrity import read_json, sha256_of
from deftx.evaluation import predict, score
from deftx.masks.select import build
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import vectors as vector_files
from tests.helpers import pico
from tests.helpers.command import refused, run
from tests.helpers.trainings import LESSONS, Trainings

PHASE = {"max_steps": 2, "learning_rate": 1e-2}


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

    def compose(self, *terms: tuple[str, float], rule: Conflicts = "sum", head: int | None = None) -> Path:
        out = self.folder / "recipe.json"
        vectors = [(self.folder / name, weight) for name, weight in terms]
        recipes.compose(vectors, base_model.read(self.base), out, rule=rule, head=head)
        return out

    def predict(self, recipe: Path) -> Path:
        out = self.folder / "predictions.csv"
        predict.predict(recipe, self.base, self.test, 16, out)
        return out


@pytest.fixture(scope="module", params=["pico_bert", "pico_xlmr"])
def vectors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    return Vectors(request.getfixturevalue(request.param), tmp_path_factory.mktemp("vectors"))


def test_the_composed_model_is_base_plus_vectors(vectors: Vectors) -> None:
    recipe = vectors.compose(("task.sft", 1.0), ("language.sft", 0.5))
    description = base_model.read(vectors.base)
    model = recipes.build(recipes.read(recipe), description)
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


def test_predictions_say_what_they_are_of(vectors: Vectors) -> None:
    recipe = vectors.compose(("language.sft", 0.5), ("task.delta", 1.0))
    out = vectors.predict(recipe)
    rows, given = (list(csv.DictReader(path.read_text().splitlines())) for path in (out, vectors.test))
    assert [(r["id"], r["label"]) for r in rows] == [(r["id"], r["label"]) for r in given]
    for row in rows:
        probability = {label: float(row[f"p_{label}"]) for label in pico.LABELS}
        assert sum(probability.values()) == pytest.approx(1, abs=1e-5)
        assert probability[row["predicted"]] == max(probability.values())
    paths = [vectors.folder / name for name in ("language.sft", "task.delta")]
    modules = [vector_files.load(path) for path in paths]
    assert read_json(out.with_suffix(".json")) == {
        "sha256": sha256_of(out),
        "base": base_model.read(vectors.base).hash,
        "dataset": sha256_of(vectors.test),
        "rows": 30,
        "labels": list(pico.LABELS),
        "vectors": [{"sha256": sha256_of(p), "weight": w} for p, w in zip(paths, (0.5, 1.0), strict=True)],
        "entries": [module.entries for module in modules],
        "seeds": [0, 0],
        "max_length": 16,
        "versions": {"deftx": "0.1.0", "torch": torch.__version__.partition("+")[0]},
    }
    before = [path.read_bytes() for path in (out, out.with_suffix(".json"))]
    vectors.predict(recipe)
    assert [path.read_bytes() for path in (out, out.with_suffix(".json"))] == before


def test_evaluate_predicts_and_scores(vectors: Vectors) -> None:
    recipe = vectors.compose(("task.delta", 1.0), ("language.sft", 1.0), rule="ties")
    given = ["--base", vectors.base, "--dataset", vectors.test, "--max-length", 16]
    parts, whole = vectors.folder / "parts", vectors.folder / "whole"
    run("predict", recipe, *given, "--predictions", parts / "p.csv")
    run("score", "--predictions", parts / "p.csv", "--scores", parts / "s.json", "--metric", "accuracy")
    names = ["--predictions", whole / "p.csv", "--scores", whole / "s.json"]
    run("evaluate", recipe, *given, *names, "--metric", "accuracy")
    for name in ("p.csv", "p.json", "s.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    scores = read_json(whole / "s.json")
    assert scores["signature"].startswith("accuracy|n:30|seed:0|base:") and scores["conflicts"] == "ties"
    assert scores["entries"] == [m.entries for m, _ in recipes.load_terms(*read(vectors, recipe))]


def read(vectors: Vectors, recipe: Path) -> tuple[recipes.Recipe, base_model.Description]:
    return recipes.read(recipe), base_model.read(vectors.base)


@pytest.mark.parametrize("verb", ["predict", "export"])
def test_each_vector_is_loaded_and_hashed_once(
    vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    recipe = vectors.compose(("task.sft", 1.0), ("language.sft", 1.0))
    seen: list[tuple[str, str]] = []
    for module, name in ((vector_files, "load"), (recipes, "sha256_of")):
        original = getattr(module, name)

        def counted(path: Path, name: str = name, original: Any = original) -> Any:
            seen.append((name, path.name))
            return original(path)

        monkeypatch.setattr(module, name, counted)
    options = {
        "predict": ["--dataset", vectors.test, "--predictions", tmp_path / "p.csv"],
        "export": ["--out", tmp_path / "whole"],
    }
    run(verb, recipe, "--base", vectors.base, *options[verb])
    assert sorted(seen) == [(name, f"{role}.sft") for name in ("load", "sha256_of") for role in ("language", "task")]


def test_the_head_is_that_of_the_term_which_is_named(vectors: Vectors) -> None:
    description = base_model.read(vectors.base)
    for head, name in enumerate(("task.sft", "task.delta")):
        recipe = vectors.compose(("task.sft", 1.0), ("task.delta", 1.0), head=head)
        model = recipes.build(recipes.read(recipe), description)
        for parameter, value in vector_files.load(vectors.folder / name).head.items():
            np.testing.assert_array_equal(model.get_parameter(parameter).detach().numpy(), value)


@pytest.mark.parametrize("name", ["recipe.csv", "test.csv", "base.csv", "p.json"])
def test_predictions_overwrite_nothing_they_are_made_of(vectors: Vectors, tmp_path: Path, name: str) -> None:
    inputs = vectors.compose(("task.sft", 1.0)), vectors.base, vectors.test
    names = [tmp_path / part for part in ("recipe.json", "base.json", "test.csv")]
    for source, copy in zip(inputs, names, strict=True):
        copy.write_bytes(source.read_bytes())
    before = [path.read_bytes() for path in names]
    with pytest.raises(ConfigError, match="names are taken"):
        predict.predict(*names, 16, tmp_path / name)
    assert [path.read_bytes() for path in names] == before and len(list(tmp_path.iterdir())) == 3


def test_scores_do_not_take_the_name_of_the_provenance(vectors: Vectors, tmp_path: Path) -> None:
    recipe = vectors.compose(("task.sft", 1.0))
    options = ["--base", vectors.base, "--dataset", vectors.test, "--predictions", tmp_path / "x.csv"]
    assert "x.json is the file for the provenance" in refused(
        "evaluate", recipe, *options, "--scores", tmp_path / "x.json"
    )
    assert not list(tmp_path.iterdir())


def test_a_test_set_without_rows_is_refused(vectors: Vectors, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("id,text,label\n")
    with pytest.raises(DatasetError, match=r"test\.csv has no rows"):
        predict.predict(vectors.compose(("task.sft", 1.0)), vectors.base, tmp_path / "test.csv", 16, tmp_path / "p.csv")


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
        score.score(vectors.predict(recipe), scores, metric)
        found.append(json.loads(scores.read_text()))
    assert len({scores["signature"] for scores in found}) == len(rules)
    assert [scores.get("conflicts", "sum") for scores in found] == [rule for _, rule, _ in rules]


def test_a_model_without_task_vector_is_refused(vectors: Vectors) -> None:
    recipe = recipes.read(vectors.compose(("language.sft", 1.0)))
    with pytest.raises(VectorError, match="no task vector"):
        recipes.build(recipe, base_model.read(vectors.base))


def test_a_test_set_of_another_task_is_refused(vectors: Vectors) -> None:
    recipe = vectors.compose(("task.sft", 1.0))
    other = pico.rows(vectors.folder / "other.csv", labels=("bad", "worse"))
    with pytest.raises(DatasetError, match=r"other\.csv.*'worse'.*bad, good"):
        predict.predict(recipe, vectors.base, other, 16, vectors.folder / "p")
    assert not (vectors.folder / "p").exists() and not (vectors.folder / "p.json").exists()
