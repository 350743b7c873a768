"""LoRA: what it computes against numpy and against peft, what moves in training, and what its files refuse."""

import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from deftx.config.modules import Lora
from deftx.core.errors import ConfigError, VectorError
from deftx.evaluation import predict, score
from deftx.finetuning import common
from deftx.finetuning import lora as lora_training
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import lora
from deftx.modules import vectors as vector_files
from tests.helpers import pico, vectors
from tests.helpers.command import refused, run, spec
from tests.helpers.trainings import LORA, Trainings

FAST = {"learning_rate": 1e-2}
PIECES = {"input_ids": torch.tensor([[5, 6, 7], [8, 9, 10]])}


def of(description: base_model.Description, role: Any = "language", seed: int = 0, **changes: Any) -> lora.Stored:
    """Random LoRA of a base, B not the zeros it starts with."""
    shape = lora.shape_of(description, LORA[role])
    chance = np.random.default_rng(seed)
    factors = {n: chance.normal(size=s, scale=0.1).astype(np.float32) for n, s in shape.parameters().items()}
    content = {"role": role, "base": description.hash, "base_model": "pico", "shape": shape, "seed": 0, "threads": 1}
    metadata = lora.Metadata.model_validate(content | {"objective": "masked-lm"} | changes)
    return lora.Stored(metadata, factors)


def by_hand(stored: lora.Stored, name: str) -> np.ndarray[Any, Any]:
    """(alpha / r) B A entry by entry in float64."""
    a, b = (stored.parameters[f"{factor}.{name}"].astype(np.float64) for factor in "AB")
    scale = stored.metadata.shape.alpha / stored.metadata.shape.rank
    return scale * np.array([[sum(row * column) for column in a.T] for row in b])


def put(model: Any, stored: lora.Stored) -> Any:
    """A model with peft's layers that hold stored factors."""
    for name, factor in lora_training.insert(model, stored.metadata.shape).items():
        factor.data = torch.from_numpy(stored.parameters[name])
    return model.eval()


# What is adapted


def test_targets_are_matrices_of_the_layers(each_base: Path) -> None:
    """All of them by default, and neither embeddings nor what stands above the layers."""
    shape = lora.shape_of(base_model.read(each_base), Lora(rank=2))
    parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    expected = {f"encoder.layer.{n}.{part}.weight": (32, 32) for n in (0, 1) for part in parts}
    expected |= {f"encoder.layer.{n}.intermediate.dense.weight": (64, 32) for n in (0, 1)}
    expected |= {f"encoder.layer.{n}.output.dense.weight": (32, 64) for n in (0, 1)}
    assert shape.matrices == expected


