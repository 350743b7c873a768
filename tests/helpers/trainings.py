"""Trainings of all kinds: what moves, times what is learned, of one base model on the same small data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from deftx.config.modules import LanguageAdapter, Lora, TaskAdapter
from deftx.config.training import LanguageTraining, Phase, TaskTraining
from deftx.finetuning import adapters as adapter_training
from deftx.finetuning import full, gradients, sparse
from deftx.finetuning import lora as lora_training
from deftx.finetuning.common import Job
from deftx.models import base_model
from deftx.tasks.registry import LANGUAGE_OBJECTIVE, OBJECTIVES
from deftx.tasks.training_data import TrainingData
from deftx.training.loop import Record
from tests.helpers import pico

LESSONS = ("language", "task")
KINDS = ("delta", "sft", "gradient", "adapter", "lora")
PHASE = {"max_steps": 3, "batch_size": 8, "learning_rate": 1e-3}
RECIPE = {"precision": "fp32"}
LORA = {"language": Lora(rank=4, alpha=8), "task": Lora(rank=2, alpha=1, targets=("query", "value"))}
ADAPTER = {"language": LanguageAdapter(), "task": TaskAdapter(reduction=4)}


class Trainings:
    """Trainings of a base model on text and on rows in a folder."""

    def __init__(self, base_json: Path, folder: Path) -> None:
        self.base, self.folder = base_json, folder
        self.texts = pico.text(folder / "train.txt"), pico.text(folder / "valid.txt", 10, seed=1)
        self.rows = pico.rows(folder / "train.csv"), pico.rows(folder / "valid.csv", 8, seed=1)

    def data(self, role: str, **recipe: Any) -> TrainingData:
        """Return what a language or a task is learned from."""
        if role == "language":
            return TrainingData(LANGUAGE_OBJECTIVE, *self.texts, LanguageTraining(**{"block": 16} | RECIPE | recipe))
        settings = TaskTraining(**{"max_length": 16} | RECIPE | recipe)
        return TrainingData(OBJECTIVES["classification"], *self.rows, settings, pico.LABELS)

    def job(self, role: str, out: str, seed: int = 0, start: str | None = None, **changes: Any) -> Job:
        """A training that writes `out`; `changes` are those of phase and recipe."""
        phase = Phase(**PHASE | {key: changes.pop(key) for key in changes.keys() & Phase.model_fields.keys()})
        below = self.folder / start if start else None
        return Job(self.data(role, **changes), base_model.read(self.base), phase, seed, self.folder / out, below)

    def train(self, kind: str, role: str, out: str, mask: Path | None = None, **changes: Any) -> Record:
        """Train by what is left: a kind of vector or of module."""
        job = self.job(role, out, **changes)
        if kind == "sft":
            assert mask is not None
            return sparse.train(replace(job, mask=mask))
        if kind == "adapter":
            return adapter_training.train(replace(job, sizes=ADAPTER[role].model_dump()))
        if kind == "lora":
            return lora_training.train(replace(job, sizes=LORA[role].model_dump()))
        return {"delta": full, "gradient": gradients}[kind].train(job)

    def contents(self, name: str) -> tuple[bytes, bytes]:
        """Bytes of a result and of its record."""
        path = self.folder / name
        return path.read_bytes(), path.with_suffix(".json").read_bytes()
