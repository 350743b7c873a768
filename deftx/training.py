"""Training stages: full fine-tuning leaves a delta, sparse fine-tuning a sparse vector.

Full fine-tuning takes theta_start to theta_1 and leaves delta = theta_1 - theta_start; with a mask, training
starts again at theta_start, moves the masked entries only, and leaves the sparse vector phi
(Ansell et al. 2022, section 3.1; Simon & Jyothi 2025, section 3.2). A task's head restarts from the same
seeded values in both phases and is stored in full; a masked-LM head is trained and thrown away.
"""

import shutil
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deftx import base as base_model
from deftx import checkpoints, sft
from deftx.algebra import add
from deftx.datasets import check_labels
from deftx.datasets import load as load_rows
from deftx.errors import DeltaError, VectorError
from deftx.files import write_json
from deftx.gradients import SummedGradients, summed_gradients
from deftx.loop import Record, fit, processes, wants_bf16
from deftx.objectives import Classification, MaskedLM, Objective
from deftx.optim import AllEntries, MaskedEntries, all_entries, masked_entries, parameters_of
from deftx.provenance import code_of, threads, versions
from deftx.settings import LanguageTraining, Phase, TaskTraining, Training
from deftx.sources import sha256_of
from deftx.tokens import cached


@dataclass(frozen=True)
class Job:
    """What all trainings are told."""

    base: Path
    """base.json"""
    phase: Phase
    seed: int
    out: Path
    """The delta or SFT to write."""
    mask: Path | None = None
    """A mask makes it sparse fine-tuning."""
    start: Path | None = None
    """A vector to add to the base before training begins (source adaptation)."""
    gradients: bool = False
    """The encoder stays, and its gradients are added up (`deftx.gradients`)."""

    @property
    def kind(self) -> sft.Kind:
        """What the job leaves."""
        return "gradient" if self.gradients else "sft" if self.mask else "delta"


def train_language(job: Job, train: Path, valid: Path, recipe: LanguageTraining) -> Record:
    """Masked-LM training on a corpus.

    Raises:
        VectorError: mask or start do not fit the base model.
        CorpusError: the text is shorter than one block.
        DeltaError: training diverged, or the disk has no room for the result.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    description = base_model.read(job.base)
    tokenizer = base_model.load_tokenizer(description.location, description.revision)
    objective = MaskedLM(
        tokenizer,
        cached(tokenizer, train, recipe.block, recipe.packed),
        cached(tokenizer, valid, recipe.block, recipe.packed),
        recipe.mask_probability,
        recipe.replacement,
    )
    model = base_model.masked_lm(description, untied=recipe.output_embedding != "tied", seed=job.seed)
    if recipe.output_embedding == "frozen":
        freeze_output(model, recipe)
    return _train(job, description, model, objective, recipe, {"train": train, "valid": valid}, None)


def freeze_output(model: Any, recipe: Training) -> None:
    """Freeze a masked-LM's output embedding. Under bf16 it is stored as what every forward pass would make of it."""
    weight = model.get_output_embeddings().weight.requires_grad_(False)
    if wants_bf16(recipe.precision):
        weight.data = weight.data.bfloat16()