@given(st.integers(1, 32), st.sets(st.sampled_from(["query", "self.key", "attention.output.dense"]), min_size=1))
def test_parameters_are_as_many_as_the_formula_says(rank: int, targets: set[str]) -> None:
    shapes = {f"encoder.layer.{n}.attention.{part}": [32, 32] for n in (0, 1) for part in ("self.query.weight", "x")}
    shapes |= {f"encoder.layer.{n}.attention.{part}.weight": [32, 32] for n in (0, 1) for part in ("self.key",)}
    shapes |= {f"encoder.layer.{n}.attention.output.dense.weight": [32, 32] for n in (0, 1)}
    description = base_model.Description("x", None, "h", "t", shapes)
    shape = lora.shape_of(description, Lora(rank=rank, targets=tuple(targets)))
    assert sum(map(prod, shape.parameters().values())) == 2 * len(targets) * rank * (32 + 32)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (Lora(targets=("query", "q_proj")), "targets: no weight matrix .* is called q_proj"),
        (Lora(targets=("word_embeddings",)), "is called word_embeddings"),
        (Lora(targets=("LayerNorm",)), "is called LayerNorm"),
        (Lora(rank=33), r"rank: 33 is more than encoder\.layer\.0\..* of shape \[32, 32\] has"),
    ],
)
def test_sizes_that_do_not_fit(pico_bert: Path, sizes: Lora, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lora.shape_of(base_model.read(pico_bert), sizes)


# What is computed


def test_a_difference_by_hand() -> None:
    shape = lora.Shape(rank=2, alpha=6, matrices={"w": (2, 3)})
    metadata = lora.Metadata(
        role="language", base="h", base_model="x", shape=shape, objective="masked-lm", seed=0, threads=1
    )
    a, b = np.float32([[1, 0, 2], [0, 1, -1]]), np.float32([[1, 2], [0, -1]])
    # 6 / 2 = 3 times [[1, 2, 0], [0, -1, 1]]
    difference = lora.difference(lora.Stored(metadata, {"A.w": a, "B.w": b}), "w")
    assert difference.tolist() == [[3, 6, 0], [0, -3, 3]] and difference.dtype == np.float32


@torch.no_grad()
def test_a_layer_of_peft_by_hand(each_base: Path) -> None:
    """y = x (W + (alpha / r) B A)^T + b."""
    description = base_model.read(each_base)
    stored = of(description)
    model = put(base_model.classifier(description, pico.LABELS, seed=0), stored)
    weights = base_model.weights(description.location)
    states = torch.randn((2, 3, 32), generator=torch.Generator().manual_seed(1))
    for module in ("encoder.layer.0.attention.self.query", "encoder.layer.1.intermediate.dense"):
        name = f"{module}.weight"
        matrix = weights[name].double().numpy() + by_hand(stored, name)
        expected = states.double().numpy() @ matrix.T + weights[f"{module}.bias"].numpy()
        np.testing.assert_allclose(model.base_model.get_submodule(module)(states).numpy(), expected, atol=1e-6)


@torch.no_grad()
def test_merged_is_what_peft_computes_unmerged(each_base: Path) -> None:
    description = base_model.read(each_base)
    stored = of(description)
    for load in (
        lambda: base_model.masked_lm(description, untied=True, seed=0),
        lambda: base_model.classifier(description, pico.LABELS, seed=0),
    ):
        plain, merged, unmerged = load().eval(), load().eval(), put(load(), stored)
        lora.apply(merged, description, [(stored, 1.0)])
        torch.testing.assert_close(merged(**PIECES).logits, unmerged(**PIECES).logits, rtol=0, atol=1e-5)
        before, after, beside = (m.base_model(**PIECES).last_hidden_state for m in (plain, merged, unmerged))
        torch.testing.assert_close(after, beside, rtol=0, atol=1e-5)
        assert (before - after).abs().max() > 0.1


@torch.no_grad()
def test_factors_that_start_change_no_bit(each_base: Path) -> None:
    description = base_model.read(each_base)
    shape = lora.shape_of(description, LORA["language"])
    for load in (
        lambda: base_model.masked_lm(description, untied=True, seed=0),
        lambda: base_model.classifier(description, pico.LABELS, seed=0),
    ):
        plain, adapted = load().eval(), load().eval()
        factors = lora_training.insert(adapted, shape)
        assert {n: tuple(p.shape) for n, p in factors.items()} == shape.parameters()
        assert all(p.any() == n.startswith("A.") for n, p in factors.items())
        assert torch.equal(plain(**PIECES).logits, adapted.eval()(**PIECES).logits)


# Training


class Modules(Trainings):
    """LoRA of languages, and of a task."""

    def language(self, out: str, **changes: Any) -> lora.Stored:
        self.record = self.train("lora", "language", out, **FAST | changes)
        return lora.load(self.folder / out)

    def task(self, out: str, start: str | None = None, **changes: Any) -> lora.Stored:
        self.record = self.train("lora", "task", out, start=start, **FAST | changes)
        return lora.load(self.folder / out)

    def compose(self, *terms: tuple[str, float]) -> recipes.Recipe:
        files = [(self.folder / name, weight) for name, weight in terms]
        return recipes.compose(files, base_model.read(self.base), self.folder / "recipe.json")


@pytest.fixture
def trainings(each_base: Path, tmp_path: Path) -> Modules:
    return Modules(each_base, tmp_path)


def test_factors_and_head_move_and_nothing_else(trainings: Modules, moved: list[set[str]]) -> None:
    language = trainings.language("language")
    assert trainings.record.trained_parameters > language.entries == sum(p.size for p in language.parameters.values())
    assert language.metadata.role == "language" and not language.head
    task = trainings.task("task")
    assert task.metadata.role == "task" and task.metadata.labels == list(pico.LABELS) and task.metadata.start == []
    assert task.metadata.versions["peft"]
    head = sum(value.size for value in task.head.values())
    assert trainings.record.trained_parameters == task.entries + head
    of_language, of_task = ({n for n in names if ".lora_" in n} for names in moved)
    assert (len(of_language), len(of_task)) == (len(language.parameters), len(task.parameters)) == (24, 8)
    beside = moved[0] - of_language
    assert not [name for name in beside if "embeddings" in name or "decoder.weight" in name or "encoder" in name]
    assert moved[1] - of_task == set(task.head)


def test_a_task_starts_from_the_base_plus_the_language_s_lora(trainings: Modules) -> None:
    """What is looked at before the first step is the merged model."""
    language = trainings.language("language", learning_rate=0.1)
    losses = []
    description = base_model.read(trainings.base)
    for start in (None, "language"):
        trainings.task("task", start)
        losses.append(trainings.record.history[0])
    model = base_model.classifier(description, pico.LABELS, seed=0)
    lora.apply(model, description, [(language, 1.0)])
    plain, objective = common.begin(trainings.job("task", "x"))
    assert losses[1] == {"step": 0} | objective.measures(objective.evaluate(model.eval()))
    assert losses[0] == {"step": 0} | objective.measures(objective.evaluate(plain.eval()))
    start = lora.load(trainings.folder / "task").metadata.start
    assert start == [common.sha256_of(trainings.folder / "language")]


# Composition, evaluation, export


def saved(folder: Path, description: base_model.Description, role: str, seed: int = 0) -> lora.Stored:
    stored = of(description, role, seed)
    if role == "task":
        model = base_model.classifier(description, pico.LABELS, seed=0)
        ((name, bias),) = ((n, p) for n, p in model.named_parameters() if p.shape == (2,))
        metadata = stored.metadata.model_copy(update={"labels": list(pico.LABELS)})
        stored = lora.Stored(metadata, stored.parameters, {name: np.ones(bias.shape, np.float32)})
    lora.save(stored, folder / f"{role}{seed}")
    return stored


def test_a_composed_model_is_the_weighted_sum(each_base: Path, tmp_path: Path) -> None:
    description = base_model.read(each_base)
    task, language = saved(tmp_path, description, "task"), saved(tmp_path, description, "language", 1)
    weights = base_model.weights(description.location)

    def composed(*terms: tuple[str, float]) -> dict[str, torch.Tensor]:
        files = [(tmp_path / name, weight) for name, weight in terms]
        recipe = recipes.compose(files, description, tmp_path / "recipe.json")
        model = recipes.build(recipe, description)
        return {name: p.detach() for name, p in model.base_model.named_parameters() if name in weights}

    terms = [("task0", 0.5), ("language1", 2.0)]
    both, swapped = composed(*terms), composed(*reversed(terms))
    for name, parameter in both.items():
        expected = weights[name].double().numpy()
        for stored, weight in ((task, 0.5), (language, 2.0)):
            if name in stored.metadata.shape.matrices:
                expected = expected + weight * by_hand(stored, name)
        np.testing.assert_allclose(parameter.numpy(), expected, atol=1e-6)
        torch.testing.assert_close(parameter, swapped[name], rtol=0, atol=1e-6)
    assert set(both) == set(weights)
    nothing = composed(("task0", 0.0), ("language1", 0.0))
    assert all(torch.equal(parameter, weights[name]) for name, parameter in nothing.items())
    content = json.loads((tmp_path / "recipe.json").read_text())
    assert content["entries"] == [task.entries, language.entries]
    assert content["added"] is None and content["overlap"] is None


def test_an_exported_model_is_an_ordinary_checkpoint(trainings: Modules) -> None:
    """And scores are those of the other methods."""
    trainings.language("language")
    task, out = trainings.task("task"), trainings.folder
    recipe = trainings.compose(("task", 1.0), ("language", 1.0))
    run("export", out / "recipe.json", "--base", trainings.base, "--out", out / "whole")
    whole = AutoModelForSequenceClassification.from_pretrained(out / "whole").eval()
    with torch.no_grad():
        expected = recipes.build(recipe, base_model.read(trainings.base))(**PIECES).logits
        assert torch.equal(whole(**PIECES).logits, expected)
    test = pico.rows(out / "test.csv", 30, seed=2)
    predict.predict(out / "recipe.json", trainings.base, test, 16, out / "p.csv")
    score.score(out / "p.csv", out / "scores.json", "macro_f1")
    scores = json.loads((out / "scores.json").read_text())
    assert scores["entries"][0] == task.entries and len((out / "p.csv").read_text().splitlines()) == 31


def test_lora_beside_a_vector(pico_xlmr: Path, tmp_path: Path) -> None:
    trainings = Modules(pico_xlmr, tmp_path)
    description = base_model.read(pico_xlmr)
    language = saved(tmp_path, description, "language")
    trainings.train("delta", "task", "delta", **FAST)
    model = recipes.build(trainings.compose(("language0", 1.0), ("delta", 1.0)), description)
    delta, name = vector_files.load(tmp_path / "delta"), "encoder.layer.0.output.dense.weight"
    moved = (
        model.base_model.get_parameter(name).detach().numpy() - base_model.weights(description.location)[name].numpy()
    )
    np.testing.assert_allclose(moved, delta.full(name) + by_hand(language, name), atol=1e-6)


# Files and mistakes


@pytest.mark.parametrize("role", ["language", "task"])
def test_files_hold_what_was_saved(tmp_path: Path, pico_bert: Path, role: str) -> None:
    one = saved(tmp_path, base_model.read(pico_bert), role)
    two = lora.load(tmp_path / f"{role}0")
    assert two.metadata == one.metadata
    for mine, theirs in ((one.parameters, two.parameters), (one.head, two.head)):
        assert list(mine) == list(theirs)
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    lora.save(two, tmp_path / "b")
    assert (tmp_path / f"{role}0").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_damaged_file(tmp_path: Path, pico_bert: Path) -> None:
    saved(tmp_path, base_model.read(pico_bert), "language")
    content = bytearray((tmp_path / "language0").read_bytes())
    content[-3] ^= 1
    (tmp_path / "language0").write_bytes(content)
    with pytest.raises(VectorError, match="is corrupted"):
        lora.load(tmp_path / "language0")


def test_what_is_no_whole_lora_is_not_written(tmp_path: Path, pico_bert: Path) -> None:
    name = "encoder.layer.1.output.dense.weight"
    for change, message in (
        (lambda p: p.pop(f"B.{name}"), r"lora\.B\.encoder\.layer\.1\.output\.dense\.weight is missing"),
        (lambda p: p.update({f"A.{name}": np.ones((3, 64), np.float32)}), r"has shape \[3, 64\], not \[4, 64\]"),
        (lambda p: p.update({"A.pooler": np.ones(3, np.float32)}), "unknown tensor"),
        (lambda p: p[f"A.{name}"].fill(np.nan), "NaN or infinity"),
    ):
        one = of(base_model.read(pico_bert))
        change(one.parameters)
        with pytest.raises(VectorError, match=message):
            lora.save(one, tmp_path / "a")
        assert not (tmp_path / "a").exists()


def test_mistakes_at_the_command_line(tmp_path: Path, pico_bert: Path) -> None:
    """One message each, and nothing is written."""
    description = base_model.read(pico_bert)
    saved(tmp_path, description, "language"), saved(tmp_path, description, "task")
    one, task, other, out = (tmp_path / name for name in ("language0", "task0", "other", "out"))
    lora.save(of(description, base="b" * 64), other)
    vector_files.save(vectors.sparse(), tmp_path / "sft")

    def composed(*terms: Any) -> str:
        return refused("compose", *terms, "--base", pico_bert, "--out", out)

    assert "was made for another base model" in composed(other)
    assert "LoRA is a product of factors, added to whole matrices" in composed(task, one, "--write", tmp_path / "sum")
    assert "LoRA is a product of factors" in composed(task, one, "--conflicts", "ties")
    assert "several vectors have a head" in composed(task, task)
    assert "has the weight nan" in composed(f"{one}:nan")
    rows = pico.rows(tmp_path / "rows.csv")
    data = ["--base", pico_bert, "--train", rows, "--valid", rows, "--out", out]
    trained = ["train", "--spec", spec("lora"), *data]
    of_task = ["train", "--spec", spec("lora", ["bad", "good"]), *data, "--start"]
    assert "is the LoRA of a task; give --start that of the source language" in refused(*of_task, task)
    assert "was made for another base model" in refused(*of_task, other)
    assert "is a sft, where LoRA is needed" in refused(*of_task, tmp_path / "sft")
    assert "a language's LoRA starts from the base model" in refused(*trained, "--start", one)
    assert "sizes: rank" in refused("train", "--spec", spec("lora", sizes={"rank": 0}), *data)
    assert "is called q_proj; name modules" in refused(
        "train", "--spec", spec("lora", sizes={"targets": ["q_proj"]}), *data
    )
    assert not out.exists() and not (tmp_path / "sum").exists()
