"""The training loop on a toy objective: its schedule, what it keeps, and that a stopped run goes on unchanged."""

import math
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deftx.config.training import Phase, Training
from deftx.core.errors import DeltaError, StoppedError
from deftx.tasks.objective import Batch
from deftx.training import loop
from deftx.training.trainable import AllEntries, is_maskable

RECIPE = Training(precision="fp32")
PULL = 0.1 / 21


class Toy:
    """Regression with noise in every step; `looks` are the held-out losses, one after the other."""

    def __init__(self, looks: Sequence[float] = (), stop_at: int | None = None) -> None:
        self.looks, self.stop_at, self.steps = list(looks), stop_at, 0

    def batches(self, epoch: int, seed: int, batch_size: int) -> list[list[int]]:
        order = torch.randperm(12, generator=torch.Generator().manual_seed(100 * seed + epoch)).tolist()
        return [order[i : i + batch_size] for i in range(0, 12, batch_size)]

    def batch(self, examples: Sequence[int]) -> Batch:
        x = torch.tensor([[i / 12, 1.0, -i / 6] for i in examples]) + 0.1 * torch.randn(len(examples), 3)
        return {"input_ids": x, "labels": x.sum(1, keepdim=True)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        if self.steps == self.stop_at:
            raise KeyboardInterrupt
        self.steps += 1
        return (model(batch["input_ids"]) - batch["labels"]).square().sum()

    def part(self, batch: Batch, first: int, end: int) -> Batch:
        return {name: tensor[first:end] for name, tensor in batch.items()}

    def token_ids(self) -> Tensor:
        return torch.arange(3)

    def evaluate(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
        if self.looks:
            return torch.tensor(self.looks.pop(0), dtype=torch.float64)
        with torch.no_grad():
            return model(torch.eye(3)).square().sum().double()

    def measures(self, seen: Tensor) -> dict[str, float]:
        return {"loss": float(seen)}

    def is_better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        return new["loss"] < old["loss"]


def toy_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1))


def entries_of(model: nn.Module) -> AllEntries:
    named = dict(model.named_parameters())
    base = {name: p for name, p in named.items() if name.startswith("0")}
    return AllEntries(base, {name: p for name, p in named.items() if name not in base})


def phase(**changes: object) -> Phase:
    settings: dict[str, object] = {"max_steps": 10, "batch_size": 5, "learning_rate": 1e-2}
    return Phase.model_validate(settings | changes)


def fit(objective: Toy, chosen: Phase, seed: int = 0, checkpoint: Path | None = None) -> tuple[nn.Module, loop.Record]:
    model = toy_model()
    return model, loop.fit(model, entries_of(model), objective, chosen, seed, RECIPE, PULL, checkpoint)


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(p, other.get_parameter(name)) for name, p in one.named_parameters())


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"epochs": 2}, 6),
        ({"epochs": 0.5}, 2),
        ({"epochs": 2, "max_steps": 4}, 4),
        ({"epochs": 2, "min_steps": 9}, 9),
        ({"max_steps": 7}, 7),
        ({"epochs": 100, "min_steps": 10, "max_steps": 50}, 50),
    ],
)
def test_steps_of_a_phase(settings: dict[str, float], steps: int) -> None:
    chosen = Phase.model_validate({"learning_rate": 1e-3} | settings)
    assert loop.steps_of(chosen, batches=3) == steps


def learning_rates(chosen: Phase) -> list[list[float]]:
    model = toy_model()
    run = loop._Run(model, entries_of(model), Toy(), chosen, 0, RECIPE, PULL)
    rates = []
    while run.step < run.steps:
        run.advance()
        rates.append([group["lr"] for group in run.optimizer.param_groups])
    return rates


def test_learning_rate_falls_linearly() -> None:
    assert [rate for rate, _ in learning_rates(phase(max_steps=4, learning_rate=0.4))] == pytest.approx(
        [0.4, 0.3, 0.2, 0.1]
    )


def test_learning_rate_rises_and_the_head_has_its_own() -> None:
    rates = learning_rates(phase(max_steps=6, learning_rate=0.4, head_learning_rate=0.8, warmup=1 / 3))
    assert [base for base, _ in rates] == pytest.approx([0.2, 0.4, 0.4, 0.3, 0.2, 0.1])
    assert [head for _, head in rates] == pytest.approx([2 * base for base, _ in rates])


def test_same_seed_same_values() -> None:
    one, record = fit(Toy(), phase(evaluate_every=3))
    other, again = fit(Toy(), phase(evaluate_every=3))
    assert equal(one, other) and asdict(record) == asdict(again)
    assert not equal(one, fit(Toy(), phase(evaluate_every=3), seed=1)[0])


