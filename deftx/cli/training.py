"""The verb that trains: full, sparse, adapters, LoRA, accumulated gradients."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deftx.cli.options import Base, Out, Processes, Train, Valid, parsed
from deftx.core import gpus
from deftx.core.errors import ConfigError
from deftx.training import launch


def train(
    spec: Annotated[str, typer.Option(help="What is trained and how, as JSON or the name of a YAML file.")],
    base: Base,
    train: Train,
    valid: Valid,
    out: Out,
    mask: Annotated[Path | None, typer.Option(help="Mask of what may move, for sparse fine-tuning.")] = None,
    start: Annotated[Path | None, typer.Option(help="Module the training starts on.")] = None,
    processes: Processes = 1,
) -> None:
    """Train a module of a language or a task: a delta, a sparse vector, an adapter or LoRA."""
    from deftx.config.modules import TrainingSpec
    from deftx.modules.registry import MODULE_TYPES

    settings = parsed(TrainingSpec, spec)
    entry = MODULE_TYPES.get(settings.type)
    if entry and not entry.several and (processes > 1 or launch.under_way()):
        raise ConfigError(f"modules of type {entry.name} are trained in one process; leave out --processes")
    if processes > 1 and not launch.under_way():
        gpus.take(processes)
        raise typer.Exit(launch.launch(processes, sys.argv[1:]))
    from deftx.finetuning import common

    gpus.take()
    common.run(settings, base, train, valid, out, mask, start)
