"""Fine-tuning: what is the same whatever is learned (`deftx.tasks.training_data`) and whatever moves.

What moves, and what is left of it, is one module each (`full`, `sparse`, `gradients`, `adapters`, `lora`). A task's
head restarts from the same seeded values in each and is stored in full; a masked-LM head is trained and thrown away.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from deftx.config.modules import TrainingSpec
from deftx.config.training import Phase
from deftx.core.errors import ConfigError, DeltaError
from deftx.core.hashing import code_of
from deftx.core.integrity import sha256_of, write_json
from deftx.core.provenance import threads, versions
from deftx.models import base_model
from deftx.modules import vectors
from deftx.modules.addition import add
from deftx.modules.registry import MODULE_TYPES
from deftx.tasks.forwards.registry import FORWARDS
from deftx.tasks.objective import Objective
from deftx.tasks.registry import LANGUAGE_OBJECTIVE, OBJECTIVES, TASK_KINDS
from deftx.tasks.training_data import TrainingData
from deftx.training import checkpoints
from deftx.training.distributed import main_process_first, processes
from deftx.training.loop import Record, fit
from deftx.training.trainable import Entries, Parameters, parameters_of

Arrays = dict[str, NDArray[Any]]
S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True)
class Job:
    """What all trainings are told."""

    data: TrainingData
    base: base_model.Description
    phase: Phase
    seed: int
    out: Path
    """The file to write."""
    start: Path | None = None
    """What is added to the base before training begins (source adaptation): a vector, or a module of the same kind."""
    mask: Path | None = None
    """The mask of what may move, where not all does."""
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """Sizes of a module that has any, as the configuration gives them."""


class Way(Protocol):
    """A way to train: one module of this package for each type of module."""

    def train(self, job: Job) -> Record:
        """Train, and leave the result with its record beside it."""


def run(
    spec: TrainingSpec, base: Path, train: Path, valid: Path, out: Path, mask: Path | None, start: Path | None
) -> Record:
    """Train a module of the type that the spec names.

    Args:
        base: base.json.
        train: text or labelled rows to train on; `valid` is the held-out part.
        mask: what may move, for a type that moves the elements of a mask.
        start: module the training starts on.
    Raises:
        ConfigError: no such type is trained, or it goes with a mask and there is none, or the other way round.
        And what the way of training raises.
    """
    entry = MODULE_TYPES.get(spec.type)
    if entry is None or not entry.trained:
        known = ", ".join(entry.name for entry in MODULE_TYPES.values() if entry.trained)
        raise ConfigError(f"no training leaves a module of type {spec.type!r}; types are {known}")
    if entry.masked != (mask is not None):
        raise ConfigError(f"a training of type {spec.type} {'needs' if entry.masked else 'goes without'} --mask")
    data = _training_data(spec, train, valid)
    job = Job(data, base_model.read(base), spec.phase, spec.seed, out, start, mask, spec.sizes)
    return cast(Way, import_module(entry.make)).train(job)


def _training_data(spec: TrainingSpec, train: Path, valid: Path) -> TrainingData:
    """Return what a spec says is learned.

    Raises:
        ConfigError: there is no such kind of task, or no such way forward.
    """
    if spec.language is not None:
        return TrainingData(LANGUAGE_OBJECTIVE, train, valid, spec.language)
    assert spec.task is not None
    if spec.kind not in TASK_KINDS:
        raise ConfigError(f"there is no kind of task {spec.kind!r} (known: {', '.join(TASK_KINDS)})")
    kind = TASK_KINDS[spec.kind]
    forward = spec.forward or kind.forward
    if forward not in FORWARDS:
        raise ConfigError(f"there is no way forward {forward!r} (known: {', '.join(FORWARDS)})")
    return TrainingData(OBJECTIVES[kind.objective], train, valid, spec.task, spec.labels, forward)


def sized(job: Job, kind: type[S]) -> S:
    """Return the sizes of a job's module as their block of settings.

    Raises:
        ConfigError: they are not of this kind.
    """
    try:
        return kind.model_validate(job.sizes)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(f"sizes: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def begin(job: Job) -> tuple[Any, Objective]:
    """Return the base model with the objective's head, on the device that computes, and the objective.

    Raises:
        BaseModelError: the base model cannot be loaded.
        CorpusError, DatasetError: nothing can be learned from the data.
    """
    torch.set_num_threads(threads())
    with main_process_first():  # it tokenises the text, or refuses it, for all
        objective = job.data.objective(job.base)
    return job.data.model(job.base, job.seed).to(processes().device), objective


def at_start(job: Job, model: Any) -> Parameters:
    """Add the start's vector to the base's parameters; returns all parameters, by whether they may move.

    Raises:
        VectorError: the start does not fit the base model.
    """
    encoder = base_model.encoder_parameters(model, job.base)
    if job.start is not None:
        vector = vectors.load(job.start)
        vectors.check_fits(vector.metadata, job.base.shapes, job.base.hash, job.start)
        add({name: p.data for name, p in encoder.items()}, vector, 1.0)
    return parameters_of(model, encoder, job.data.recipe)


def freeze(job: Job, model: Any) -> dict[str, nn.Parameter]:
    """Freeze the encoder; returns the head, which is trained along with a module."""
    for parameter in base_model.encoder_parameters(model, job.base).values():
        parameter.requires_grad_(False)
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def origin(job: Job) -> dict[str, Any]:
    """Return what the metadata of every result state."""
    data = job.data
    return {
        "base": job.base.hash,
        "base_model": job.base.name,
        "base_revision": job.base.revision,
        "start": [sha256_of(job.start)] if job.start else [],
        "objective": data.entry.name,
        "labels": None if data.labels is None else list(data.labels),
        "settings": data.recipe.model_dump(mode="json") | {"phase": job.phase.model_dump(mode="json")},
        "seed": job.seed,
        "data": {"train": sha256_of(data.train), "valid": sha256_of(data.valid)},
        "threads": threads(),
        "processes": processes().num_processes,
        "versions": versions(),
    }


def train(
    job: Job,
    model: Any,
    objective: Objective,
    entries: Entries,
    metadata: BaseModel,
    identity: dict[str, str],
    save: Callable[[Arrays], None],
    l1: float = 0.0,
) -> Record:
    """Train the entries, and leave the result, its record beside it, and no checkpoint.

    Args:
        metadata: the result's. A checkpoint resumes only a training with equal metadata and equal `identity`, such as a
            hash of the code.
        save: writes the result. It gets the values of the head that are to be stored; of masked-LM none are.
        l1: strength of the L1 penalty towards the initialization.
    Raises:
        DeltaError: training diverged, or the disk has no room for the result.
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    of_the_job = metadata.model_dump(mode="json", exclude={"processes", "threads"})  # `fit` looks at these
    checkpoint = checkpoints.path_for(job.out, of_the_job | identity)
    _check_room(job, entries, checkpoint)
    record = fit(model, entries, objective, job.phase, job.seed, job.data.recipe, l1, checkpoint)
    if processes().is_main_process:
        save({} if job.data.labels is None else arrays(entries.head))
        beside_it = job.out.with_suffix(".json")
        write_json(beside_it, asdict(record))
        checkpoints.remove(job.out, [job.out, beside_it])
    return record


