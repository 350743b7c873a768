"""Training of adapters: the encoder stays, and a language's or a task's adapter moves (MAD-X, Pfeiffer et al. 2020).

A language adapter learns masked-LM on the language's text, a task adapter its task on top of the source language's
adapter, which stays as well (sections 3.2.1 and 3.2.2). What is not about adapters is `deftx.frozen_training`.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from deftx import adapters, frozen_training
from deftx import base as base_model
from deftx.errors import VectorError
from deftx.loop import Record
from deftx.module_files import check_base
from deftx.provenance import code_of
from deftx.settings import LanguageAdapter, LanguageTraining, TaskAdapter, TaskTraining
from deftx.training import Job


def train_language(job: Job, train: Path, valid: Path, recipe: LanguageTraining, sizes: LanguageAdapter) -> Record:
    """Masked-LM training of a language adapter; of the recipe, text, masking, clipping and precision count.

    Raises:
        VectorError: a start is given, though a language adapter has none.
        CorpusError: the text is shorter than one block.
        ConfigError, BaseModelError: the sizes or adapters as such do not fit the base model.
        DeltaError: training diverged, or the disk has no room for its checkpoints.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    if job.start is not None:
        raise VectorError(f"{job.start}: a language adapter starts from the base model; leave out --start")
    description = base_model.read(job.base)
    shape = adapters.shape_of(description, sizes.reduction, sizes.invertible_reduction, 0)
    return _train(job, frozen_training.of_language(job, description, train, valid, recipe), shape)


def train_task(
    job: Job, train: Path, valid: Path, labels: Sequence[str], recipe: TaskTraining, sizes: TaskAdapter
) -> Record:
    """Training of a task adapter on the language adapter `job.start`, or without one on the bare encoder.

    Raises:
        DatasetError: a label is none of `labels`.
        VectorError: the start is no language adapter of this base model.
        ConfigError, BaseModelError: the sizes or adapters as such do not fit the base model.
        DeltaError: training diverged, or the disk has no room for its checkpoints.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    description = base_model.read(job.base)
    shape = adapters.shape_of(description, sizes.reduction, None, int(sizes.leave_out_last))
    return _train(job, frozen_training.of_task(job, description, train, valid, labels, recipe), shape)


def _train(job: Job, lesson: frozen_training.Lesson, shape: adapters.Shape) -> Record:
    below = [_language_adapter(job.start, lesson.description)] if job.start else []
    head = frozen_training.freeze(lesson)
    torch.manual_seed(job.seed)
    adapter = adapters.Adapter(shape)
    adapters.insert(lesson.model, [*below, adapter])
    metadata = adapters.Metadata(shape=shape, **frozen_training.origin(job, lesson))
    code = code_of("deftx.adapter_training")
    return frozen_training.train(job, lesson, dict(adapter.named_parameters()), head, metadata, code)


def _language_adapter(path: Path, description: base_model.Description) -> adapters.Adapter:
    """The adapter a task's is stacked on."""
    stored = adapters.load(path)
    check_base(stored, description, path)
    if stored.metadata.role != "language":
        raise VectorError(f"{path} is the adapter of a task; give --start that of the source language")
    return adapters.module_of(stored)
