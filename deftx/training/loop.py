"""The training loop, the same whatever moves, on either objective.

It knows no files but its checkpoint; what is learned is the business of `deftx.tasks.training_data`, what moves
and what is left of it that of `deftx.finetuning.full` and its like.
"""

import hashlib
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deftx.config.training import Phase, Training
from deftx.core.errors import DeltaError, StoppedError
from deftx.core.provenance import threads
from deftx.core.runtime import wants_bf16
from deftx.tasks.objective import Batch, Objective
from deftx.training import checkpoints
from deftx.training.distributed import all_reduce, any_process, barrier, processes
from deftx.training.progress import Progress
from deftx.training.trainable import Entries, clip, sum_gradients

log = logging.getLogger(__name__)
CHECKPOINT_SECONDS = 120.0


@dataclass
class Record:
    """What a training saw and reached; no times, so that equal runs leave equal records."""

    steps: int = 0
    tokens: int = 0
    trained_parameters: int = 0
    kept_step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    """Measures on the validation set by step, before training (step 0) and at each evaluation."""


def steps_of(phase: Phase, batches: int) -> int:
    """Return the optimizer steps of a phase over a training set of `batches` batches."""
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
    l1: float = 0.0,
    checkpoint: Path | None = None,
) -> Record:
    """Train `entries` of `model` in place; `l1` is the strength of the L1 penalty per element.

    The order of the examples depends on (seed, epoch), all chance inside a step on (seed, step); with the same
    threads the result is the same, bit for bit, also when the run was stopped and resumed from its checkpoint.
    With other threads it starts again; another number of processes, which share the threads, resumes.
    Of several processes (`deftx.training.launch`, torchrun) each takes its share of every batch; the result is that of
    one process but for dropout and rounding.

    Raises:
        DeltaError: the loss is not finite.
        StoppedError: SIGTERM came (a cluster's time limit); the checkpoint is saved.
    """
    run = _Run(model, entries, objective, phase, seed, recipe, l1)
    first_process = run.processes.is_main_process
    resumed = checkpoints.load(checkpoint) if checkpoint else None
    if resumed and not run.may_resume(resumed[1]):
        if first_process:
            saved_with = resumed[1]["threads"]
            log.warning(f"{checkpoint} was saved with OMP_NUM_THREADS={saved_with}, not {threads()}; retraining")
        resumed = None
    if resumed:
        run.restore(*resumed)
        if first_process:
            log.info(f"Resuming from step {run.step}/{run.steps}")
    with Progress(run.steps, run.step, run.record.tokens, first_process) as progress:
        if not resumed:
            run.evaluate()
        progress.evaluated(run.record.history[-1])
        _train(run, progress, checkpoint)
    return run.finish()


def _train(run: "_Run", progress: Progress, checkpoint: Path | None) -> None:
    """Take all steps that are left, saving checkpoints on the way.

    Raises:
        DeltaError: the loss is not finite.
        StoppedError: SIGTERM came.
    """
    first_process = run.processes.is_main_process
    saved = time.monotonic()
    with _termination() as asked_to_stop:
        while run.step < run.steps:
            evaluations = len(run.record.history)
            loss = run.advance()
            progress.advance(loss, run.record.tokens)
            if len(run.record.history) > evaluations:
                progress.evaluated(run.record.history[-1])
            if run.step == run.steps:
                break
            stop = any_process(asked_to_stop())  # a signal reaches several processes in different steps
            now = time.monotonic()
            if checkpoint and first_process and (stop or now - saved > CHECKPOINT_SECONDS):
                checkpoints.save(checkpoint, *run.snapshot())
                saved = now
            if stop:
                barrier()  # nobody ends before it is saved
                what = "checkpoint saved. Rerun to resume." if checkpoint else "no checkpoint. Rerun to start again."
                raise StoppedError(f"Stopped by SIGTERM at step {run.step}/{run.steps}; {what}")


