"""Verbs that train: the encoder, adapters, LoRA."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deftx import gpus, together
from deftx.errors import ConfigError
from deftx.verbs.options import Base, Labels, ModuleSeed, Out, PhaseText, Processes, Settings, Train, Valid, parsed

if TYPE_CHECKING:
    from deftx.training import Job


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
    if gradients and (mask or processes > 1 or together.under_way()):
        raise ConfigError("--gradients goes without --mask, and in one process")
    _share(processes)
    from deftx import full_training, sparse_training
    from deftx import gradients as gradient_stage

    job = _job(train, valid, settings, labels, base, phase, seed, out, start)
    if mask:
        sparse_training.train(job, mask)
    elif gradients:
        gradient_stage.train(job)
    else:
        full_training.train(job)


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
    from deftx import adapter_training
    from deftx.settings import LanguageAdapter, TaskAdapter

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
    from deftx import lora_training
    from deftx.settings import Lora

    lora_training.train(_job(train, valid, settings, labels, base, phase, seed, out, start), parsed(Lora, shape))


def _share(processes: int) -> None:
    """Run the command in several processes, where they are asked for and this is none of them, and end as they do."""
    if processes > 1 and not together.under_way():
        gpus.take(processes)
        raise typer.Exit(together.launch(processes, sys.argv[1:]))


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
    from deftx import base as base_model
    from deftx import training
    from deftx.lessons import Rows, Text
    from deftx.settings import LanguageTraining, Phase, TaskTraining

    gpus.take()
    lesson: Text | Rows
    if labels is None:
        lesson = Text(train, valid, parsed(LanguageTraining, settings))
    else:
        lesson = Rows(train, valid, parsed(TaskTraining, settings), parsed(list[str], labels))
    return training.Job(lesson, base_model.read(base), parsed(Phase, phase), seed, out, start)
