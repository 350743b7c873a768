"""Stages: how long the jobs of each took and how much memory, from Snakemake's benchmark files.

Times and memory depend on the machine and on what else ran on it; they are shown, and decide nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from deftx.workflow import benchmarks
from deftx.workflow.artifacts import STAGES

TITLES = {stage: title for stage, title in STAGES.items() if stage != "report"}
"""Stages by the folder of their benchmarks, in the order they run. The report itself is none: it would change what it
shows."""


class Stage(NamedTuple):
    """What the jobs of a stage took."""

    title: str
    jobs: int
    seconds: float
    """All of them, one after the other."""
    usual: float
    """The median job, in seconds."""
    longest: float
    cpu_seconds: float
    peak_mb: float
    """Main memory of the largest job; NaN where Snakemake could not measure any."""


def read(folders: Iterable[Path]) -> dict[str, list[dict[str, float]]]:
    """Measurements by stage: the last one of each benchmark file below the folders, each file once."""
    files = sorted({file.resolve(): (folder, file) for folder in folders for file in folder.rglob("*.jsonl")}.values())
    found: dict[str, list[dict[str, float]]] = {}
    for folder, file in files:
        stage, *rest = file.relative_to(folder).with_suffix("").parts
        kind = f" ({rest[0]})" if rest and rest[0] in ("language", "task") else ""
        measured = benchmarks.last_run(file) if stage in TITLES else None
        if measured is not None:
            found.setdefault(f"{TITLES[stage]}{kind}", []).append(measured)
    order = list(TITLES.values())
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0].partition(" (")[0]), item[0])))


def summarise(measured: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Stage]:
    """One row for each stage; what was not measured of a job (Snakemake's NA) does not count."""
    stages = []
    for title, jobs in measured.items():
        seconds, processor, peak = ([job[name] for job in jobs if name in job] for name in ("s", "cpu_time", "max_rss"))
        nothing = float("nan")
        stages.append(
            Stage(
                title,
                len(jobs),
                sum(seconds),
                median(seconds) if seconds else nothing,
                max(seconds, default=nothing),
                sum(processor),
                max(peak, default=nothing),
            )
        )
    return stages


def answer(stages: Sequence[Stage]) -> str:
    """All time, the longest stage, and the largest job."""
    if not stages:
        return "No benchmark file was found."
    total = sum(stage.seconds for stage in stages)
    longest = max(stages, key=lambda stage: stage.seconds)
    share = longest.seconds / (total or 1.0)
    said = f"All jobs together took {duration(total)}; the longest stage is {longest.title}, {100 * share:.0f} %."
    known = [stage for stage in stages if stage.peak_mb == stage.peak_mb]
    largest = max(known, key=lambda stage: stage.peak_mb, default=None)
    return said + (f"\nThe largest job held {largest.peak_mb:,.0f} MB: {largest.title}." if largest else "")


def duration(seconds: float) -> str:
    """Seconds as 41.0 s, 3 min 05 s or 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"
