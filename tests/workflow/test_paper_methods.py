"""Every method of the paper, on a task of single texts and one of pairs: a two-layer XLM-R, two targets, one seed."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from deftx.core.readers import read_table
from deftx.evaluation import predict
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import adapters, loading, lora, vectors
from tests.helpers import pico
from tests.helpers import project as projects
from tests.helpers.project import REPOSITORY, SHORT, Project, each
from tests.workflow.test_runs import digests

Config = dict[str, Any]
PAPER: Config = yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text())
METHODS, SELECTIONS = list(PAPER["methods"]), list(PAPER["selections"])
LABELS = {"sentiment": ("bad", "fair", "good"), "nli": ("entailment", "neutral", "contradiction")}
MERGED = [name for name in METHODS if name != "mad-x"]
CELLS = [(method, task, lang) for method in METHODS for task in LABELS for lang in ("one", "two")]
FAST = SHORT | {"learning_rate": 0.02}
K = {"language": 0.2, "task": 0.1}


def experiment(folder: Path, model: Path) -> Config:
    """The paper's methods and selections, with data and sizes of a pico run."""
    texts = folder / "texts"
    for seed, lang in enumerate(("src", "one", "two")):
        pico.text(texts / f"{lang}.txt", 120, seed)
    splits = {"src": ("train", "valid"), "one": ("test",), "two": ("test",)}
    seed = 10
    for lang, some in splits.items():
        for split in some:
            seed += 1
            pico.rows(texts / f"sentiment-{lang}-{split}.csv", 24, seed, LABELS["sentiment"])
            pairs(texts / f"nli-{lang}-{split}.csv", seed)

    def dataset(task: str, some: tuple[str, ...], **columns: Any) -> Config:
        files = {c: {s: {"path": f"texts/{task}-{c}-{s}.csv"} for s in splits[c]} for c in some}
        return {"layout": "csv", "languages": list(some), "files": files} | columns

    def task(name: str, **more: Any) -> Config:
        of = {"train": f"{name}-train", "test": f"{name}-test"}
        return {"labels": list(LABELS[name]), "source": "src", "targets": ["one", "two"]} | of | more

    pair = {"text": "premise", "pair": "hypothesis"}
    return {
        "name": "pico",
        "base": {"model": str(model)},
        "languages": {
            c: {"corpus": {"files": [{"path": f"texts/{c}.txt"}], "min_lines": 20, "valid": 0.2}} for c in splits
        },
        "datasets": {
            "sentiment-train": dataset("sentiment", ("src",)),
            "sentiment-test": dataset("sentiment", ("one", "two")),
            "nli-train": dataset("nli", ("src",), drop_held_out=True, **pair),
            "nli-test": dataset("nli", ("one", "two"), **pair),
        },
        "tasks": {
            "sentiment": task("sentiment"),
            "nli": task("nli", metric="accuracy", recipe={"max_length": 48, "full": FAST, "sparse": FAST}),
        },
        "recipe": {
            "language": {"block": 16, "precision": "fp32", "full": FAST, "sparse": FAST},
            "task": {"max_length": 32, "precision": "fp32", "full": FAST, "sparse": FAST},
            "adapters": {"language": {"phase": FAST}, "task": {"reduction": 4, "leave_out_last": True, "phase": FAST}},
            "lora": {"language": {"rank": 2, "phase": FAST}, "task": {"rank": 3, "phase": FAST}},
        },
        "selections": {n: s | {"k": K} for n, s in PAPER["selections"].items()}
        | {"deft-x-uniform": {"rank": {"uniform": 4}, "keep": 0.05, "k": K}},
        "methods": PAPER["methods"],
        "seeds": {"language": [0], "task": [0]},
    }


def pairs(path: Path, seed: int) -> None:
    """A file of premises and hypotheses."""
    both = zip(pico.sentences(24, seed), pico.sentences(24, seed + 100), strict=True)
    lines = [f"{premise},{other},{LABELS['nli'][n % 3]}" for n, (premise, other) in enumerate(both)]
    path.write_text("\n".join(["premise,hypothesis,label", *lines]) + "\n")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, commands: Path, pico_xlmr: Path) -> Project:
    """The finished run."""
    made = projects.create(tmp_path_factory.mktemp("paper") / "project", commands)
    shutil.rmtree(made.folder / "texts")
    content = experiment(made.folder, pico_xlmr.parent / "base")
    made.config.write_text(yaml.safe_dump(content, sort_keys=False))
    made.run()
    return made


def recipe_of(done: Project, method: str, task: str, lang: str) -> recipes.Recipe:
    return recipes.read(done.results / f"composed/{method}/{task}/{lang}/seed0.json")


