"""Training of LoRA: the encoder stays, and the factors of a language or a task move (Hu et al. 2022, section 4.1).

A language's LoRA learns masked-LM on the language's text, a task's its task. peft puts the factors into the model: A
begins with Kaiming's uniform values, which depend on the seed alone, and B with zeros, so that training begins with
what the encoder computes.
"""

from importlib import metadata
from typing import Any

import torch
from torch import nn

from deftx.config.modules import Lora
from deftx.core.errors import VectorError
from deftx.finetuning import common
from deftx.finetuning.common import Arrays, Job, arrays
from deftx.modules import lora
from deftx.training.loop import Record
from deftx.training.trainable import AllEntries

NAME = "module"  # of the only one that peft has in the model


def train(job: Job) -> Record:
    """Train a language's LoRA from the base, or a task's from the base or from the base plus the LoRA `job.start`.

    Raises:
        VectorError: the start is not the LoRA of a language for this base model, or a language's LoRA is given one.
        ConfigError: the sizes do not fit the base model.
        And what `deftx.finetuning.common` raises.
    """
    shape, below = lora.shape_of(job.base, common.sized(job, Lora)), _below(job)
    model, objective = common.begin(job)
    lora.apply(model, job.base, below)
    head = common.freeze(job, model)
    torch.manual_seed(job.seed)
    entries = AllEntries(insert(model, shape), head)
    for parameter in head.values():
        parameter.requires_grad_(True)  # peft freezes all that it finds beside its own, such as a new pooler
    origin = common.origin(job)
    origin["versions"] |= {"peft": metadata.version("peft")}
    described = lora.Metadata(shape=shape, role=job.data.role, **origin)

    def save(task_head: Arrays) -> None:
        lora.save(lora.Stored(described, arrays(entries.base), task_head), job.out)

    code = {"code": common.code(job, "deftx.finetuning.lora")}
    return common.train(job, model, objective, entries, described, code, save)


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


def _below(job: Job) -> list[tuple[lora.Stored, float]]:
    """Return the language's LoRA that a task's is trained on top of, if there is one."""
    if job.start is None:
        return []
    if job.data.role == "language":
        raise VectorError(f"{job.start}: a language's LoRA starts from the base model; leave out --start")
    stored = lora.load(job.start)
    lora.check([(job.start, stored, 1.0)], job.base)
    if stored.metadata.role != "language":
        raise VectorError(f"{job.start} is the LoRA of a task; give --start that of the source language")
    return [(stored, 1.0)]
