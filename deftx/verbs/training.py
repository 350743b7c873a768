"""Verbs that train: the encoder, adapters, LoRA."""

import os
from pathlib import Path
from typing import Annotated

import typer

from deftx.errors import ConfigError
from deftx.verbs.options import Base, Labels, ModuleSeed, Out, PhaseText, Settings, Train, Valid, parsed


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
) -> None:
    """Train a delta (full fine-tuning) or, with a mask, an SFT (sparse fine-tuning); or add up gradients."""
    from deftx import training
    from deftx.settings import LanguageTraining, Phase, TaskTraining

    if gradients and (mask or int(os.environ.get("WORLD_SIZE", "1")) > 1):
        raise ConfigError("--gradients goes without --mask, and in one process")
    job = training.Job(base, parsed(Phase, phase), seed, out, mask, start, gradients)
    if labels is None:
        training.train_language(job, train, valid, parsed(LanguageTraining, settings))
    else:
        training.train_task(job, train, valid, parsed(list[str], labels), parsed(TaskTraining, settings))


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
) -> None:
    """Train an adapter of a language or, with labels, of a task; the encoder stays."""
    from deftx import adapter_training, training
    from deftx.settings import LanguageAdapter, LanguageTraining, Phase, TaskAdapter, TaskTraining

    job = training.Job(base, parsed(Phase, phase), seed, out, start=start)
    if labels is None:
        sizes = parsed(LanguageAdapter, shape)
        adapter_training.train_language(job, train, valid, parsed(LanguageTraining, settings), sizes)
    else:
        names, recipe = parsed(list[str], labels), parsed(TaskTraining, settings)
        adapter_training.train_task(job, train, valid, names, recipe, parsed(TaskAdapter, shape))


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
) -> None:
    """Train LoRA of a language or, with labels, of a task; the encoder stays."""
    from deftx import lora_training, training
    from deftx.settings import LanguageTraining, Lora, Phase, TaskTraining

    job = training.Job(base, parsed(Phase, phase), seed, out, start=start)
    sizes = parsed(Lora, shape)
    if labels is None:
        lora_training.train_language(job, train, valid, parsed(LanguageTraining, settings), sizes)
    else:
        recipe = parsed(TaskTraining, settings)
        lora_training.train_task(job, train, valid, parsed(list[str], labels), recipe, sizes)
