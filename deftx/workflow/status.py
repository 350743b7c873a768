"""Status of an experiment: results of each stage, and trainings with their progress.

It is read from files alone (results, benchmark files, progress files), so it is the same on a cluster's login node.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deftx.experiment.config import Experiment
from deftx.modules.registry import MODULE_TYPES
from deftx.training import progress
from deftx.training.progress import Snapshot, about, title_of
from deftx.workflow.artifacts import (
    BENCHMARKS,
    LOGS,
    STAGES,
    Artifact,
    Base,
    Composed,
    Corpus,
    Dataset,
    Figure,
    Mask,
    Overlap,
    Page,
    Predictions,
    RawFile,
    Role,
    Scores,
    Table,
    mask_pattern,
    module_pattern,
    pattern,
)

SILENT_SECONDS = 120.0
"""A training that has not written for longer may be gone."""
WIDTH = 20
"""Characters of a bar."""


def _results() -> dict[str, tuple[str, str]]:
    """Return the title of each stage, and a pattern of the results of its jobs."""
    kinds = {kind.stage: [pattern(kind)] for kind in (RawFile, Corpus, Dataset, Base, Composed, Predictions, Scores)}
    roles: tuple[Role, ...] = ("language", "task")
    found: dict[str, list[Artifact]] = {stage: list(made) for stage, made in kinds.items()}
    found |= {f"{Mask.stage}/{role}": [mask_pattern(role)] for role in roles}
    for entry in MODULE_TYPES.values():
        found |= {f"{entry.stage}/{role}": [module_pattern(entry.name, role)] for role in roles}
    found |= {"overlap": [pattern(Overlap)], "tables": [Table("scores")], "costs": [Table("costs")]}
    found |= {"figures": [Figure("scores")], "sweeps": [Figure("sweeps")], "report": [Page()]}
    order = list(STAGES)
    ordered = sorted(found.items(), key=lambda item: order.index(item[0].partition("/")[0]))
    return {
        folder: (STAGES[folder.partition("/")[0]], re.sub(r"\{\w+\}", "*", made.path)) for folder, (made,) in ordered
    }


RESULTS = _results()
"""Stages in the order they run, by the folder of their logs and benchmarks: title, and one result of each job."""
OF_REPORT = ("overlap", "tables", "costs", "figures", "sweeps", "report")
"""Stages whose files lie in the report's folder; others may be shared with another experiment."""


@dataclass(frozen=True)
class Stage:
    """Progress of a stage."""

    folder: str
    """Folder of its logs and benchmarks."""
    title: str
    results: int
    """Jobs with a result."""
    running: int
    stopped: int
    """Trainings that were stopped or have failed."""
    seconds: float
    """Total time of the jobs that Snakemake has measured."""
    tokens_per_second: float | None
    """Mean of the trainings that are running or finished."""


@dataclass(frozen=True)
class Status:
    """An experiment's stages that have begun, and its trainings in the order of the stages."""

    name: str
    folder: str
    stages: list[Stage]
    trainings: list[Snapshot]


def status(experiment: Experiment) -> Status:
    """Read the status of an experiment from its files."""
    root, report = Path(experiment.folder), Path(experiment.report_folder)
    order = list(RESULTS)
    trainings = sorted(_trainings(root), key=lambda training: (order.index(stage_of(training.job)), training.job))
    stages = (_stage(folder, report if folder in OF_REPORT else root, trainings) for folder in RESULTS)
    begun = [stage for stage in stages if stage.results or stage.running or stage.stopped]
    return Status(experiment.name, str(root), begun, trainings)


def stage_of(job: str) -> str:
    """Return the stage of a job, by the folder of its logs; an empty name where there is no such stage."""
    parts = job.split("/")
    return next((folder for folder in ("/".join(parts[:2]), parts[0]) if folder in RESULTS), "")


def _trainings(root: Path) -> Iterator[Snapshot]:
    for path in (root / LOGS).rglob(f"*{progress.ENDING}"):
        snapshot = progress.read(path)
        if snapshot is not None and stage_of(snapshot.job):
            yield snapshot


