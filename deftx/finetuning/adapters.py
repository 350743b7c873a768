"""Training of adapters: the encoder stays, and a language's or a task's adapter moves (MAD-X, Pfeiffer et al. 2020).

A language adapter learns masked-LM on the language's text, a task adapter its task on top of the source language's
adapter, which stays as well (sections 3.2.1 and 3.2.2).
"""

import torch

from deftx.config.modules import LanguageAdapter, TaskAdapter
from deftx.core.errors import VectorError
from deftx.finetuning import common
from deftx.finetuning.common import Arrays, Job, arrays
from deftx.modules import adapters
from deftx.modules.parameters import check_base
from deftx.training.loop import Record
from deftx.training.trainable import AllEntries


def train(job: Job) -> Record:
    """Train a language adapter, or a task adapter on the language adapter `job.start` or on the bare encoder.

    Raises:
        VectorError: the initialization is not a language adapter of this base, or a language adapter is given one.
        ConfigError, BaseModelError: the sizes or adapters as such do not fit the base model.
        And what `deftx.finetuning.common` raises.
    """
    shape, below = _shape(job), _below(job)
    model, objective = common.begin(job)
    head = common.freeze(job, model)
    torch.manual_seed(job.seed)
    adapter = adapters.Adapter(shape)
    adapters.insert(model, [module.to(model.device) for module in (*below, adapter)])
    entries = AllEntries(dict(adapter.named_parameters()), head)
    metadata = adapters.Metadata(shape=shape, role=job.data.role, **common.origin(job))

    def save(task_head: Arrays) -> None:
        adapters.save(adapters.Stored(metadata, arrays(entries.base), task_head), job.out)

    code = {"code": common.code(job, "deftx.finetuning.adapters")}
    return common.train(job, model, objective, entries, metadata, code, save)


def _shape(job: Job) -> adapters.Shape:
    if job.data.role == "language":
        of_language = common.sized(job, LanguageAdapter)
        return adapters.shape_of(job.base, of_language.reduction, of_language.invertible_reduction, 0)
    of_task = common.sized(job, TaskAdapter)
    return adapters.shape_of(job.base, of_task.reduction, None, int(of_task.leave_out_last))


def _below(job: Job) -> list[adapters.Adapter]:
    """Return the adapter that a task's is stacked on, if there is one."""
    if job.start is None:
        return []
    if job.data.role == "language":
        raise VectorError(f"{job.start}: a language adapter starts from the base model; leave out --start")
    stored = adapters.load(job.start)
    check_base(stored, job.base, job.start)
    if stored.metadata.role != "language":
        raise VectorError(f"{job.start} is the adapter of a task; give --start that of the source language")
    return [adapters.module_of(stored)]
