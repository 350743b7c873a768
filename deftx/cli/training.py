"""Verbs that train: the encoder, adapters, LoRA."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deftx.cli.options import Base, Labels, ModuleSeed, Out, PhaseText, Processes, Settings, Train, Valid, parsed
from deftx.core import gpus
from deftx.core.errors import ConfigError
from deftx.training import launch

if TYPE_CHECKING:
    from deftx.finetuning.common import Job


def train(
    settings: Settings,
    phase: PhaseText,
    base: Base,
    train: Train,
    valid: Valid,
    seed: Annotated[int, typer.Option(help="Seed of order, masking, dropout and head.")],
    out: Out,
    labels: Labels = None,
    mask: Annotated[Path | None, typer.Option(help="Move the entries of this mask only.")] = None,
    start: Annotated[Path | None, typer.Option(help="Vector added to the base before training.")] = None,
    gradients: Annotated[bool, typer.Option("--gradients", help="Add up gradients; the encoder stays.")] = False,
    processes: Processes = 1,
) -> None:
    """Train a delta (full fine-tuning) or, with a mask, an SFT (sparse fine-tuning); or add up gradients."""
    if gradients and (mask or processes > 1 or launch.under_way()):
        raise ConfigError("--gradients goes without --mask, and in one process")
    _share(processes)
    from deftx.finetuning import full, sparse
    from deftx.finetuning import gradients as gradient_stage

    job = _job(train, valid, settings, labels, base, phase, seed, out, start)
    if mask:
        sparse.train(job, mask)
    elif gradients:
        gradient_stage.train(job)
    else:
        full.train(job)


def adapter(
    settings: Settings,
    shape: Annotated[str, typer.Option(help="Sizes of the adapter, as JSON.")],
    phase: PhaseText,
    base: Base,
    train: Train,
    valid: Valid,
    seed: ModuleSeed,
    out: Out,
    labels: Labels = None,
    start: Annotated[Path | None, typer.Option(help="Language adapter a task's is stacked on.")] = None,
    processes: Processes = 1,
) -> None:
    """Train an adapter of a language or, with labels, of a task; the encoder stays."""
    _share(processes)
    from deftx.config.modules import LanguageAdapter, TaskAdapter
    from deftx.finetuning import adapters as adapter_training

    sizes = parsed(LanguageAdapter if labels is None else TaskAdapter, shape)
    adapter_training.train(_job(train, valid, settings, labels, base, phase, seed, out, start), sizes)


def lora(
    settings: Settings,
    shape: Annotated[str, typer.Option(help="Rank, alpha and targets of LoRA, as JSON.")],
    phase: PhaseText,
    base: Base,
    train: Train,
    valid: Valid,
    seed: ModuleSeed,
    out: Out,
    labels: Labels = None,
    start: Annotated[Path | None, typer.Option(help="A language's LoRA, added to the base before training.")] = None,
    processes: Processes = 1,
) -> None:
    """Train LoRA of a language or, with labels, of a task; the encoder stays."""
    _share(processes)
    from deftx.config.modules import Lora
    from deftx.finetuning import lora as lora_training

    lora_training.train(_job(train, valid, settings, labels, base, phase, seed, out, start), parsed(Lora, shape))


def _share(processes: int) -> None:
    """Run the command in several processes, where they are asked for and this is none of them, and end as they do."""
    if processes > 1 and not launch.under_way():
        gpus.take(processes)
        raise typer.Exit(launch.launch(processes, sys.argv[1:]))


def _job(
    train: Path,
    valid: Path,
    settings: str,
    labels: str | None,
    base: Path,
    phase: str,
    seed: int,
    out: Path,
    start: Path | None,
) -> "Job":
    """What a training is told by its options; with labels it is that of a task."""
    from deftx.config.training import LanguageTraining, Phase, TaskTraining
    from deftx.finetuning import common
    from deftx.models import base_model
    from deftx.tasks.training_data import Rows, Text

    gpus.take()
    lesson: Text | Rows
    if labels is None:
        lesson = Text(train, valid, parsed(LanguageTraining, settings))
    else:
        lesson = Rows(train, valid, parsed(TaskTraining, settings), parsed(list[str], labels))
    return common.Job(lesson, base_model.read(base), parsed(Phase, phase), seed, out, start)
