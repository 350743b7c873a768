"""Training of LoRA: the encoder stays, and the factors of a language or a task move (Hu et al. 2022, section 4.1).

A language's LoRA learns masked-LM on the language's text, a task's its task. peft puts the factors into the model: A
begins with Kaiming's uniform values, which depend on the seed alone, and B with zeros, so that training begins with
what the encoder computes. What is not about LoRA is `deftx.frozen_training`.
"""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deftx import base as base_model
from deftx import frozen_training, lora
from deftx.errors import VectorError
from deftx.loop import Record
from deftx.provenance import code_of
from deftx.settings import LanguageTraining, Lora, TaskTraining
from deftx.training import Job

NAME = "module"  # of the only one that peft has in the model


def train_language(job: Job, train: Path, valid: Path, recipe: LanguageTraining, sizes: Lora) -> Record:
    """Masked-LM training of a language's LoRA; of the recipe, text, masking, clipping and precision count.

    Raises:
        VectorError: a start is given, though a language's LoRA has none.
        CorpusError: the text is shorter than one block.
        ConfigError: the sizes do not fit the base model.
        DeltaError: training diverged, or the disk has no room for its checkpoints.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    if job.start is not None:
        raise VectorError(f"{job.start}: a language's LoRA starts from the base model; leave out --start")
    description = base_model.read(job.base)
    shape = lora.shape_of(description, sizes)
    return _train(job, frozen_training.of_language(job, description, train, valid, recipe), shape)


def train_task(job: Job, train: Path, valid: Path, labels: Sequence[str], recipe: TaskTraining, sizes: Lora) -> Record:
    """Training of a task's LoRA from the base, or from the base plus the language's LoRA `job.start`.

    Raises:
        DatasetError: a label is none of `labels`.
        VectorError: the start is not the LoRA of a language for this base model.
        ConfigError: the sizes do not fit the base model.
        DeltaError: training diverged, or the disk has no room for its checkpoints.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    description = base_model.read(job.base)
    shape = lora.shape_of(description, sizes)
    return _train(job, frozen_training.of_task(job, description, train, valid, labels, recipe), shape)


def _train(job: Job, lesson: frozen_training.Lesson, shape: lora.Shape) -> Record:
    if job.start:
        _add_start(job.start, lesson)
    head = frozen_training.freeze(lesson)
    torch.manual_seed(job.seed)
    factors = insert(lesson.model, shape)
    for parameter in head.values():
        parameter.requires_grad_(True)  # peft freezes all that it finds beside its own, such as a new pooler
    origin = frozen_training.origin(job, lesson)
    origin["versions"] |= {"peft": metadata.version("peft")}
    described = lora.Metadata(shape=shape, **origin)
    return frozen_training.train(job, lesson, factors, head, described, code_of("deftx.lora_training"))


def insert(model: Any, shape: lora.Shape) -> dict[str, nn.Parameter]:
    """Put factors beside the matrices of a transformers model, by peft; returns them by the names of `shape`."""
    from peft import LoraConfig, inject_adapter_in_model

    modules = {name: name.removesuffix(".weight") for name in shape.matrices}
    config = LoraConfig(r=shape.rank, lora_alpha=shape.alpha, target_modules=list(modules.values()), lora_dropout=0.0)
    encoder = inject_adapter_in_model(config, model.base_model, NAME)
    layers: dict[str, Any] = {name: encoder.get_submodule(module) for name, module in modules.items()}
    return {
        f"{factor}.{name}": factors[NAME].weight
        for name, layer in layers.items()
        for factor, factors in (("A", layer.lora_A), ("B", layer.lora_B))
    }


def _add_start(path: Path, lesson: frozen_training.Lesson) -> None:
    """Add the language's LoRA a task's is trained on top of."""
    start = lora.load(path)
    lora.check([(path, start, 1.0)], lesson.description)
    if start.metadata.role != "language":
        raise VectorError(f"{path} is the LoRA of a task; give --start that of the source language")
    lora.apply(lesson.model, lesson.description, [(start, 1.0)])
