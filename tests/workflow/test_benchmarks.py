"""Benchmark files as Snakemake writes them."""

import json
from pathlib import Path

from deftx.workflow.benchmarks import last_run


def test_the_last_run_counts_and_what_was_measured_of_it(tmp_path: Path) -> None:
    path = tmp_path / "seed0.jsonl"
    assert last_run(path) is None
    path.write_text("")
    assert last_run(path) is None
    runs = [
        {"s": 1.5, "h:m:s": "0:00:01", "max_rss": 90, "cpu_time": 2.25},
        {"s": 0.5, "h:m:s": "0:00:00", "max_rss": "NA", "cpu_time": "NA"},
    ]
    path.write_text(f"{json.dumps(runs[0])}\n")
    assert last_run(path) == {"s": 1.5, "max_rss": 90.0, "cpu_time": 2.25}
    path.write_text("".join(f"{json.dumps(run)}\n" for run in runs))
    assert last_run(path) == {"s": 0.5}
