"""Training of adapters: the encoder stays, and a language's or a task's adapter moves (MAD-X, Pfeiffer et al. 2020).

A language adapter learns masked-LM on the language's text, a task adapter its task on top of the source language's
adapter, which stays as well (sections 3.2.1 and 3.2.2). Loop, objectives, seeds and checkpoints are those of the other
trainings. A task's head is stored in full; a masked-LM head is trained, but for its output embedding, and thrown away.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from deftx import adapters, checkpoints
from deftx import base as base_model
from deftx.datasets import check_labels
from deftx.datasets import load as load_rows
from deftx.errors import DeltaError, VectorError
from deftx.files import write_json
from deftx.loop import Record, fit, processes
from deftx.objectives import Classification, MaskedLM, Objective
from deftx.optim import AllEntries
from deftx.provenance import code_of, threads, versions
from deftx.settings import LanguageAdapter, LanguageTraining, TaskAdapter, TaskTraining, Training
from deftx.sources import sha256_of
from deftx.tokens import cached
from deftx.training import Job, freeze_output


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
    return _train(job, description, model, objective, recipe, shape, {"train": train, "valid": valid}, None)


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
    tokenizer = base_model.load_tokenizer(description.location, description.revision)
    rows = load_rows(train), load_rows(valid)
    for some, path in zip(rows, (train, valid), strict=True):
        check_labels(some, labels, path)
    objective = Classification(tokenizer, *rows, labels, recipe.max_length)
    model = base_model.classifier(description, labels, job.seed)
    data = {"train": train, "valid": valid}
    return _train(job, description, model, objective, recipe, shape, data, list(labels))


def _train(
    job: Job,
    description: base_model.Description,
    model: Any,
    objective: Objective,
    recipe: Training,
    shape: adapters.Shape,
    data: dict[str, Path],
    labels: list[str] | None,
) -> Record:
    process = processes()
    torch.set_num_threads(threads())
    below = [_language_adapter(job.start, description)] if job.start else []
    for parameter in base_model.encoder_parameters(model, description).values():
        parameter.requires_grad_(False)
    head = {name: p for name, p in model.named_parameters() if p.requires_grad}
    torch.manual_seed(job.seed)
    adapter = adapters.Adapter(shape)
    adapters.insert(model, [*below, adapter])
    model.to(process.device)
    entries = AllEntries(dict(adapter.named_parameters()), head)
    metadata = adapters.Metadata(
        role="language" if labels is None else "task",
        base=description.hash,
        base_model=description.name,
        base_revision=description.revision,
        shape=shape,
        start=[sha256_of(job.start)] if job.start else [],
        objective="masked-lm" if labels is None else "classification",
        labels=labels,
        settings=recipe.model_dump(mode="json") | {"phase": job.phase.model_dump(mode="json")},
        seed=job.seed,
        data={name: sha256_of(path) for name, path in data.items()},
        threads=threads(),
        versions=versions(),
    )
    _check_room(job, entries)
    fingerprint = metadata.model_dump(mode="json") | {"code": code_of("deftx.adapter_training")}
    checkpoint = checkpoints.path_for(job.out, fingerprint)
    record = fit(model, entries, objective, job.phase, job.seed, recipe, 0.0, checkpoint)
    if process.is_main_process:
        stored = adapters.Stored(metadata, _numpy(entries.base), {} if labels is None else _numpy(head))
        adapters.save(stored, job.out)
        write_json(job.out.with_suffix(".json"), asdict(record))
        checkpoints.remove(job.out)
    return record


def _language_adapter(path: Path, description: base_model.Description) -> adapters.Adapter:
    """The adapter a task's is stacked on."""
    stored = adapters.load(path)
    adapters.check_base(stored, description, path)
    if stored.metadata.role != "language":
        raise VectorError(f"{path} is the adapter of a task; give --start that of the source language")
    return adapters.module_of(stored)


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
