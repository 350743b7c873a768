"""Adapters: what they compute against numpy, what moves in training, and what their files refuse."""

import json
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deftx.core.errors import BaseModelError, ConfigError, VectorError
from deftx.evaluation import predict, score
from deftx.finetuning import common
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import adapters
from deftx.modules import vectors as vector_files
from deftx.modules.adapters import Adapter, Bottleneck, Coupling, Shape
from tests.helpers import pico, vectors
from tests.helpers.command import refused, run, spec
from tests.helpers.trainings import Trainings

Array = NDArray[Any]
FAST = {"learning_rate": 1e-2}


def shaken(module: Any, seed: int, deviation: float = 0.3) -> Any:
    """A module with random parameters, not the zeros it starts with."""
    chance = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.normal_(std=deviation, generator=chance)
    return module


def bottleneck(module: Any, states: Array) -> Array:
    """U relu(D z + d) + u in float64."""
    (d, bias_d), (u, bias_u) = ((p.weight.detach().numpy(), p.bias.detach().numpy()) for p in (module.down, module.up))
    return np.maximum(states @ d.T.astype(np.float64) + bias_d, 0) @ u.T.astype(np.float64) + bias_u


def normalised(norm: Any, states: Array) -> Array:
    """Layer normalisation in float64."""
    centred = states - states.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + norm.eps)
    return centred / deviation * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def coupled(module: Any, states: Array) -> Array:
    half = states.shape[-1] // 2
    first, second = states[..., :half], states[..., half:]
    first = first + bottleneck(module.first, second)
    return np.concatenate([first, second + bottleneck(module.second, first)], -1)


# What is computed


def test_a_bottleneck_by_hand() -> None:
    module = Bottleneck(2, 1, 2)
    for parameter, value in zip(module.parameters(), ([[1.0, -2.0]], [0.5], [[3.0], [4.0]], [0.25, 0.0]), strict=True):
        parameter.data = torch.tensor(value)
    # 1·1 − 2·(−1) + 0.5 = 3.5; 1·1 − 2·2 + 0.5 < 0, which relu cuts off
    result = module(torch.tensor([[1.0, -1.0], [1.0, 2.0]]))
    assert result.tolist() == [[3 * 3.5 + 0.25, 4 * 3.5], [0.25, 0.0]]


def test_a_coupling_by_hand() -> None:
    module = Coupling(2, 1)
    for parameter, value in zip(module.parameters(), ([[2.0]], [1.0], [[1.0]], [0.0]) * 2, strict=True):
        parameter.data = torch.tensor(value)
    # F(x) = G(x) = relu(2x + 1): o1 = 1 + F(3) = 8, o2 = 3 + G(8) = 20
    assert module(torch.tensor([1.0, 3.0])).tolist() == [8.0, 20.0]
    assert module.inverse(torch.tensor([8.0, 20.0])).tolist() == [1.0, 3.0]


