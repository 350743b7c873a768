"""The verb that trains: full, sparse, adapters, LoRA, accumulated gradients."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deftx.cli.messages import configure_messages, reporting
from deftx.cli.options import Base, Out, Processes, Train, Valid, parsed
from deftx.core import gpus
from deftx.core.errors import ConfigError
from deftx.training import launch

if TYPE_CHECKING:
    from deftx.config.modules import TrainingSpec


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
        level = logging.getLogger("deftx").level
        paths = (base, train, valid, out, mask, start)
        raise typer.Exit(launch.launch(processes, _share, level, settings, *paths))
    _run(settings, base, train, valid, out, mask, start)


def _run(settings: "TrainingSpec", *paths: Path | None) -> None:
    from deftx.finetuning import common

    gpus.take()
    common.run(settings, *paths)  # type: ignore[arg-type]


def _share(level: int, settings: "TrainingSpec", *paths: Path | None) -> None:
    """Train as one of several processes, and end this one as a command would end."""
    configure_messages(level)
    try:
        reporting(_run)(settings, *paths)
    except typer.Exit as end:
        sys.exit(end.exit_code)