def _stage(folder: str, root: Path, trainings: list[Snapshot]) -> Stage:
    title, pattern = RESULTS[folder]
    kind = folder.partition("/")[2]
    own = [training for training in trainings if stage_of(training.job) == folder]
    timed = [training for training in own if training.state in ("running", "finished")]
    speeds = [training.tokens_per_second for training in timed if training.tokens_per_second]
    return Stage(
        folder,
        f"{title} ({kind})" if kind else title,
        sum(1 for _ in root.glob(pattern)),
        sum(training.state == "running" for training in own),
        sum(training.state in ("stopped", "failed") for training in own),
        sum(_seconds(path) for path in _benchmarks(root / BENCHMARKS / folder)),
        sum(speeds) / len(speeds) if speeds else None,
    )


def _benchmarks(folder: Path) -> list[Path]:
    """Return the benchmark files of a stage: below its folder or, of a stage with one job, in its place."""
    return [*folder.rglob("*.jsonl"), *filter(Path.is_file, [folder.with_suffix(".jsonl")])]


def _seconds(path: Path) -> float:
    """Return the time of a job's last run; 0 where Snakemake could not measure it."""
    try:
        seconds = json.loads(path.read_text().splitlines()[-1]).get("s")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def silence(training: Snapshot, now: float) -> float:
    """Return for how many seconds a training has not written; clocks of machines may differ."""
    return max(0.0, now - training.time)


def as_content(current: Status, now: float | None = None) -> dict[str, Any]:
    """Return a status as plain content for JSON; with each training, the seconds since it has written."""
    moment = time.time() if now is None else now
    trainings = [asdict(t) | {"seconds_since_written": round(silence(t, moment), 1)} for t in current.trainings]
    return asdict(current) | {"trainings": trainings}


def render(current: Status, now: float | None = None, finished: bool = False) -> str:
    """Return a status as text for a terminal.

    Args:
        finished: whether finished trainings are listed one by one as well.
    """
    moment = time.time() if now is None else now
    if not current.stages:
        return f"{current.name}: nothing has run yet ({current.folder} holds no results)"
    lines = [f"{current.name}: {current.folder}", "", *_table(current.stages)]
    headings = {"running": "Running", "stopped": "Stopped; rerun to resume", "failed": "Failed; see the log"}
    for state, heading in (headings | ({"finished": "Finished"} if finished else {})).items():
        members = [training for training in current.trainings if training.state == state]
        if members:
            lines += ["", heading, *(f"  {_line(training, moment)}" for training in members)]
    if not any(training.state == "running" for training in current.trainings):
        lines += ["", "No training is running."]
    return "\n".join(lines)


def _table(stages: list[Stage]) -> Iterator[str]:
    titles = ("stage", "results", "running", "stopped", "time", "tokens/s")
    rows = [
        (
            stage.title,
            f"{stage.results:,}",
            f"{stage.running or ''}",
            f"{stage.stopped or ''}",
            about(stage.seconds) if stage.seconds else "",
            f"{stage.tokens_per_second:,.0f}" if stage.tokens_per_second else "",
        )
        for stage in stages
    ]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for first, *rest in (titles, *rows):
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def _line(training: Snapshot, now: float) -> str:
    parts = [f"{title_of(training.job)}: step {training.step:,}/{training.steps:,}"]
    if training.loss is not None:
        parts.append(f"loss {training.loss:.3g}")
    parts.append(_measures(training.evaluation))
    if training.tokens_per_second:
        parts.append(f"{training.tokens_per_second:,.0f} tokens/s")
    if training.state != "running":
        return ", ".join([*filter(None, parts), f"{about(silence(training, now))} ago"])
    if training.seconds_left is not None:
        parts.append(f"{about(training.seconds_left)} left")
    since = silence(training, now)
    parts.append(f"silent for {about(since)}" if since > SILENT_SECONDS else f"written {about(since)} ago")
    share = training.step / training.steps if training.steps else 0.0
    bar = "#" * int(WIDTH * share)
    return f"[{bar:.<{WIDTH}}] {100 * share:3.0f} %  " + ", ".join(filter(None, parts))


def _measures(evaluation: Mapping[str, float | None]) -> str:
    """Return the measures of the last evaluation, with its step; nothing where there was none."""
    step = evaluation.get("step")
    values = [f"{name} {value:.3g}" for name, value in evaluation.items() if name != "step" and value is not None]
    return f"{' and '.join(values)} on the validation set at step {step:.0f}" if values and step is not None else ""
