"""Every benchmark of the engine, one table.

    make bench            XLM-R base shapes, about half an hour on two cores
    python -m benchmarks --scale pico --out /tmp/bench.json

Prints a Markdown table (ours, reference, ratio, limit) and writes the rows as JSON. docs/reference/performance.md
explains them.
"""

import argparse
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import child, say

STAGES = ("selection", "denoising", "sparse_phase", "full_phase", "throughput", "vectors", "exchange")


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    lines = ["| what | ours | reference | ratio | limit | met |", "|:--|--:|--:|--:|--:|:--|"]
    for row in rows:
        cells = [f"{row['row']} ({row['unit']})", *(_number(row[key]) for key in ("ours", "reference", "ratio"))]
        met = {True: "yes", False: "**no**", None: ""}[row["met"]]
        lines.append(f"| {' | '.join(cells)} | {row['limit']} | {met} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def machine() -> dict[str, Any]:
    """What the numbers hold for."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "processor": (names or [platform.processor()])[0],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", default=STAGES, help=f"of {', '.join(STAGES)}; all without it")
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    parser.add_argument("--out", type=Path, default=Path("results/bench.json"))
    options = parser.parse_args()
    rows = []
    for stage in options.stages:
        say(f"== {stage}")
        rows += child(f"benchmarks.{stage}", "--scale", options.scale)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine(), "scale": options.scale, "rows": rows}, indent=1) + "\n")
    print(table(rows))
    sys.exit(any(row["met"] is False for row in rows))


if __name__ == "__main__":
    main()
