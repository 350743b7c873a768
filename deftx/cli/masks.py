"""Verbs that choose and take entries of a delta."""

from pathlib import Path
from typing import Annotated

import typer

from deftx.cli.options import Out, parsed
from deftx.core import gpus
from deftx.core.errors import ConfigError

Delta = Annotated[Path, typer.Argument(help="The delta of a full fine-tuning, or accumulated gradients.")]
Count = Annotated[str, typer.Option(help="Elements to choose: a number, or with a decimal point a share.")]
Report = Annotated[Path, typer.Option(help="JSON with elements chosen per parameter, and spectra and ranks.")]


def mask(
    delta: Delta,
    k: Count,
    out: Out,
    report: Report,
    selection: Annotated[str, typer.Option(help="How it is denoised, as JSON or the name of a YAML file.")] = "{}",
    select: Annotated[str, typer.Option(help="What elements are chosen by: the name of a score.")] = "full-fine-tuning",
) -> None:
    """Choose the elements sparse fine-tuning may move."""
    from importlib import import_module

    from deftx.config.masks import Denoising
    from deftx.masks.registry import MASK_SCORES

    if select not in MASK_SCORES:
        raise ConfigError(f"--select {select}: there is no such importance score (known: {', '.join(MASK_SCORES)})")
    if not MASK_SCORES[select].drawn:
        gpus.take()
    import_module(MASK_SCORES[select].code).build(delta, parsed(Denoising, selection), _budget(k), out, report)


def random_mask(delta: Delta, k: Count, out: Out, report: Report) -> None:
    """Draw a mask at random, as a control for what is chosen."""
    mask(delta, k, out, report, select="random")


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