def code(job: Job, *modules: str) -> str:
    """Return the hash of the code that trains a module, and of the objective and the way forward it trains with."""
    entry = job.data.entry
    forward = [] if job.data.role == "language" else [FORWARDS[job.data.forward].code]
    return code_of(*modules, entry.code, *forward)


def arrays(tensors: Mapping[str, Tensor]) -> Arrays:
    """Return tensors as numpy arrays of the same type."""
    return {name: np.asarray(tensor.detach().cpu()) for name, tensor in tensors.items()}


def _check_room(job: Job, entries: Entries, checkpoint: Path) -> None:
    """Refuse to begin what the disk cannot hold: a checkpoint (values, two moments), twice while one replaces another.

    One may be there already. The result is smaller, and comes when there is one checkpoint left.

    Raises:
        DeltaError: named, with the room that is missing.
    """
    leaves, buffers = (sum(t.numel() for t in group.values()) for group in (entries.leaves(), entries.buffers()))
    size = 4 * ((3 + (job.phase.keep == "best")) * leaves + buffers)
    needed = 2 * size - (checkpoint.stat().st_size if checkpoint.is_file() else 0)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(job.out.parent).free
    if free < needed:
        raise DeltaError(
            f"{job.out}: training needs {needed / 1e9:.2f} GB of disk (result and checkpoints), and "
            f"{free / 1e9:.2f} GB are free. Make room, or move results/ to a larger disk"
        )