def description(done: Project) -> base_model.Description:
    return base_model.read(done.results / "base.json")


def test_every_file_is_there_and_no_other(done: Project) -> None:
    """Each training once, whichever methods use it; and a score and predictions of every method, task and target."""
    sparse = each(
        "language/{lt-sft,deft-x,deft-x-uniform}/{src,one,two}",
        "task/lt-sft/{sentiment,nli}/{base,lt-sft-src}",
        "task/deft-x/{sentiment,nli}/deft-x-src",
        "task/deft-x-uniform/{sentiment,nli}/deft-x-uniform-src",
    )
    modules = each(
        "deltas/language/{src,one,two}",
        "deltas/task/{sentiment,nli}/{base,lt-sft-src,deft-x-src,deft-x-uniform-src,mlm-one,mlm-two}",
        "adapters/language/{src,one,two}",
        "adapters/task/{sentiment,nli}/src",
        "loras/language/{one,two}",
        "loras/task/{sentiment,nli}/base",
    ) | {f"{folder}/{name}" for folder in ("masks", "sfts") for name in sparse}
    found = {str(p.relative_to(done.results).parent) for p in done.results.rglob("*.safetensors")}
    assert found == modules
    for folder, ending in (("composed", "json"), ("scores", "json"), ("predictions", "csv")):
        files = {str(p.relative_to(done.results / folder)) for p in (done.results / folder).rglob(f"*.{ending}")}
        assert files == {f"{method}/{task}/{lang}/seed0.{ending}" for method, task, lang in CELLS}
    assert {p.name for p in (done.results / "tables").glob("*.md")} == {"sentiment.md", "nli.md", "costs.md"}


def test_modules_have_the_base_s_shapes_and_their_budgets(done: Project) -> None:
    described = description(done)
    maskable = {name: shape for name, shape in described.shapes.items() if "LayerNorm" not in name}
    entries = sum(map(prod, maskable.values()))
    for path in done.results.rglob("*.safetensors"):
        family, kind, *place = path.relative_to(done.results).parts
        module = loading.load(path)
        of_task = next((task for task in LABELS if task in place), None)
        assert module.metadata.base == described.hash
        assert (module.metadata.labels or ()) == (list(LABELS[of_task]) if of_task else ())
        assert bool(module.head) == (kind == "task" and family != "masks")
        if module.head:
            assert module.head["classifier.out_proj.weight"].shape == (3, pico.SHAPE["hidden_size"])
        if family == "deltas":
            assert module.metadata.shapes == maskable
        if family == "masks":
            assert module.entries == round(K[kind] * entries)
            assert all(shape == maskable[name] for name, shape in module.metadata.shapes.items())
        if family == "sfts":
            mask = vectors.load(done.results / "masks" / kind / Path(*place))
            assert module.entries == mask.entries
            for name, positions in mask.positions.items():
                assert np.array_equal(module.positions.get(name, []), positions)
        if family in ("adapters", "loras"):
            sizes = {name: tensor.shape for name, tensor in module.parameters.items()}
            assert sizes == dict(module.metadata.shape.parameters())
    one, task = (done.results / f"adapters/{x}/seed0.safetensors" for x in ("language/one", "task/nli/src"))
    assert (adapters.load(one).metadata.shape.layers, adapters.load(task).metadata.shape.layers) == (2, 1)
    shape = lora.load(done.results / "loras/task/nli/base/seed0.safetensors").metadata.shape
    assert (shape.rank, len(shape.matrices)) == (3, 2 * 6)


def test_predictions_are_about_the_test_set(done: Project) -> None:
    for method, task, lang in CELLS:
        rows = pd.read_csv(done.results / f"datasets/{task}-test/{lang}/test.csv", dtype=str)
        assert list(rows) == ["id", "text", *(["pair"] if task == "nli" else []), "label"]
        predicted = pd.read_csv(done.results / f"predictions/{method}/{task}/{lang}/seed0.csv", dtype={"id": str})
        assert predicted[["id", "label"]].equals(rows[["id", "label"]])
        likely = predicted[[f"p_{label}" for label in LABELS[task]]].to_numpy()
        assert np.allclose(likely.sum(1), 1, atol=1e-5)
        assert list(predicted["predicted"]) == [LABELS[task][n] for n in likely.argmax(1)]
        scores = json.loads((done.results / f"scores/{method}/{task}/{lang}/seed0.json").read_text())
        metric = "accuracy" if task == "nli" else "macro_f1"
        assert scores["signature"].startswith(f"{metric}|n:24|seed:0|base:{description(done).hash[:8]}|")
        assert scores["accuracy"] == pytest.approx(100 * (predicted["predicted"] == predicted["label"]).mean())


