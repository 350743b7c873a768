"""Snakemake's benchmark files: how long a job took, and how much memory.

A file holds a line of JSON for each time its job ran; what could not be measured, as of a job that ends before
Snakemake has looked at it, is "NA".
"""

import json
from pathlib import Path


def last_run(path: Path) -> dict[str, float] | None:
    """Return what Snakemake measured of a job's last run; None where there is no file, or no run in it.

    By name, for instance `s` and `cpu_time` in seconds, `max_rss` in MB. What was not measured has no entry.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    if not lines:
        return None
    return {name: float(value) for name, value in json.loads(lines[-1]).items() if isinstance(value, int | float)}
