"""Verbs that choose and take entries of a delta."""

from pathlib import Path
from typing import Annotated

import typer

from deftx.cli.options import Out, parsed
from deftx.core import gpus
from deftx.core.errors import ConfigError


def mask(
    delta: Annotated[Path, typer.Argument(help="The delta of a full fine-tuning, or summed gradients.")],
    selection: Annotated[str, typer.Option(help="Selection as JSON, or the name of a YAML file.")],
    k: Annotated[str, typer.Option(help="Entries to choose: a number, or with a decimal point a share.")],
    out: Out,
    report: Annotated[Path, typer.Option(help="JSON with spectra, ranks and entries chosen per parameter.")],
) -> None:
    """Choose the entries sparse fine-tuning may move."""
    from deftx.config.masks import Denoising
    from deftx.masks import select

    gpus.take()
    select.build(delta, parsed(Denoising, selection), _budget(k), out, report)


def random_mask(
    delta: Annotated[Path, typer.Argument(help="The delta whose entries may be drawn.")],
    k: Annotated[str, typer.Option(help="Entries to draw: a number, or with a decimal point a share.")],
    out: Out,
    report: Annotated[Path, typer.Option(help="JSON with entries drawn per parameter.")],
) -> None:
    """Draw a mask at random, as a control for what is chosen."""
    from deftx.masks import random_control

    random_control.build(delta, _budget(k), out, report)


def prune(
    delta: Annotated[Path, typer.Argument(help="The delta of a full fine-tuning.")],
    mask: Annotated[Path, typer.Option(help="A mask that was selected from it.")],
    out: Out,
) -> None:
    """Take the denoised delta itself at its mask, without training again."""
    from deftx.masks import prune as pruning

    gpus.take()
    pruning.build(delta, mask, out)


def _budget(k: str) -> int | float:
    from pydantic import TypeAdapter, ValidationError

    from deftx.config.masks import Budget

    try:
        budget: int | float = TypeAdapter(Budget).validate_json(k)
    except ValidationError:
        raise ConfigError(
            f"--k {k}: give a number of entries such as 5000, or with a decimal point a share such as 0.05"
        ) from None
    return budget
