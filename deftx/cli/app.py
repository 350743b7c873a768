"""The command line: one verb per stage. Each reads what it names and writes what it names.

Settings arrive as JSON (the workflow's way) or as the name of a YAML file. The verbs are in `deftx.cli`, by stage.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from deftx import __version__
from deftx.cli import data, experiment, masks, models, reports, training
from deftx.core.errors import DeftxError

VERBS: tuple[Callable[..., None], ...] = (
    *(data.fetch, data.corpus, data.dataset, data.base),
    training.train,
    *(masks.mask, masks.random_mask, masks.prune),
    *(models.compose, models.export, models.convert, models.evaluate),
    *(reports.overlap, reports.tables, reports.costs, reports.figures, reports.sweeps, reports.report),
    *(experiment.plan, experiment.status, experiment.clean_deltas, experiment.schema),
)
"""In the order of the help."""
app = typer.Typer(
    name="deftx",
    help="Denoised sparse fine-tuning for zero-shot cross-lingual transfer (DeFT-X, LT-SFT).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
P = ParamSpec("P")


def reporting(function: Callable[P, None]) -> Callable[P, None]:
    """Return a verb that ends with one message and an exit status of its kind (1) after a user's mistake."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except DeftxError as error:
            _say(f"error: {error}")
            raise typer.Exit(error.status) from None
        except OSError as error:
            _say(f"error: {error.filename or 'input/output'}: {error.strerror or error}")
            raise typer.Exit(1) from None

    return run


def _say(message: str) -> None:
    """Print to standard error; where that is a file on a full disk, such as a job's log, to standard output."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # for what may still be in the buffer
        print(message, flush=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


class Messages(logging.Handler):
    """Print messages, bare and each flushed, to what is standard error when they come."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def configure_messages(level: int) -> None:
    """Print messages of the package from `level` on to standard error; other libraries keep their own ways."""
    logger = logging.getLogger("deftx")
    logger.setLevel(level)
    if not any(isinstance(handler, Messages) for handler in logger.handlers):
        logger.addHandler(Messages())


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
