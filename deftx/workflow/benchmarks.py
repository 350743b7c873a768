"""Snakemake's benchmark files: time and memory of jobs.

A file has a line of JSON for each run of its job. Values that could not be measured, as for a job that ends before
Snakemake measures it, are "NA".
"""

import json
from pathlib import Path


def last_run(path: Path) -> dict[str, float] | None:
    """Return Snakemake's measurements of a job's last run, or None if there is no file or no run in it.

    They are by name, such as `s` and `cpu_time` in seconds, `max_rss` in MB. Missing values have no entry.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    if not lines:
        return None
    return {name: float(value) for name, value in json.loads(lines[-1]).items() if isinstance(value, int | float)}
