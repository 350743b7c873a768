"""What all benchmarks share: rows of a table, paired timings, and the peak memory of whole processes."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table. `limit` bounds `ours` (or `ratio`, if it begins with "ratio"), and says how."""

    row: str
    unit: str
    ours: float
    reference: float | None = None
    limit: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the reference."""
        return None if self.reference is None else self.ours / self.reference

    @property
    def met(self) -> bool | None:
        """Whether the limit holds; None where there is none."""
        if not self.limit:
            return None
        measured = self.ratio if self.limit.startswith("ratio") else self.ours
        relation, bound = self.limit.removeprefix("ratio ").split()
        assert measured is not None and relation in ("<=", ">=")
        return measured <= float(bound) if relation == "<=" else measured >= float(bound)


def emit(rows: list[Row]) -> None:
    """Print rows as JSON, the last thing a benchmark does."""
    print(json.dumps([asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows]))


def seconds(work: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def paired(ours: Callable[[], Any], reference: Callable[[], Any], repeats: int = 5) -> tuple[float, float]:
    """Median seconds of two pieces of work, run in turn after one warm-up each."""
    ours(), reference()
    times = [(seconds(ours), seconds(reference)) for _ in range(repeats)]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB (2**20 bytes).

    Not from getrusage: that keeps what the process was before it became this program, a copy of its parent.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def child(module: str, *arguments: str) -> Any:
    """Run `python -m module arguments` as a process of its own; returns the JSON it prints last."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def say(text: str) -> None:
    """Progress for a person."""
    print(text, file=sys.stderr, flush=True)