def test_a_hypothesis_changes_what_is_predicted(done: Project, tmp_path: Path) -> None:
    """Were it left out, another one would not matter."""
    path = done.results / "datasets/nli-test/one/test.csv"
    rows = pd.read_csv(path, dtype=str)
    rows["pair"] = list(reversed(rows["pair"]))
    rows.to_csv(tmp_path / "other.csv", index=False)
    composed = done.results / "composed/lt-sft/nli/one/seed0.json"
    out = tmp_path / "predictions.csv"
    predict.predict(composed, done.results / "base.json", tmp_path / "other.csv", 48, out)
    before = read_table(done.results / "predictions/lt-sft/nli/one/seed0.csv", ",")[1]
    assert [list(r.values())[3:] for r in read_table(out, ",")[1]] != [list(r.values())[3:] for r in before]


def encoder(model: Any) -> Mapping[str, torch.Tensor]:
    return {name: tensor for name, tensor in model.base_model.state_dict().items() if "adapters" not in name}


@pytest.mark.parametrize("task", LABELS)
@pytest.mark.parametrize("method", MERGED)
def test_vectors_of_no_weight_are_the_base_and_their_order_does_not_matter(
    done: Project, method: str, task: str
) -> None:
    described, recipe = description(done), recipe_of(done, method, task, "one")
    nothing = replace(recipe, terms=tuple(replace(term, weight=0.0) for term in recipe.terms))
    weights = base_model.weights(described.location)
    still, moved = encoder(recipes.build(nothing, described)), encoder(recipes.build(recipe, described))
    assert all(torch.equal(still[name], weights[name]) for name in still)
    assert not all(torch.equal(moved[name], weights[name]) for name in moved)
    backwards = encoder(recipes.build(replace(recipe, terms=recipe.terms[::-1]), described))
    for name in moved:  # but for the rounding of (theta + a) + b
        torch.testing.assert_close(backwards[name], moved[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("task", LABELS)
@torch.no_grad()
def test_adapters_of_nothing_are_the_base_and_their_order_does_not_matter(done: Project, task: str) -> None:
    described, recipe = description(done), recipe_of(done, "mad-x", task, "one")
    words = torch.tensor([[0, 7, 8, 9, 2]])
    bare, stacked, backwards, still = (
        base_model.classifier(described, LABELS[task], seed=0).eval().base_model,
        recipes.build(recipe, described).base_model,
        recipes.build(replace(recipe, terms=recipe.terms[::-1]), described).base_model,
        base_model.classifier(described, LABELS[task], seed=0).eval(),
    )
    modules = [adapters.load(term.path) for term in recipe.terms]
    empty = [replace(m, parameters={n: np.zeros_like(p) for n, p in m.parameters.items()}) for m in modules]
    adapters.apply(still, described, [(module, 1.0) for module in empty])
    output = bare(words).last_hidden_state
    assert torch.equal(still.base_model(words).last_hidden_state, output)
    assert not torch.equal(stacked(words).last_hidden_state, output)
    assert torch.equal(backwards(words).last_hidden_state, stacked(words).last_hidden_state)


def test_methods_share_what_they_have_in_common(done: Project) -> None:
    """LT-SFT's mask is that of the raw delta; what is kept of the source leaves the model it was learned in."""
    for task in LABELS:
        swapped, kept = (recipe_of(done, method, task, "one").terms for method in ("lt-sft", "source-kept"))
        assert swapped[0] == kept[0]
        start = vectors.load(kept[0].path).metadata.start
        assert start == [kept[1].sha256] and start != [swapped[1].sha256]
        assert [len(recipe_of(done, m, task, "one").terms) for m in METHODS] == [1, 1, *[2] * (len(METHODS) - 2)]


def test_trained_again_everything_has_the_same_bytes(done: Project, tmp_path: Path) -> None:
    """A training of each kind, and what is predicted with it."""
    again = done.copy(tmp_path / "project")
    before = digests(again)
    made = each(
        "{deltas,loras}/task/nli/base/seed0.safetensors",
        "sfts/task/lt-sft/nli/base/seed0.safetensors",
        "adapters/task/nli/src/seed0.safetensors",
        "predictions/{full-ft,task-sft,lora-arithmetic,mad-x}/nli/one/seed0.csv",
    )
    for name in made:
        (again.results / name).unlink()
    assert len(before.keys() - digests(again).keys()) == len(made)
    again.run(*(f"results/pico/{name}" for name in sorted(made)))
    assert digests(again) == before