def train_task(job: Job, train: Path, valid: Path, labels: Sequence[str], recipe: TaskTraining) -> Record:
    """Training of a classification task.

    Raises:
        DatasetError: a label is none of `labels`.
        VectorError: mask or start do not fit the base model.
        DeltaError: training diverged, or the disk has no room for the result.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    description = base_model.read(job.base)
    tokenizer = base_model.load_tokenizer(description.location, description.revision)
    rows = load_rows(train), load_rows(valid)
    for some, path in zip(rows, (train, valid), strict=True):
        check_labels(some, labels, path)
    objective = Classification(tokenizer, *rows, labels, recipe.max_length)
    model = base_model.classifier(description, labels, job.seed)
    return _train(job, description, model, objective, recipe, {"train": train, "valid": valid}, list(labels))


def _train(
    job: Job,
    description: base_model.Description,
    model: Any,
    objective: Objective,
    recipe: Training,
    data: dict[str, Path],
    labels: list[str] | None,
) -> Record:
    process = processes()
    torch.set_num_threads(threads())
    model.to(process.device)
    start = _add_start(job, description, base_model.encoder_parameters(model, description))
    pull = recipe.l1 / sum(p.numel() for p in model.parameters())
    entries = _entries(job, model, description, objective, recipe)
    settings = recipe.model_dump(mode="json") | {"phase": job.phase.model_dump(mode="json")}
    metadata = sft.Metadata(
        kind=job.kind,
        base=description.hash,
        base_model=description.name,
        base_revision=description.revision,
        shapes={name: description.shapes[name] for name in entries.base},
        start=start,
        objective="masked-lm" if labels is None else "classification",
        selection=sft.read_metadata(job.mask).selection if job.mask else None,
        labels=labels,
        settings=settings,
        seed=job.seed,
        data={name: sha256_of(path) for name, path in data.items()},
        threads=threads(),
        versions=versions(),
    )
    _check_room(job, entries)
    checkpoint = checkpoints.path_for(job.out, _fingerprint(metadata, job))
    record = fit(model, entries, objective, job.phase, job.seed, recipe, pull, checkpoint)
    if not process.is_main_process:
        return record
    head = {} if labels is None else {n: _numpy(p) for n, p in entries.head.items()}
    difference = {name: _numpy(values) for name, values in entries.difference().items()}
    if not isinstance(entries, MaskedEntries):
        rows = {name: numbers.cpu().numpy() for name, numbers in entries.rows.items()}
        vector = sft.Vector(metadata, dense=difference, head=head, rows=rows)
    else:
        positions = {name: indices.cpu().long().numpy() for name, indices in entries.mask.items()}
        vector = sft.Vector(metadata, positions=positions, values=difference, head=head)
    sft.save(vector, job.out)
    write_json(job.out.with_suffix(".json"), asdict(record))
    checkpoints.remove(job.out)
    return record


def _entries(
    job: Job, model: Any, description: base_model.Description, objective: Objective, recipe: Training
) -> AllEntries | MaskedEntries | SummedGradients:
    """What the job moves. Nothing else keeps the model's parameters: of word embeddings only some rows may be left."""
    parameters = parameters_of(model, base_model.encoder_parameters(model, description), recipe)
    if job.kind == "sft":
        return masked_entries(model, parameters, _mask(job, description, parameters.maskable))
    if job.kind == "gradient":
        return summed_gradients(model, parameters, objective.pieces())
    return all_entries(model, parameters, objective.pieces())


def _add_start(job: Job, description: base_model.Description, base: dict[str, nn.Parameter]) -> list[str]:
    """Add the start's vector to the base's parameters; returns its hash."""
    if job.start is None:
        return []
    vector = sft.load(job.start)
    sft.check_fits(vector.metadata, description.shapes, description.hash, job.start)
    add({name: p.data for name, p in base.items()}, vector, 1.0)
    return [sha256_of(job.start)]


def _mask(job: Job, description: base_model.Description, maskable: Container[str]) -> dict[str, Tensor]:
    assert job.mask is not None
    vector = sft.load(job.mask)
    sft.check_fits(vector.metadata, description.shapes, description.hash, job.mask, kinds=("mask",))
    for name, positions in vector.positions.items():
        if len(positions) and name not in maskable:
            raise VectorError(
                f"{job.mask} holds entries of {name}, which does not move in this training. "
                "Take a mask of a training with the same objective and the same freeze_layer_norm"
            )
    return {name: torch.from_numpy(positions) for name, positions in vector.positions.items()}


def _fingerprint(metadata: sft.Metadata, job: Job) -> dict[str, Any]:
    """What must be equal for a checkpoint to be of use."""
    mask = sha256_of(job.mask) if job.mask else None
    return metadata.model_dump(mode="json") | {"mask": mask, "code": code_of("deftx.training")}


def _check_room(job: Job, entries: AllEntries | MaskedEntries | SummedGradients) -> None:
    """Refuse to begin what the disk cannot hold: a checkpoint (values, two moments), twice while one replaces another.

    The result is smaller, and comes when there is one checkpoint left.

    Raises:
        DeltaError: named, with the room that is missing.
    """
    leaves, kept = (sum(t.numel() for t in group.values()) for group in (entries.leaves(), entries.kept()))
    checkpoint = (3 + (job.phase.keep == "best")) * leaves + kept
    needed = 4 * 2 * checkpoint
    job.out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(job.out.parent).free
    if free < needed:
        raise DeltaError(
            f"{job.out.parent}: training needs {needed / 1e9:.2f} GB of disk (result and checkpoints), and "
            f"{free / 1e9:.2f} GB are free. Make room, or move results/ to a larger disk"
        )


def _numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().cpu().float().numpy()
