"""Answers: what each table and figure of the report says.

Captions (captions/*.rst) ask a question and say how it was measured; the answer between the two is made here, for the
page and for Snakemake's own report.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deftx.core.integrity import read_json
from deftx.report.page import score_findings, vector_findings
from deftx.report.tables.storage import Row, read_rows


class Found(NamedTuple):
    """What an experiment has left, read."""

    tables: Mapping[str, Sequence[Row]]
    """Lines by the name of their file without ending; none where there is no such table."""
    overlaps: Mapping[str, Sequence[Row]]
    """Overlaps of vectors by selection."""
    reports: Mapping[str, Any]
    """Reports of masks by `selection/name`."""
    sweeps: Mapping[str, Any]
    """The configuration's sweeps."""


ANSWERS: Mapping[str, Callable[[Found], str]] = {
    "scores": lambda found: score_findings.scores(found.tables["scores"]),
    "comparisons": lambda found: score_findings.comparisons(found.tables["comparisons"]),
    "seeds": lambda found: score_findings.seeds(found.tables["scores"]),
    "gains": lambda found: score_findings.gains(found.tables["gains"]),
    "published": lambda found: score_findings.published(found.tables["published"]),
    "sweeps": lambda found: score_findings.sweeps(found.tables["scores"], found.sweeps),
    "spectra": lambda found: vector_findings.spectra(found.reports),
    "density": lambda found: vector_findings.density(found.reports),
    "overlap": lambda found: vector_findings.overlap(found.overlaps),
    "costs": lambda found: score_findings.costs(found.tables["costs"]),
    "training": lambda found: score_findings.training(found.tables["training"]),
}
"""By subject (subjects.py); run times are no table's, and stages.py says what they say."""


def read(tables: Path, reports: Mapping[str, Path], sweeps: Mapping[str, Any]) -> Found:
    """Tables, overlaps and reports of masks; what is not there is empty."""
    names = ("scores", "comparisons", "seeds", "gains", "published", "costs", "training")
    found = {name: read_rows(tables / f"{name}.csv") for name in names}
    overlaps = {path.stem.removeprefix("overlap-"): read_rows(path) for path in sorted(tables.glob("overlap-*.csv"))}
    return Found(found, overlaps, {name: read_json(path) for name, path in reports.items()}, sweeps)


def answer(subject: str, found: Found) -> str:
    """What a subject says, a sentence a line; nothing where it has no table."""
    return ANSWERS[subject](found)
