"""All trainings of both objectives on two-layer models: what moves, what is stored, and equal bytes of equal runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deftx.config.masks import Denoising
from deftx.core import runtime
from deftx.core.errors import VectorError
from deftx.finetuning import common, gradients
from deftx.masks.select import build
from deftx.models import base_model
from deftx.models.sparse_embeddings import TouchedRows, UsedRows
from deftx.modules import vectors
from deftx.tasks import masked_lm
from deftx.training import checkpoints, loop, trainable
from tests.helpers import pico
from tests.helpers.trainings import KINDS, LESSONS, Trainings

K = 400


class Vectors(Trainings):
    """Trainings that leave vectors."""

    def vector(self, objective: str, out: str, **changes: Any) -> vectors.Vector:
        """Train, by what is given, and read what is left."""
        kind = "gradient" if changes.pop("gradients", False) else "sft" if "mask" in changes else "delta"
        self.train(kind, objective, out, **changes)
        return vectors.load(self.folder / out)

    def select(self, delta: str, out: str, k: int = K) -> Path:
        build(self.folder / delta, Denoising(), k, self.folder / out, self.folder / f"{out}.json")
        return self.folder / out

    def ready(self, kind: str, objective: str) -> dict[str, Any]:
        """What a training of this kind needs beside its data: a mask, or a task's module that of a language."""
        if kind == "sft":
            self.train("delta", objective, "delta")
            return {"mask": self.select("delta", "mask")}
        if kind in ("adapter", "lora") and objective == "task":
            self.train(kind, "language", "language")
            return {"start": "language"}
        return {}


@pytest.fixture
def both(each_base: Path, tmp_path: Path) -> Vectors:
    """Trainings of a BERT and of an XLM-R."""
    return Vectors(each_base, tmp_path)


@pytest.fixture
def trainings(pico_bert: Path, tmp_path: Path) -> Vectors:
    return Vectors(pico_bert, tmp_path)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The encoder's parameters before and after each training, two entries a training; the head's are left out.

    Embeddings are plain ones (`test_lookups_change_no_byte` holds others against them).
    """
    monkeypatch.setattr(trainable, "word_lookup", lambda model: None)
    seen: list[dict[str, torch.Tensor]] = []

    def fit(model: Any, *arguments: Any) -> Any:
        seen.append({n: p.detach().clone() for n, p in model.base_model.named_parameters()})
        record = loop.fit(model, *arguments)
        seen.append({n: p.detach().clone() for n, p in model.base_model.named_parameters()})
        return record

    monkeypatch.setattr(common, "fit", fit)
    return seen


@pytest.mark.parametrize("objective", LESSONS)
def test_a_delta_is_what_the_model_moved(both: Vectors, watched: list[Any], objective: str) -> None:
    delta = both.vector(objective, "delta")
    start, end = watched
    encoder = base_model.weights(base_model.read(both.base).location)
    assert all(torch.equal(start[name], weight) for name, weight in encoder.items())
    assert delta.dense.keys() == {name for name in encoder if "LayerNorm" not in name}
    assert "embeddings.word_embeddings.weight" in delta.dense
    for name in encoder:
        moved = (end[name] - start[name]).numpy()
        if "LayerNorm" in name:
            assert not moved.any()
        else:
            np.testing.assert_array_equal(delta.full(name), moved)
            assert moved.any() or "position" in name or "token_type" in name or "key.bias" in name


@pytest.mark.parametrize("objective", LESSONS)
def test_sparse_fine_tuning_moves_the_mask_alone(both: Vectors, watched: list[Any], objective: str) -> None:
    both.vector(objective, "delta")
    mask = both.select("delta", "mask")
    vector = both.vector(objective, "sft", mask=mask)
    start, end = watched[2:]
    assert all(torch.equal(watched[0][name], tensor) for name, tensor in start.items() if not name.startswith("pooler"))
    chosen = vectors.load(mask).positions
    assert vector.entries == K
    assert vector.metadata.kind == "sft" and vector.metadata.selection is not None
    for name in vectors.load(mask).metadata.shapes:
        moved = (end[name] - start[name]).flatten().numpy()
        outside = np.setdiff1d(np.arange(moved.size), chosen[name])
        assert not moved[outside].any()
        if len(chosen[name]):
            np.testing.assert_array_equal(vector.positions[name], chosen[name])
            np.testing.assert_array_equal(vector.values[name], moved[chosen[name]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", LESSONS)
def test_equal_runs_leave_equal_bytes(trainings: Vectors, objective: str, kind: str) -> None:
    def contents(name: str, **changes: Any) -> tuple[bytes, bytes]:
        trainings.train(kind, objective, name, evaluate_every=2, **options | changes)
        return trainings.contents(name)

    options = trainings.ready(kind, objective)
    one = contents("one")
    assert contents("again") == one
    assert contents("other", seed=1)[0] != one[0]


@pytest.mark.parametrize("kind", ["delta", "adapter", "lora"])
def test_a_language_is_learned_from_its_text(trainings: Vectors, kind: str) -> None:
    for path in trainings.texts:
        path.write_text("ba be bi bo bu\n" * 40)
    record = trainings.train(kind, "language", "learned", max_steps=40, learning_rate=1e-2)
    first, last = (look["masked_lm_loss"] for look in record.history)
    assert last < first - 0.5


@pytest.mark.parametrize("clip", [0.01, 1e9])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("objective", LESSONS)
def test_lookups_change_no_byte(
    both: Vectors, monkeypatch: pytest.MonkeyPatch, objective: str, masked: bool, clip: float
) -> None:
    """Embeddings that hold used rows, or give touched rows' gradients, against plain ones; clipped or not."""
    options: dict[str, Any] = {"clip": clip, "l1": 0.1, "max_steps": 5}
    if objective == "language":
        options["replacement"] = "corpus"
        both.texts = pico.text(both.folder / "few.txt", 8), pico.text(both.folder / "fewer.txt", 2, seed=1)
    if masked:
        both.vector(objective, "delta")
        options["mask"] = both.select("delta", "mask")
    replaced: list[Any] = []
    original = trainable.word_lookup
    monkeypatch.setattr(trainable, "word_lookup", lambda model: replaced.append(model) or original(model))
    both.vector(objective, "lean", **options)
    embedding = replaced[-1].get_input_embeddings()
    assert type(embedding) is (TouchedRows if masked else UsedRows)
    if not masked:
        assert len(embedding.weight) < base_model.read(both.base).shapes["embeddings.word_embeddings.weight"][0]
    monkeypatch.setattr(trainable, "word_lookup", lambda model: None)
    both.vector(objective, "plain", **options)
    assert (both.folder / "lean").read_bytes() == (both.folder / "plain").read_bytes()