@given(st.integers(2, 33), st.integers(1, 9), st.integers(0, 1000), st.sampled_from([(7,), (3, 5)]))
def test_a_coupling_is_inverted_to_a_millionth(width: int, inner: int, seed: int, shape: tuple[int, ...]) -> None:
    module = shaken(Coupling(width, inner), seed, 0.1)
    states = torch.randn((*shape, width), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for there, back in ((module, module.inverse), (module.inverse, module)):
            torch.testing.assert_close(back(there(states)), states, rtol=1e-6, atol=1e-6)
            assert not torch.equal(there(states), states)


def adapter(role: str, seed: int = 0) -> Any:
    """A random language adapter of two layers, or a task adapter that leaves out the last one."""
    shape = Shape(width=32, layers=2, bottleneck=16, coupling=8) if role == "language" else SHALLOW
    return shaken(Adapter(shape), seed)


SHALLOW = Shape(width=32, layers=1, bottleneck=2)


@torch.no_grad()
def test_layers_embeddings_and_output_against_numpy(each_base: Path) -> None:
    """The first layer has both adapters, the last one neither: its task adapter is left out."""
    description = base_model.read(each_base)
    plain, stacked = (base_model.masked_lm(description, untied=True, seed=0).eval() for _ in range(2))
    language, task = adapter("language"), adapter("task", 1)
    adapters.insert(stacked, [language, task])
    chance = torch.Generator().manual_seed(2)
    inner, states = torch.randn((2, 3, 64), generator=chance), torch.randn((2, 3, 32), generator=chance)
    first, last = stacked.base_model.encoder.layer
    dense, norm = first.output.dense, plain.base_model.encoder.layer[0].output.LayerNorm
    summed = inner.double().numpy() @ dense.weight.double().numpy().T + dense.bias.numpy() + states.numpy()
    for module in (language.layers[0], task.layers[0]):
        summed = summed + bottleneck(module, normalised(norm, summed))
    np.testing.assert_allclose(first.output(inner, states).numpy(), normalised(norm, summed), atol=2e-5)
    assert torch.equal(last.output(inner, states), plain.base_model.encoder.layer[1].output(inner, states))

    pieces = torch.tensor([[5, 6, 7], [8, 9, 10]])
    expected = coupled(language.coupling, plain.base_model.embeddings(pieces).double().numpy())
    np.testing.assert_allclose(stacked.base_model.embeddings(pieces).numpy(), expected, atol=2e-5)
    output, projection = stacked.get_output_embeddings(), plain.get_output_embeddings()
    logits = output(torch.from_numpy(coupled(language.coupling, states.double().numpy())).float())
    torch.testing.assert_close(logits, projection(states), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_adapters_that_start_change_no_bit(each_base: Path) -> None:
    description = base_model.read(each_base)
    pieces = {"input_ids": torch.tensor([[5, 6, 7], [8, 9, 10]])}
    torch.manual_seed(0)
    stack = [Adapter(Shape(width=32, layers=2, bottleneck=16, coupling=8)), Adapter(SHALLOW)]
    for load in (
        lambda: base_model.masked_lm(description, untied=True, seed=0),
        lambda: base_model.classifier(description, pico.LABELS, seed=0),
    ):
        plain, stacked = load().eval(), load().eval()
        adapters.insert(stacked, stack)
        assert torch.equal(plain(**pieces).logits, stacked(**pieces).logits)
    shaken(stack[1], 0)
    assert not torch.equal(plain(**pieces).logits, stacked(**pieces).logits)


@given(st.integers(2, 20), st.integers(1, 3), st.integers(1, 9), st.none() | st.integers(1, 9))
def test_parameters_are_as_many_as_the_formula_says(width: int, layers: int, inner: int, coupling: int | None) -> None:
    shape = Shape(width=width, layers=layers, bottleneck=inner, coupling=coupling)
    found = {name: tuple(p.shape) for name, p in Adapter(shape).named_parameters()}
    assert list(found.items()) == list(shape.parameters().items())
    count = layers * (2 * width * inner + inner + width)
    if coupling is not None:  # F and G map one half to the other, so together they have `width` outputs
        count += 2 * width * coupling + 2 * coupling + width
    assert sum(map(prod, found.values())) == count


def test_sizes_of_xlmr_base() -> None:
    """7.39 million parameters of a language (Pfeiffer et al. 2020), with the task's last layer left out (MAD-X 2.0)."""
    shapes = {f"encoder.layer.{n}.output.LayerNorm.weight": [768] for n in range(12)}
    shapes["embeddings.LayerNorm.weight"] = [768]
    description = base_model.Description("xlmr", None, "h", "t", shapes)
    language = adapters.shape_of(description, 2, 2, 0)
    assert sum(map(prod, language.parameters().values())) == 12 * (2 * 768 * 384 + 384 + 768) + 296_064 == 7_387_776
    task = adapters.shape_of(description, 16, None, 1)
    assert (task.layers, task.bottleneck, task.coupling) == (11, 48, None)


@pytest.mark.parametrize(
    ("reduction", "coupling", "left_out", "message"),
    [
        (33, 2, 0, "reduction: nothing is left"),
        (2, 17, 0, "invertible_reduction: nothing"),
        (2, 2, 2, "leave_out_last"),
    ],
)
def test_sizes_that_do_not_fit(pico_bert: Path, reduction: int, coupling: int, left_out: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adapters.shape_of(base_model.read(pico_bert), reduction, coupling, left_out)


def test_a_model_of_another_kind() -> None:
    other = {"embeddings.LayerNorm.weight": [4], "transformer.layer.0.ffn.lin1.weight": [4, 4]}
    narrow = {"embeddings.LayerNorm.weight": [4], "encoder.layer.0.output.LayerNorm.weight": [8]}
    for shapes in (other, narrow):
        with pytest.raises(BaseModelError, match="use a model of BERT's or RoBERTa's kind"):
            adapters.shape_of(base_model.Description("other", None, "h", "t", shapes), 2, 2, 0)
    with pytest.raises(BaseModelError, match="use a model of BERT's or RoBERTa's kind"):
        adapters.insert(SimpleNamespace(base_model=torch.nn.Module()), [])


# Training


class Modules(Trainings):
    """A language adapter, and a task adapter on it."""

    def language(self, out: str, **changes: Any) -> adapters.Stored:
        self.record = self.train("adapter", "language", out, **FAST | changes)
        return adapters.load(self.folder / out)

    def task(self, out: str, start: str | None = None, **changes: Any) -> adapters.Stored:
        self.record = self.train("adapter", "task", out, start=start, **FAST | changes)
        return adapters.load(self.folder / out)

    def compose(self, *names: str) -> recipes.Recipe:
        terms = [(self.folder / name, 1.0) for name in names]
        return recipes.compose(terms, base_model.read(self.base), self.folder / "recipe.json")


@pytest.fixture
def trainings(each_base: Path, tmp_path: Path) -> Modules:
    return Modules(each_base, tmp_path)


def test_adapter_and_head_move_and_nothing_else(trainings: Modules, moved: list[set[str]]) -> None:
    language = trainings.language("language")
    assert trainings.record.trained_parameters > language.entries == sum(p.size for p in language.parameters.values())
    assert language.metadata.role == "language" and not language.head
    task = trainings.task("task", "language")
    assert task.metadata.role == "task" and task.metadata.labels == list(pico.LABELS)
    assert task.metadata.start == [common.sha256_of(trainings.folder / "language")]
    head = sum(value.size for value in task.head.values())
    assert trainings.record.trained_parameters == task.entries + head
    of_language, of_task = moved
    assert {name.partition(".adapters.0.")[2] for name in of_language if ".adapters." in name} == set(
        language.parameters
    )
    assert not [name for name in of_language if "embeddings" in name or "decoder.weight" in name or "encoder" in name]
    assert {name.partition(".adapters.1.")[2] for name in of_task if ".adapters." in name} == set(task.parameters)
    assert {name for name in of_task if ".adapters." not in name} == set(task.head)


# Composition and evaluation


def test_a_composed_model_has_the_target_s_adapter(trainings: Modules) -> None:
    for name, seed in (("source", 0), ("target", 1)):
        trainings.language(name, seed=seed)
    task = trainings.task("task", "source")
    description = base_model.read(trainings.base)
    pieces = {"input_ids": torch.tensor([[5, 6, 7], [8, 9, 10]])}
    logits = {}
    for names in (("task", "target"), ("target", "task"), ("task", "source"), ("task",)):
        recipe = trainings.compose(*names)
        assert [term.path.name for term in recipe.terms] == list(names)
        with torch.no_grad():
            logits[names] = recipes.build(recipe, description)(**pieces).logits
    expected = base_model.classifier(description, pico.LABELS, seed=5)
    stack = [adapters.module_of(adapters.load(trainings.folder / name)) for name in ("target", "task")]
    for name, value in task.head.items():
        expected.get_parameter(name).data.copy_(torch.from_numpy(value))
    adapters.insert(expected, stack)
    with torch.no_grad():
        assert torch.equal(logits["task", "target"], expected.eval()(**pieces).logits)
    assert torch.equal(logits["task", "target"], logits["target", "task"])
    assert not torch.equal(logits["task", "target"], logits["task", "source"])
    assert not torch.equal(logits["task", "source"], logits["task",])


def test_scores_and_predictions_are_those_of_other_methods(trainings: Modules) -> None:
    trainings.language("language")
    task = trainings.task("task", "language")
    trainings.compose("task", "language")
    content = json.loads((trainings.folder / "recipe.json").read_text())
    assert content["entries"][0] == task.entries and content["overlap"] is None
    test, out = pico.rows(trainings.folder / "test.csv", 30, seed=2), trainings.folder
    predict.predict(out / "recipe.json", trainings.base, test, 16, out / "p.csv")
    score.score(out / "p.csv", out / "scores.json", "macro_f1")
    assert json.loads((out / "scores.json").read_text()).keys() >= {"macro_f1", "vectors", "entries", "base", "dataset"}
    assert len((out / "p.csv").read_text().splitlines()) == 31


def test_an_adapter_beside_a_vector(trainings: Modules) -> None:
    """Families go together: the vector is added to the base, and the adapter is stacked into the sum."""
    trainings.language("language")
    trainings.train("delta", "task", "delta", **FAST)
    description = base_model.read(trainings.base)
    model = recipes.build(trainings.compose("language", "delta"), description)
    delta, name = vector_files.load(trainings.folder / "delta"), "encoder.layer.0.output.dense.weight"
    moved = (
        model.base_model.get_parameter(name).detach().numpy() - base_model.weights(description.location)[name].numpy()
    )
    np.testing.assert_allclose(moved, delta.full(name), atol=1e-7)
    assert len(model.base_model.adapters) == 1


# Files and mistakes


def stored(role: Any = "language", **changes: Any) -> adapters.Stored:
    """A small random adapter of the base of `vectors`."""
    module = adapter(role)
    shape = SHALLOW if role == "task" else Shape(width=32, layers=2, bottleneck=16, coupling=8)
    content = {"role": role, "base": vectors.BASE, "base_model": "pico", "shape": shape, "seed": 0, "threads": 1}
    metadata = adapters.Metadata.model_validate(content | {"objective": "masked-lm"} | changes)
    parameters = {name: p.detach().numpy() for name, p in module.named_parameters()}
    return adapters.Stored(metadata, parameters, {"classifier.bias": np.ones(2, np.float32)} if role == "task" else {})


@pytest.mark.parametrize("role", ["language", "task"])
def test_files_hold_what_was_saved(tmp_path: Path, role: str) -> None:
    one = stored(role)
    adapters.save(one, tmp_path / "a")
    two = adapters.load(tmp_path / "a")
    assert two.metadata == one.metadata
    for mine, theirs in ((one.parameters, two.parameters), (one.head, two.head)):
        assert list(mine) == list(theirs)
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    adapters.save(two, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_damaged_file(tmp_path: Path) -> None:
    adapters.save(stored(), tmp_path / "a")
    content = bytearray((tmp_path / "a").read_bytes())
    content[-3] ^= 1
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(VectorError, match="is corrupted"):
        adapters.load(tmp_path / "a")


def test_what_is_no_whole_adapter_is_not_written(tmp_path: Path) -> None:
    for change, message in (
        (lambda p: p.pop("layers.1.up.bias"), r"layers\.1\.up\.bias is missing"),
        (lambda p: p.update({"layers.0.up.bias": np.ones(3, np.float32)}), r"has shape \[3\], not \[32\]"),
        (lambda p: p.update({"layers.9.up.bias": np.ones(3, np.float32)}), "unknown tensor"),
        (lambda p: p["layers.0.up.bias"].fill(np.nan), "NaN or infinity"),
    ):
        one = stored()
        change(one.parameters)
        with pytest.raises(VectorError, match=message):
            adapters.save(one, tmp_path / "a")
        assert not (tmp_path / "a").exists()


def test_mistakes_at_the_command_line(tmp_path: Path, pico_bert: Path) -> None:
    """One message each, and nothing is written."""
    description = base_model.read(pico_bert)
    one, other, task = (tmp_path / name for name in ("one", "other", "task"))
    adapters.save(stored(base=description.hash), one)
    adapters.save(stored(), other)
    adapters.save(stored("task", base=description.hash, labels=list(pico.LABELS)), task)
    vector_files.save(vectors.sparse(), tmp_path / "sft")
    out, recipe = tmp_path / "out", tmp_path / "recipe"
    run("compose", task, one, "--base", pico_bert, "--out", recipe)

    def composed(*terms: Any) -> str:
        return refused("compose", *terms, "--base", pico_bert, "--out", out)

    assert "was made for another base model" in composed(other)
    assert "is stacked and not added: leave out its weight of 0.5" in composed(f"{one}:0.5")
    assert "adapters are stacked and not added" in composed(task, one, "--write", tmp_path / "sum")
    assert "adapters are stacked and not added" in refused("export", recipe, "--base", pico_bert, "--out", out)
    assert "does not exist" in composed(tmp_path / "none")
    assert "several adapters of a language" in composed(task, one, one)
    rows = pico.rows(tmp_path / "rows.csv")
    data = ["--base", pico_bert, "--train", rows, "--valid", rows, "--out", out]
    trained = ["train", "--spec", spec("adapter"), *data]
    of_task = ["train", "--spec", spec("adapter", ["bad", "good"]), *data, "--start"]
    assert "is the adapter of a task; give --start that of the source language" in refused(*of_task, task)
    assert "was made for another base model" in refused(*of_task, other)
    assert "is a sft, where an adapter is needed" in refused(*of_task, tmp_path / "sft")
    assert "a language adapter starts from the base model" in refused(*trained, "--start", one)
    assert "sizes: reduction" in refused("train", "--spec", spec("adapter", sizes={"reduction": 0}), *data)
    assert not out.exists() and not (tmp_path / "sum").exists()