def test_every_epoch_sees_every_example_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = Toy.batch
    monkeypatch.setattr(Toy, "batch", lambda self, some: seen.extend(some) or whole(self, some))
    fit(Toy(), phase(max_steps=6))
    first, second = seen[:12], seen[12:]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_looks_are_recorded() -> None:
    _, record = fit(Toy([9, 8, 7, 6, 5]), phase(evaluate_every=3))
    assert record.history == [{"step": s, "loss": v} for s, v in ((0, 9), (3, 8), (6, 7), (9, 6), (10, 5))]
    assert (record.steps, record.kept_step, record.trained_parameters) == (10, 10, 21)


@pytest.mark.parametrize(
    ("looks", "kept"), [((0, 3, 1, 2, 2), 6), ((0, 1, 2, 3, 4), 3), ((9, 4, 3, 2, 1), 10), ((9, 2, 1, 1, 1), 6)]
)
def test_the_best_look_is_kept(looks: tuple[float, ...], kept: int) -> None:
    """The state before training does not count, and of equal looks the first is kept."""
    chosen = phase(evaluate_every=3, keep="best")
    model, record = fit(Toy(looks), chosen)
    assert record.kept_step == kept

    snapshot = toy_model()
    run = loop._Run(snapshot, entries_of(snapshot), Toy(), phase(), 0, RECIPE, PULL)
    while run.step < kept:
        run.advance()
    assert equal(model, snapshot)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 99])
def test_micro_batches_add_up_to_the_batch(size: int) -> None:
    """Up to rounding; chance is drawn for the batch as a whole, dropout aside."""
    ends = []
    for chosen in (phase(), phase(micro_batch_size=size)):
        model = toy_model()
        model[1].p = 0.0  # type: ignore[index]
        loop.fit(model, entries_of(model), Toy(), chosen, 0, RECIPE, PULL)
        ends.append(model)
    for name, expected in ends[0].named_parameters():
        torch.testing.assert_close(ends[1].get_parameter(name), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_sigterm_saves_and_asks_to_be_rerun(tmp_path: Path, checkpointed: bool) -> None:
    class Terminated(Toy):
        def loss(self, model: nn.Module, batch: Batch) -> Tensor:
            if self.steps == 4:
                signal.raise_signal(signal.SIGTERM)
            return super().loss(model, batch)

    before = signal.getsignal(signal.SIGTERM)
    checkpoint = tmp_path / "checkpoint" if checkpointed else None
    message = (
        f"Stopped by SIGTERM at step 5/10; {'checkpoint saved. Rerun to resume' if checkpointed else 'no checkpoint'}"
    )
    with pytest.raises(StoppedError, match=message) as stop:
        fit(Terminated(), phase(), checkpoint=checkpoint)
    assert stop.value.status == 75
    assert signal.getsignal(signal.SIGTERM) is before
    rest = Toy()
    model, _ = fit(rest, phase(), checkpoint=checkpoint)
    assert rest.steps == (5 if checkpointed else 10)
    assert equal(model, fit(Toy(), phase())[0])


@pytest.mark.parametrize("stop", [1, 4, 9])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stopped_run_goes_on_to_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, keep: str
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    chosen, checkpoint = phase(evaluate_every=2, keep=keep), tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(stop_at=stop), chosen, checkpoint=checkpoint)
    assert checkpoint.is_file()
    rest = Toy()
    continued, record = fit(rest, chosen, checkpoint=checkpoint)
    assert rest.steps == 10 - stop
    whole, expected = fit(Toy(), chosen)
    assert equal(continued, whole)
    assert asdict(record) == asdict(expected)


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b"half a file")
    model, _ = fit(Toy(), phase(), checkpoint=tmp_path / "checkpoint")
    assert equal(model, fit(Toy(), phase())[0])


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    class Diverging(Toy):
        def loss(self, model: nn.Module, batch: Batch) -> Tensor:
            return super().loss(model, batch) * (math.nan if self.steps == 4 else 1.0)

    with pytest.raises(DeltaError, match=r"nan at step 3; lower the learning rate"):
        fit(Diverging(), phase())


@pytest.mark.parametrize(
    "name", ["embeddings.LayerNorm.weight", "encoder.layer.0.output.LayerNorm.bias", "layer_norm.weight"]
)
def test_layer_norm_is_not_maskable(name: str) -> None:
    assert not is_maskable(name, Training())
    assert is_maskable(name, Training(freeze_layer_norm=False))
    assert is_maskable("encoder.layer.0.output.dense.bias", Training())
