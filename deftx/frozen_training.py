"""Training of modules beside a frozen encoder (adapters, LoRA): everything that does not depend on what the module is.

Loop, objectives, seeds and checkpoints are those of the other trainings. A task's head is stored in full; a masked-LM
head is trained, but for its output embedding, and thrown away.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from deftx import base as base_model
from deftx import checkpoints, module_files
from deftx.datasets import check_labels
from deftx.datasets import load as load_rows
from deftx.errors import DeltaError
from deftx.files import write_json
from deftx.loop import Record, fit, processes
from deftx.objectives import Classification, MaskedLM, Objective
from deftx.optim import AllEntries
from deftx.provenance import threads, versions
from deftx.settings import LanguageTraining, TaskTraining, Training
from deftx.sources import sha256_of
from deftx.tokens import cached
from deftx.training import Job, freeze_output


@dataclass(frozen=True)
class Lesson:
    """What a module learns: a model without it, its objective and its data."""

    description: base_model.Description
    model: Any
    objective: Objective
    recipe: Training
    data: dict[str, Path]
    labels: list[str] | None
    """Those of a task; None for a language."""


def of_language(
    job: Job, description: base_model.Description, train: Path, valid: Path, recipe: LanguageTraining
) -> Lesson:
    """Masked-LM on a language's text; of the recipe, text, masking, clipping and precision count.

    Raises:
        CorpusError: the text is shorter than one block.
    """
    tokenizer = base_model.load_tokenizer(description.location, description.revision)
    objective = MaskedLM(
        tokenizer,
        cached(tokenizer, train, recipe.block, recipe.packed),
        cached(tokenizer, valid, recipe.block, recipe.packed),
        recipe.mask_probability,
        recipe.replacement,
    )
    model = base_model.masked_lm(description, untied=True, seed=job.seed)
    freeze_output(model, recipe)
    return Lesson(description, model, objective, recipe, {"train": train, "valid": valid}, None)


def of_task(
    job: Job,
    description: base_model.Description,
    train: Path,
    valid: Path,
    labels: Sequence[str],
    recipe: TaskTraining,
) -> Lesson:
    """Classification of labelled texts.

    Raises:
        DatasetError: a label is none of `labels`.
    """
    tokenizer = base_model.load_tokenizer(description.location, description.revision)
    rows = load_rows(train), load_rows(valid)
    for some, path in zip(rows, (train, valid), strict=True):
        check_labels(some, labels, path)
    objective = Classification(tokenizer, *rows, labels, recipe.max_length)
    model = base_model.classifier(description, labels, job.seed)
    return Lesson(description, model, objective, recipe, {"train": train, "valid": valid}, list(labels))


def freeze(lesson: Lesson) -> dict[str, nn.Parameter]:
    """Freeze the encoder; returns the head, which is trained along with the module."""
    for parameter in base_model.encoder_parameters(lesson.model, lesson.description).values():
        parameter.requires_grad_(False)
    return {name: p for name, p in lesson.model.named_parameters() if p.requires_grad}


def origin(job: Job, lesson: Lesson) -> dict[str, Any]:
    """What the metadata of every module states."""
    return {
        "role": "language" if lesson.labels is None else "task",
        "base": lesson.description.hash,
        "base_model": lesson.description.name,
        "base_revision": lesson.description.revision,
        "start": [sha256_of(job.start)] if job.start else [],
        "objective": "masked-lm" if lesson.labels is None else "classification",
        "labels": lesson.labels,
        "settings": lesson.recipe.model_dump(mode="json") | {"phase": job.phase.model_dump(mode="json")},
        "seed": job.seed,
        "data": {name: sha256_of(path) for name, path in lesson.data.items()},
        "threads": threads(),
        "versions": versions(),
    }


def train(
    job: Job,
    lesson: Lesson,
    module: Mapping[str, nn.Parameter],
    head: Mapping[str, nn.Parameter],
    metadata: module_files.Metadata,
    code: str,
) -> Record:
    """Train a module that has been put into the lesson's model, and its head; store them.

    Args:
        module: the module's parameters by the names they are stored under.
        code: a hash of the code that does this; a checkpoint of other code is of no use.
    Raises:
        DeltaError: training diverged, or the disk has no room for its checkpoints.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    process = processes()
    torch.set_num_threads(threads())
    lesson.model.to(process.device)
    entries = AllEntries(module, head)
    _check_room(job, entries)
    checkpoint = checkpoints.path_for(job.out, metadata.model_dump(mode="json") | {"code": code})
    record = fit(lesson.model, entries, lesson.objective, job.phase, job.seed, lesson.recipe, 0.0, checkpoint)
    if process.is_main_process:
        of_task = {} if lesson.labels is None else _numpy(head)
        module_files.save(module_files.Stored(metadata, _numpy(entries.base), of_task), job.out)
        write_json(job.out.with_suffix(".json"), asdict(record))
        checkpoints.remove(job.out)
    return record


def _check_room(job: Job, entries: AllEntries) -> None:
    """Refuse to begin what the disk cannot hold: a checkpoint (values, two moments), twice while one replaces another.

    Raises:
        DeltaError: named, with the room that is missing.
    """
    values = sum(leaf.numel() for leaf in entries.leaves().values())
    needed = 4 * 2 * (3 + (job.phase.keep == "best")) * values
    job.out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(job.out.parent).free
    if free < needed:
        raise DeltaError(
            f"{job.out.parent}: training needs {needed / 1e9:.2f} GB of disk (result and checkpoints), and "
            f"{free / 1e9:.2f} GB are free. Make room, or move results/ to a larger disk"
        )


def _numpy(parameters: Mapping[str, nn.Parameter]) -> dict[str, NDArray[np.float32]]:
    return {name: parameter.detach().cpu().float().numpy() for name, parameter in parameters.items()}
