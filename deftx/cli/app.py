"""The command line: one verb per stage. Each reads what it names and writes what it names.

Settings arrive as JSON (the workflow's way) or as the name of a YAML file. The verbs are in `deftx.cli`, by stage.
"""

import logging
from collections.abc import Callable
from typing import Annotated

import typer

from deftx import __version__
from deftx.cli import data, experiment, masks, models, reports, training
from deftx.cli.messages import configure_messages, reporting

VERBS: tuple[Callable[..., None], ...] = (
    *(data.fetch, data.corpus, data.dataset, data.view, data.base),
    training.train,
    *(masks.mask, masks.random_mask, masks.prune),
    *(models.compose, models.export, models.convert),
    *(models.predict, models.score, models.evaluate),
    *(reports.overlap, reports.tables, reports.costs, reports.figures, reports.sweeps, reports.report),
    *(experiment.plan, experiment.status, experiment.adopt, experiment.clean_deltas, experiment.schema),
)
"""In the order of the help."""
app = typer.Typer(
    name="deftx",
    help="Denoised sparse fine-tuning for zero-shot cross-lingual transfer (DeFT-X, LT-SFT).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print warnings and errors, and no progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print details as well.")] = False,
) -> None:
    """Denoised sparse fine-tuning for zero-shot cross-lingual transfer (DeFT-X, LT-SFT)."""
    configure_messages(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)


for verb in VERBS:
    app.command(name=verb.__name__.replace("_", "-"))(reporting(verb))

if __name__ == "__main__":
    app()
