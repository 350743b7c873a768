"""The command line as a process: `deftx`, and `python -m deftx`, as torchrun starts it."""

import atexit
import gc

from deftx.cli.app import app

THRESHOLDS = (50_000, 20, 50)
"""After how many new objects, and how many younger collections, each generation is searched for garbage.

The libraries' modules are very many objects that live to the end. With Python's own numbers, looking through them again
and again takes half of the time in which a model of two layers is loaded (docs/reference/performance.md)."""


def run() -> None:
    """Run the command that `sys.argv` gives, and end the process."""
    gc.set_threshold(*THRESHOLDS)
    atexit.register(gc.freeze)  # what lives to the end of the process is not searched once more there
    app()


if __name__ == "__main__":
    run()
