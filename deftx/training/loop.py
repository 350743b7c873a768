"""The training loop, the same whatever moves, on either objective.

It knows no files but its checkpoint; what is learned is the business of `deftx.tasks.training_data`, what moves
and what is left of it that of `deftx.finetuning.full` and its like.
"""

import hashlib
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from deftx.config.training import Phase, Training
from deftx.core.device import wants_bf16
from deftx.core.errors import DeltaError, StoppedError
from deftx.core.provenance import threads
from deftx.tasks.objective import Batch, Objective
from deftx.training import checkpoints
from deftx.training.distributed import add_up, any_of_them, meet, processes
from deftx.training.trainable import Entries, clip, sum_gradients

CHECKPOINT_SECONDS = 120.0
LOG_SECONDS = 30.0


@dataclass
class Record:
    """What a training saw and reached; no times, so that equal runs leave equal records."""

    steps: int = 0
    tokens: int = 0
    trained_parameters: int = 0
    kept_step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    """Held-out measures by step, before training (step 0) and at each look."""


def steps_of(phase: Phase, batches: int) -> int:
    """Optimizer steps of a phase over a training set of `batches` batches."""
    steps = math.ceil(phase.epochs * batches) if phase.epochs is not None else phase.max_steps or 0
    if phase.max_steps is not None:
        steps = min(steps, phase.max_steps)
    return max(steps, phase.min_steps)


def fit(
    model: nn.Module,
    entries: Entries,
    objective: Objective,
    phase: Phase,
    seed: int,
    recipe: Training,
    pull: float = 0.0,
    checkpoint: Path | None = None,
) -> Record:
    """Train `entries` of `model` in place; `pull` is the strength of the pull towards the start per entry.

    The order of the examples depends on (seed, epoch), all chance inside a step on (seed, step); with the same
    threads the result is the same, bit for bit, also when the run was stopped and went on from its checkpoint.
    With other threads it begins anew; another number of processes, which share the threads, goes on.
    Of several processes (`deftx.training.launch`, torchrun) each takes its share of every batch; the result is that of
    one process but for dropout and rounding.

    Raises:
        DeltaError: the loss is not finite.
        StoppedError: SIGTERM came (a cluster's time limit); the checkpoint is saved.
    """
    run = _Run(model, entries, objective, phase, seed, recipe, pull)
    resumed = checkpoints.load(checkpoint) if checkpoint else None
    first_process = run.processes.is_main_process
    if resumed and not run.may_go_on(resumed[1]):
        if first_process:
            print(f"{checkpoint} was saved with OMP_NUM_THREADS={resumed[1]['threads']}, not {threads()}, so "
                  "training begins anew", file=sys.stderr, flush=True)  # fmt: skip
        resumed = None
    if resumed:
        run.restore(*resumed)
        if first_process:
            print(f"continues from step {run.step} of {run.steps}", file=sys.stderr, flush=True)
    else:
        run.look()
    saved = logged = time.monotonic()
    started, first = saved, run.step
    quiet = None if first_process else True
    bar = tqdm(total=run.steps, initial=run.step, desc="train", unit="step", disable=quiet)
    with bar, _termination() as asked_to_stop:
        while run.step < run.steps:
            loss = run.advance()
            bar.update()
            now = time.monotonic()
            if bar.disable and first_process and now - logged > LOG_SECONDS:
                logged = now
                left = (now - started) / (run.step - first) * (run.steps - run.step)
                print(f"step {run.step} of {run.steps}, loss {loss:.3f}, about {left:.0f} s left",
                      file=sys.stderr, flush=True)  # fmt: skip
            if run.step == run.steps:
                break
            stop = any_of_them(asked_to_stop())  # a signal reaches several processes in different steps
            if checkpoint and first_process and (stop or now - saved > CHECKPOINT_SECONDS):
                checkpoints.save(checkpoint, *run.snapshot())
                saved = now
            if stop:
                meet()  # nobody ends before it is saved
                kept = "saved" if checkpoint else "lost"
                raise StoppedError(
                    f"stopped by SIGTERM after step {run.step} of {run.steps}, which is {kept}; run it again"
                )
    return run.finish()


@contextmanager
def _termination() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM has come since; inside the block it does not end the process."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)


