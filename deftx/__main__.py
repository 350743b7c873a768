"""The command line as a process: `deftx`, and `python -m deftx`, as torchrun starts it."""

import atexit
import gc

from deftx.cli.app import app
from deftx.core.runtime import collect_garbage_seldom


def run() -> None:
    """Run the command that `sys.argv` gives, and end the process."""
    collect_garbage_seldom()
    atexit.register(gc.freeze)  # what lives to the end of the process is not searched once more there
    app()


if __name__ == "__main__":
    run()
