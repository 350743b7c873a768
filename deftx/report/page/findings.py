"""Findings: the sentences that state what each table and figure of the report shows.

Captions (captions/*.rst) ask a question and describe how it was measured; the finding between the two is written here,
for the page and for Snakemake's own report.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deftx.core.integrity import read_json
from deftx.report.page import score_findings, vector_findings
from deftx.report.tables.storage import Row, read_rows


class Results(NamedTuple):
    """Tables and reports of an experiment, as read from disk."""

    tables: Mapping[str, Sequence[Row]]
    """Rows by the name of their file without its ending; empty where the table does not exist."""
    overlaps: Mapping[str, Sequence[Row]]
    """Overlaps of vectors by selection."""
    reports: Mapping[str, Any]
    """Reports of masks by `selection/name`."""
    sweeps: Mapping[str, Any]
    """Sweeps of the configuration."""


WRITERS: Mapping[str, Callable[[Results], str]] = {
    "scores": lambda results: score_findings.describe_scores(results.tables["scores"]),
    "comparisons": lambda results: score_findings.describe_comparisons(results.tables["comparisons"]),
    "seeds": lambda results: score_findings.describe_seeds(results.tables["scores"]),
    "gains": lambda results: score_findings.describe_gains(results.tables["gains"]),
    "published": lambda results: score_findings.describe_published(results.tables["published"]),
    "sweeps": lambda results: score_findings.describe_sweeps(results.tables["scores"], results.sweeps),
    "spectra": lambda results: vector_findings.describe_spectra(results.reports),
    "density": lambda results: vector_findings.describe_density(results.reports),
    "overlap": lambda results: vector_findings.describe_overlap(results.overlaps),
    "costs": lambda results: score_findings.describe_costs(results.tables["costs"]),
    "training": lambda results: score_findings.describe_training(results.tables["training"]),
}
"""By section (sections.py). Run times have no table; runtimes.py describes them."""


def read(tables: Path, reports: Mapping[str, Path], sweeps: Mapping[str, Any]) -> Results:
    """Load tables, overlaps and reports of masks; missing tables are empty."""
    names = ("scores", "comparisons", "seeds", "gains", "published", "costs", "training")
    rows = {name: read_rows(tables / f"{name}.csv") for name in names}
    overlaps = {path.stem.removeprefix("overlap-"): read_rows(path) for path in sorted(tables.glob("overlap-*.csv"))}
    return Results(rows, overlaps, {name: read_json(path) for name, path in reports.items()}, sweeps)


def write_finding(section: str, results: Results) -> str:
    """Return the finding of a section, one sentence per line; empty where it has no table."""
    return WRITERS[section](results)