@pytest.mark.parametrize("objective", LESSONS)
def test_accumulated_gradients_are_those_of_the_start(
    both: Vectors, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    """Against torch's own accumulation, with a head that stands still; and the encoder does not move."""
    models: list[Any] = []

    def fit(model: Any, entries: Any, *arguments: Any) -> Any:
        models.append((model, entries))
        return loop.fit(model, entries, *arguments)

    monkeypatch.setattr(common, "fit", fit)
    still: dict[str, Any] = {"head_learning_rate": 1e-30, "learning_rate": 1e-30, "max_steps": 2, "l1": 0.1}
    if objective == "language":
        still["replacement"] = "corpus"
        both.texts = pico.text(both.folder / "few.txt", 8), pico.text(both.folder / "fewer.txt", 2, seed=1)
    summed = both.vector(objective, "summed", gradients=True, **still)
    assert summed.metadata.kind == "gradient"
    (pieces,) = models[0][1].rows.values()
    assert len(pieces) < models[0][0].config.vocab_size  # the others' gradient is zero

    class Plain(gradients.AccumulatedGradients):
        def _add(self, name: str) -> Any:
            return lambda parameter: None

        def difference(self) -> dict[str, torch.Tensor]:
            return {n: torch.zeros(p.shape) if p.grad is None else p.grad for n, p in self.base.items()}

    monkeypatch.setattr(gradients, "accumulated_gradients", lambda model, parameters, pieces: Plain(parameters, pieces))
    monkeypatch.setattr(trainable, "word_lookup", lambda model: None)
    plain = both.vector(objective, "plain", gradients=True, **still)
    assert plain.dense.keys() == summed.dense.keys()
    for name in plain.dense:
        if "key.bias" not in name:
            scale = float(np.abs(plain.full(name)).max())
            np.testing.assert_allclose(summed.full(name), plain.full(name), rtol=1e-4, atol=1e-5 * scale)
    encoder = base_model.weights(base_model.read(both.base).location)
    for name, parameter in models[0][0].base_model.named_parameters():
        assert "pooler" in name or torch.equal(parameter, encoder[name])
    mask = both.select("summed", "mask")
    assert both.vector(objective, "sft", mask=mask).entries == K


@pytest.mark.parametrize("changes", [{"output_embedding": "tied", "replacement": "corpus"}, {"replacement": "all"}])
def test_embeddings_stay_whole_where_rows_cannot_be_left_out(
    both: Vectors, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """The output embedding gives every piece a gradient; so may a replacement by any piece."""
    models: list[Any] = []
    original = trainable.word_lookup
    monkeypatch.setattr(trainable, "word_lookup", lambda model: models.append(model) or original(model))
    delta = both.vector("language", "delta", **changes)
    assert type(models[-1].get_input_embeddings()) is torch.nn.Embedding
    assert delta.metadata.settings["replacement"] == changes["replacement"]


def test_only_a_task_s_head_is_stored_and_it_restarts(trainings: Vectors) -> None:
    """With a learning rate too small to move it, the head is what it was at the start."""
    frozen = {"head_learning_rate": 1e-30}
    delta = trainings.vector("task", "delta", **frozen)
    sparse = trainings.vector("task", "sft", mask=trainings.select("delta", "mask"), **frozen)
    assert delta.metadata.labels == list(pico.LABELS)
    assert delta.head.keys() == sparse.head.keys() and "classifier.weight" in delta.head
    for name, value in delta.head.items():
        np.testing.assert_allclose(sparse.head[name], value, rtol=0, atol=1e-25)
    other = trainings.vector("task", "other", seed=1, **frozen)
    assert (other.head["classifier.weight"] != delta.head["classifier.weight"]).any()
    assert not trainings.vector("language", "language").head


@pytest.mark.parametrize("objective", LESSONS)
def test_training_starts_on_top_of_a_vector(trainings: Vectors, watched: list[Any], objective: str) -> None:
    trainings.vector("language", "delta")
    source = trainings.vector("language", "source", mask=trainings.select("delta", "mask"))
    delta = trainings.vector(objective, "adapted", start="source")
    start, end = watched[-2:]
    for name, positions in source.positions.items():
        expected = watched[0][name].clone()
        expected.view(-1)[positions] += torch.from_numpy(source.values[name])
        assert torch.equal(start[name], expected)
    np.testing.assert_array_equal(
        delta.full("embeddings.word_embeddings.weight"),
        (end["embeddings.word_embeddings.weight"] - start["embeddings.word_embeddings.weight"]).numpy(),
    )
    assert len(delta.metadata.start) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", LESSONS)
def test_a_stopped_training_leaves_the_same_bytes(
    trainings: Vectors, monkeypatch: pytest.MonkeyPatch, objective: str, kind: str
) -> None:
    options = trainings.ready(kind, objective) | {"max_steps": 4, "evaluate_every": 1, "keep": "best"}
    trainings.train(kind, objective, "whole", **options)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "advance", stopping_at(2, loop._Run.advance))
        with pytest.raises(KeyboardInterrupt):
            trainings.train(kind, objective, "stopped", **options)
    assert not (trainings.folder / "stopped").exists()
    assert len(list(trainings.folder.glob(".stopped*"))) == len(list(trainings.folder.glob("*.checkpoint"))) == 1
    trainings.train(kind, objective, "stopped", **options)
    assert trainings.contents("stopped") == trainings.contents("whole")
    assert not list(trainings.folder.glob(".stopped*")), "the checkpoint is gone"


def stopping_at(step: int, advance: Callable[[Any], float]) -> Callable[[Any], float]:
    def stopped(run: Any) -> float:
        if run.step == step:
            raise KeyboardInterrupt
        return advance(run)

    return stopped


def test_a_checkpoint_of_other_settings_is_not_used(trainings: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "advance", stopping_at(2, loop._Run.advance))
        with pytest.raises(KeyboardInterrupt):
            trainings.vector("task", "one", seed=1)
    trainings.vector("task", "one", seed=0)
    trainings.vector("task", "two", seed=0)
    assert (trainings.folder / "one").read_bytes() == (trainings.folder / "two").read_bytes()


@pytest.mark.parametrize(
    ("processes", "said"),
    [(1, "was saved with OMP_NUM_THREADS=1, not 2; retraining"), (2, "Resuming from step 2/3")],
)
def test_with_other_threads_only_another_number_of_processes_goes_on(
    trainings: Vectors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, processes: int, said: str
) -> None:
    """As many would end with other values; more share the threads of one (see also tests/test_processes.py)."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "advance", stopping_at(2, loop._Run.advance))
        with pytest.raises(KeyboardInterrupt):
            trainings.vector("task", "one")
    [checkpoint] = trainings.folder.glob(".one.*.checkpoint")
    saved = checkpoints.load(checkpoint)
    assert saved is not None
    checkpoints.save(checkpoint, saved[0], saved[1] | {"processes": processes})
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)  # for the tests to come
    with caplog.at_level("INFO", "deftx"):
        trainings.vector("task", "one")
    assert [message for message in caplog.messages if message.endswith(said)]
    assert not list(trainings.folder.glob(".one*"))


@pytest.mark.parametrize("kind", ["frozen", "trained", "tied"])
def test_the_output_embedding(both: Vectors, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    models: list[Any] = []

    def fit(model: Any, *arguments: Any) -> Any:
        models.append(model)
        return loop.fit(model, *arguments)

    monkeypatch.setattr(common, "fit", fit)
    delta = both.vector("language", "delta", output_embedding=kind)
    weight, given = models[0].get_output_embeddings().weight, models[0].get_input_embeddings().weight
    start = base_model.weights(base_model.read(both.base).location)["embeddings.word_embeddings.weight"]
    assert (weight is given) is (kind == "tied")
    assert torch.equal(weight, start) is (kind == "frozen")
    assert delta.dense["embeddings.word_embeddings.weight"].any()


def test_the_l1_penalty_counts_all_parameters(trainings: Vectors) -> None:
    """So strong a penalty outweighs the gradients, and keeps the delta smaller than without it."""
    free, penalized = (trainings.vector("language", f"l1-{l1}", l1=l1, max_steps=12) for l1 in (0.0, 1e5))
    sizes = [sum(float(np.abs(d).sum()) for d in vector.dense.values()) for vector in (free, penalized)]
    assert sizes[1] < sizes[0]


def test_an_empty_mask_trains_the_head_alone(trainings: Vectors) -> None:
    trainings.vector("task", "delta")
    vector = trainings.vector("task", "sft", mask=trainings.select("delta", "mask", k=0))
    assert vector.entries == 0 and vector.head


def test_a_base_without_masked_lm_head_gets_a_seeded_one(trainings: Vectors, tmp_path: Path) -> None:
    from transformers import AutoModel

    description = base_model.read(trainings.base)
    AutoModel.from_pretrained(description.location).save_pretrained(tmp_path / "base")
    base_model.load_tokenizer(description.location).save_pretrained(tmp_path / "base")
    base_model.describe(None, None, str(tmp_path / "base"), tmp_path / "base.json")
    trainings.base = tmp_path / "base.json"
    for name in ("one", "two"):
        trainings.vector("language", name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_record_says_what_was_trained(trainings: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainable, "word_lookup", lambda model: None)
    delta = trainings.vector("task", "delta", evaluate_every=2)
    record = json.loads((trainings.folder / "delta.json").read_text())
    assert record["steps"] == record["kept_step"] == 3
    assert [look["step"] for look in record["history"]] == [0, 2, 3]
    head = sum(value.size for value in delta.head.values())
    assert record["trained_parameters"] == delta.entries + head


@pytest.mark.skipif(not runtime.wants_bf16("bf16"), reason="needs bf16 arithmetic")
def test_a_frozen_output_stored_in_bf16_changes_no_byte(both: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    both.vector("language", "half", precision="bf16")
    monkeypatch.setattr(masked_lm, "wants_bf16", lambda precision: False)
    both.vector("language", "whole", precision="bf16")
    assert (both.folder / "half").read_bytes() == (both.folder / "whole").read_bytes()
    assert (both.folder / "half.json").read_bytes() == (both.folder / "whole.json").read_bytes()


def test_a_mask_of_what_does_not_move_is_refused(trainings: Vectors) -> None:
    """A silent loss of entries otherwise: the mask was made where layer normalisation moved."""
    trainings.vector("language", "delta", freeze_layer_norm=False)
    mask = trainings.select(
        "delta", "mask", k=sum(d.size for d in vectors.load(trainings.folder / "delta").dense.values())
    )
    with pytest.raises(VectorError, match=r"holds entries of .*LayerNorm.*, which does not move in this training"):
        trainings.vector("language", "sft", mask=mask)
