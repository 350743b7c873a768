"""`deftx` whose training steps take half a second while there is a file `slow`, so that things can happen meanwhile."""

import sys
import time
from pathlib import Path

from deftx.cli.app import app

SECONDS = 0.5

if "train" in sys.argv:
    from deftx.training import loop

    advance = loop._Run.advance

    def slowly(run: loop._Run) -> float:
        """A step, after a pause."""
        if Path("slow").exists():
            time.sleep(SECONDS)
        print(f"begins step {run.step}", file=sys.stderr, flush=True)
        return advance(run)

    loop._Run.advance = slowly  # type: ignore[method-assign]

app()