class _Run:
    """The state of one training: values, optimizer, best values so far, record."""

    def __init__(
        self,
        model: nn.Module,
        entries: Entries,
        objective: Objective,
        phase: Phase,
        seed: int,
        recipe: Training,
        pull: float = 0.0,
    ) -> None:
        self.model, self.entries, self.objective = model, entries, objective
        self.phase, self.seed, self.recipe = phase, seed, recipe
        self.leaves = entries.leaves()
        self.processes, self.half = processes(), wants_bf16(recipe.precision)
        if recipe.precision == "bf16" and not self.half and self.processes.is_main_process:
            print("this machine has no bf16 arithmetic; fp32 takes its place", file=sys.stderr, flush=True)
        self.optimizer = torch.optim.AdamW(_groups(self.leaves, phase), weight_decay=0.0, fused=True)
        self.pull = pull
        self.epoch, self.order = -1, list[list[int]]()
        self._order_of(0)
        self.steps = steps_of(phase, len(self.order))
        self.step = 0
        self.record = Record(trained_parameters=sum(p.numel() for p in self.leaves.values()))
        self.best: dict[str, Tensor] | None = None
        self.best_look: dict[str, float] | None = None

    def advance(self) -> float:
        """One optimizer step; returns its loss."""
        torch.manual_seed(step_seed(self.seed, self.step))
        epoch, position = divmod(self.step, len(self.order))
        batch = self.objective.batch(self._order_of(epoch)[position])
        self.record.tokens += token_count(batch)
        self._set_learning_rate()
        self.model.train()
        value = self._backward(batch)
        if not math.isfinite(value):
            raise DeltaError(f"the loss is {value} at step {self.step}; lower the learning rate in the recipe")
        if self.processes.num_processes > 1:
            sum_gradients(self.leaves.values())
        if self.pull:
            self.entries.pull(self.pull)
        clip(self.leaves.values(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.entries.write()
        self.step += 1
        every = self.phase.evaluate_every
        if self.step == self.steps or (every and self.step % every == 0):
            self.look()
        return value

    def _backward(self, batch: Batch) -> float:
        """Gradients of the mean loss of a batch, part by part; returns that loss. Every process takes its share."""
        count = max(1, len(batch["labels"]))
        processes, this = self.processes.num_processes, self.processes.process_index
        if processes > 1:
            torch.manual_seed(step_seed(self.seed, self.step, this))  # dropout differs between processes
        examples = len(batch["input_ids"])
        first, end = examples * this // processes, examples * (this + 1) // processes
        size = self.phase.micro_batch_size or max(1, end - first)
        value = torch.zeros((), dtype=torch.float64, device=self.processes.device)
        for begin in range(first, end, size):
            part = self.objective.part(batch, begin, min(begin + size, end))
            with self._autocast():
                loss = self.objective.loss(self.model, self._on_device(part)) / count
            loss.backward()
            value += loss.detach()
        add_up(value)
        return float(value)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.processes.device.type, torch.bfloat16, enabled=self.half)

    def look(self) -> None:
        """Measure on held-out data, every process its share, and remember the values if they are the best so far."""
        self.model.eval()
        with self._autocast():
            seen = self.objective.look(self.model, self.processes.process_index, self.processes.num_processes)
        add_up(seen)
        measures = self.objective.measures(seen)
        self.record.history.append({"step": self.step} | measures)
        if self.step == 0 or self.phase.keep == "last" or not measures:
            return
        if self.best_look is None or self.objective.better(measures, self.best_look):
            self.best_look = measures
            self.best = {name: leaf.detach().clone() for name, leaf in self.leaves.items()}
            self.record.kept_step = self.step

    def finish(self) -> Record:
        """Put the values to keep into the model."""
        if self.best is not None:
            self._put(self.best)
        else:
            self.record.kept_step = self.step
        self.record.steps = self.step
        return self.record

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a later process needs to go on."""
        tensors: dict[str, Tensor] = {f"value.{n}": leaf for n, leaf in self.leaves.items()}
        for name, leaf in self.leaves.items():
            for key, state in self.optimizer.state[leaf].items():
                tensors[f"{key}.{name}"] = state
        tensors |= {f"best.{n}": t for n, t in (self.best or {}).items()}
        tensors |= {f"kept.{n}": t for n, t in self.entries.kept().items()}
        record = dict(vars(self.record))
        progress = {"step": self.step, "record": record, "best_look": self.best_look}
        return tensors, progress | {"processes": self.processes.num_processes, "threads": threads()}

    def may_go_on(self, progress: dict[str, Any]) -> bool:
        """Whether a snapshot is of use: not to as many processes with other threads, whose sums differ."""
        return progress["processes"] != self.processes.num_processes or progress["threads"] == threads()

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.step = progress["step"]
        self.record = Record(**progress["record"])
        self.best_look = progress["best_look"]
        if self.best_look is not None:
            self.best = {n: tensors[f"best.{n}"] for n in self.leaves}
        self._put({n: tensors[f"value.{n}"] for n in self.leaves})
        for name, tensor in self.entries.kept().items():
            tensor.copy_(tensors[f"kept.{name}"])
        for name, leaf in self.leaves.items():
            found = {key: tensors[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
                     if f"{key}.{name}" in tensors}  # fmt: skip
            if found:
                self.optimizer.state[leaf] = {k: v.to(leaf.device) for k, v in found.items()}

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, leaf in self.leaves.items():
            leaf.copy_(values[name])
        self.entries.write()

    def _order_of(self, epoch: int) -> list[list[int]]:
        if epoch != self.epoch:
            self.epoch, self.order = epoch, self.objective.batches(epoch, self.seed, self.phase.batch_size)
        return self.order

    def _set_learning_rate(self) -> None:
        warm = self.phase.warmup * self.steps
        rising = (self.step + 1) / warm if self.step < warm else 1.0
        falling = (self.steps - self.step) / max(1.0, self.steps - warm)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * min(rising, falling, 1.0)

    def _on_device(self, batch: Batch) -> Batch:
        return {name: tensor.to(self.processes.device) for name, tensor in batch.items()}


def _groups(leaves: Mapping[str, nn.Parameter], phase: Phase) -> list[dict[str, Any]]:
    """The optimizer's groups, each with the peak of its learning rate: the base's entries, and the head."""
    peaks = {"base.": phase.learning_rate, "head.": phase.head_learning_rate or phase.learning_rate}
    groups = ({"params": [p for n, p in leaves.items() if n.startswith(g)], "peak": lr} for g, lr in peaks.items())
    return [group for group in groups if group["params"]]


def step_seed(seed: int, step: int, process: int | None = None) -> int:
    """The seed of all chance (dropout, masking) inside one step, or of one process' part in it."""
    name = f"{seed}/{step}" if process is None else f"{seed}/{step}/{process}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def token_count(batch: Batch) -> int:
    """Tokens of a batch that are not padding."""
    mask = batch.get("attention_mask")
    return int(mask.sum()) if mask is not None else batch["input_ids"].numel()
