"""Run times: time and memory of the jobs of each stage, from Snakemake's benchmark files.

Times and memory depend on the machine and its other work. They are reported, and no result depends on them.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from deftx.workflow import benchmarks
from deftx.workflow.artifacts import STAGES

TITLES = {stage: title for stage, title in STAGES.items() if stage != "report"}
"""Stages by the folder of their benchmarks, in the order they run. The report is left out: its own time would change
it."""


class Stage(NamedTuple):
    """Time and memory of the jobs of a stage."""

    title: str
    jobs: int
    seconds: float
    """Sum over all jobs."""
    median: float
    """The median job, in seconds."""
    longest: float
    cpu_seconds: float
    peak_mb: float
    """Main memory of the largest job; NaN where Snakemake could not measure any."""


def read(folders: Iterable[Path]) -> dict[str, list[dict[str, float]]]:
    """Load the measurements by stage: the last one of each benchmark file below the folders, each file once."""
    files = sorted({file.resolve(): (folder, file) for folder in folders for file in folder.rglob("*.jsonl")}.values())
    measurements: dict[str, list[dict[str, float]]] = {}
    for folder, file in files:
        stage, *rest = file.relative_to(folder).with_suffix("").parts
        kind = f" ({rest[0]})" if rest and rest[0] in ("language", "task") else ""
        measurement = benchmarks.last_run(file) if stage in TITLES else None
        if measurement is not None:
            measurements.setdefault(f"{TITLES[stage]}{kind}", []).append(measurement)
    order = list(TITLES.values())
    return dict(sorted(measurements.items(), key=lambda item: (order.index(item[0].partition(" (")[0]), item[0])))


def summarise(measurements: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Stage]:
    """Return one row per stage; values that Snakemake could not measure (NA) do not count."""
    stages = []
    for title, jobs in measurements.items():
        seconds, processor, peak = ([job[name] for job in jobs if name in job] for name in ("s", "cpu_time", "max_rss"))
        unknown = float("nan")
        stages.append(
            Stage(
                title,
                len(jobs),
                sum(seconds),
                median(seconds) if seconds else unknown,
                max(seconds, default=unknown),
                sum(processor),
                max(peak, default=unknown),
            )
        )
    return stages


def write_finding(stages: Sequence[Stage]) -> str:
    """Return the total time, the longest stage, and the largest job, one sentence per line."""
    if not stages:
        return "No benchmark file was found."
    total = sum(stage.seconds for stage in stages)
    longest = max(stages, key=lambda stage: stage.seconds)
    share = longest.seconds / (total or 1.0)
    times = (
        f"All jobs took {format_duration(total)} in total; the longest stage is {longest.title}, {100 * share:.0f} %."
    )
    measured = [stage for stage in stages if stage.peak_mb == stage.peak_mb]
    largest = max(measured, key=lambda stage: stage.peak_mb, default=None)
    return times + (f"\nThe largest job used {largest.peak_mb:,.0f} MB: {largest.title}." if largest else "")


def format_duration(seconds: float) -> str:
    """Return seconds as 41.0 s, 3 min 05 s or 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"