@contextmanager
def _termination() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether SIGTERM has come; inside the block it does not end the process."""
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
        l1: float = 0.0,
    ) -> None:
        self.model, self.entries, self.objective = model, entries, objective
        self.phase, self.seed, self.recipe = phase, seed, recipe
        self.leaves = entries.leaves()
        self.processes, self.half = processes(), wants_bf16(recipe.precision)
        if recipe.precision == "bf16" and not self.half and self.processes.is_main_process:
            log.warning("bf16 is not supported on this machine; using fp32")
        self.optimizer = torch.optim.AdamW(_groups(self.leaves, phase), weight_decay=0.0, fused=True)
        self.l1 = l1
        self.epoch, self.order = -1, list[list[int]]()
        self._order_of(0)
        self.steps = steps_of(phase, len(self.order))
        self.step = 0
        self.record = Record(trained_parameters=sum(p.numel() for p in self.leaves.values()))
        self.best: dict[str, Tensor] | None = None
        self.best_measures: dict[str, float] | None = None

    def advance(self) -> float:
        """Take one optimizer step, and return its loss."""
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
        if self.l1:
            self.entries.add_l1(self.l1)
        clip(self.leaves.values(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.entries.write()
        self.step += 1
        every = self.phase.evaluate_every
        if self.step == self.steps or (every and self.step % every == 0):
            self.evaluate()
        return value

    def _backward(self, batch: Batch) -> float:
        """Compute gradients of the mean loss of a batch, part by part, and return it. Every process takes its share."""
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
        all_reduce(value)
        return float(value)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.processes.device.type, torch.bfloat16, enabled=self.half)

    def evaluate(self) -> None:
        """Measure on the validation set, every process its share, and keep the values if they are the best so far."""
        self.model.eval()
        with self._autocast():
            evaluated = self.objective.evaluate(self.model, self.processes.process_index, self.processes.num_processes)
        all_reduce(evaluated)
        measures = self.objective.measures(evaluated)
        self.record.history.append({"step": self.step} | measures)
        if self.step == 0 or self.phase.keep == "last" or not measures:
            return
        if self.best_measures is None or self.objective.is_better(measures, self.best_measures):
            self.best_measures = measures
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
        """Return all that a later process needs to resume."""
        tensors: dict[str, Tensor] = {f"value.{n}": leaf for n, leaf in self.leaves.items()}
        for name, leaf in self.leaves.items():
            for key, state in self.optimizer.state[leaf].items():
                tensors[f"{key}.{name}"] = state
        tensors |= {f"best.{n}": t for n, t in (self.best or {}).items()}
        tensors |= {f"kept.{n}": t for n, t in self.entries.buffers().items()}
        record = dict(vars(self.record))
        progress = {"step": self.step, "record": record, "best_measures": self.best_measures}
        return tensors, progress | {"processes": self.processes.num_processes, "threads": threads()}

    def may_resume(self, progress: dict[str, Any]) -> bool:
        """Return whether a snapshot is of use: not to as many processes with other threads, whose sums differ."""
        return progress["processes"] != self.processes.num_processes or progress["threads"] == threads()

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Take on the state of a snapshot."""
        self.step = progress["step"]
        self.record = Record(**progress["record"])
        self.best_measures = progress["best_measures"]
        if self.best_measures is not None:
            self.best = {n: tensors[f"best.{n}"] for n in self.leaves}
        self._put({n: tensors[f"value.{n}"] for n in self.leaves})
        for name, tensor in self.entries.buffers().items():
            tensor.copy_(tensors[f"kept.{name}"])
        for name, leaf in self.leaves.items():
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in tensors]
            if keys:
                self.optimizer.state[leaf] = {key: tensors[f"{key}.{name}"].to(leaf.device) for key in keys}

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
    """Return the optimizer's groups, each with its peak learning rate: the base's entries, and the head."""
    peaks = {"base.": phase.learning_rate, "head.": phase.head_learning_rate or phase.learning_rate}
    groups = ({"params": [p for n, p in leaves.items() if n.startswith(g)], "peak": lr} for g, lr in peaks.items())
    return [group for group in groups if group["params"]]


def step_seed(seed: int, step: int, process: int | None = None) -> int:
    """Return the seed of all chance (dropout, masking) inside one step, or of one process' part in it."""
    name = f"{seed}/{step}" if process is None else f"{seed}/{step}/{process}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def token_count(batch: Batch) -> int:
    """Return the number of tokens of a batch that are not padding."""
    mask = batch.get("attention_mask")
    return int(mask.sum()) if mask is not None else batch["input_ids"].numel()
