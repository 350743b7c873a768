"""What the command line says: messages as they come, and one line for an error that a user can cause."""

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from deftx.core.errors import DeftxError

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
