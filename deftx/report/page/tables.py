"""Tables of the report's page: rows of the stored tables as cells to be shown and sorted."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deftx.evaluation.comparisons import LEVEL, signed
from deftx.evaluation.names import MEAN, METRIC_NAMES
from deftx.report.page.runtimes import Stage, duration
from deftx.report.tables.storage import Row

EN_DASH = "\N{EN DASH}"
SIGNATURE = "signature"
MEASURES = METRIC_NAMES | {"masked_lm_loss": "masked-LM loss"}


class Cell(NamedTuple):
    """One cell."""

    text: str
    value: float | None = None
    """What a number is sorted by."""
    detail: str = ""
    """Below the text, smaller: an interval; of a heading a unit, or a language's code."""
    best: bool = False
    """Highest of its column."""
    share: float | None = None
    """Drawn as a bar: a share of the column's sum."""


class Table(NamedTuple):
    """Cells under headings; the first column says what a row is about."""

    title: str
    columns: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]


def scores(rows: Sequence[Row], sources: Mapping[str, str]) -> list[Table]:
    """A table for each task: methods in rows, in columns the mean of the targets, then languages.

    `sources` has the source language of each task.
    """
    tables = []
    for task in _tasks(rows):
        some = [row for row in rows if row["task"] == task]
        named = {row["language"]: row["name"] for row in some}
        languages = sorted(named, key=lambda lang: lang != MEAN)  # a reader looks for the mean first
        best = {lang: max(float(r["score"]) for r in some if r["language"] == lang) for lang in languages}
        titles = {row["method"]: row["title"] for row in some}
        cells = {(row["method"], row["language"]): _score(row, best[row["language"]]) for row in some}
        lines = [[Cell(title), *(cells[method, lang] for lang in languages)] for method, title in titles.items()]
        columns = [_language(lang, named[lang], sources.get(task)) for lang in languages]
        tables.append(Table(task, [Cell("method"), *columns], lines))
    return tables


def _language(code: str, name: str, source: str | None) -> Cell:
    """A heading: the name, and the code that figures show."""
    if code == MEAN:
        return Cell("mean", detail="of targets")
    said = [code] if code != name else []
    return Cell(name, detail=", ".join([*said, *(["source"] if code == source else [])]))


def _score(row: Row, best: float) -> Cell:
    """A score; a star says that it differs from the reference's, a dagger that there is no language vector."""
    star = ("*" if _number(row["p_holm"]) < LEVEL else "") + ("\N{DAGGER}" if row["note"] else "")
    score, spread = float(row["score"]), f" ± {float(row['sd']):.1f}" if row["sd"] else ""
    return Cell(f"{score:.1f}{star}{spread}", score, _limits(row), round(score, 1) == round(best, 1))


def comparisons(rows: Sequence[Row], scored: Sequence[Row]) -> list[Table]:
    """One table: each pair of methods on the mean of the targets. Titles are those of the scores."""
    titles = {row["method"]: row["title"] for row in scored}
    several = len(_tasks(rows)) > 1
    lines = [
        [
            Cell(f"{row['title']} against {titles[row['other']]}", detail=row["task"] if several else ""),
            _signed(float(row["difference"]), f"{_minus(row['low'])} to {_minus(row['high'])}"),
            Cell(_p(float(row["p_holm"])), float(row["p_holm"])),
        ]
        for row in rows
        if row["language"] == MEAN
    ]
    return [Table("Differences", _headings("methods", "difference|mean of targets", "p"), lines)] if lines else []


def seeds(rows: Sequence[Row]) -> list[Table]:
    """A table for each task: methods in rows, the mean of the targets by seed in columns. None of a single seed."""
    tables = []
    for task in _tasks(rows):
        some = [row for row in rows if row["task"] == task and row["language"] == MEAN]
        named = list(dict.fromkeys(row["seed"] for row in some))
        lines: dict[str, list[Cell]] = {}
        for row in some:
            cell = Cell(f"{float(row['score']):.1f}", float(row["score"]), _limits(row))
            lines.setdefault(row["title"], [Cell(row["title"])]).append(cell)
        if len(named) > 1:
            tables.append(Table(task, _headings("method", *(f"seed {seed}" for seed in named)), list(lines.values())))
    return tables


def published(rows: Sequence[Row]) -> list[Table]:
    """One table: our scores and the published ones."""
    lines = [
        [
            Cell(f"{row['title']}, {row['name']}", detail=row["task"]),
            Cell(f"{float(row['score']):.1f}", float(row["score"]), _limits(row)),
            Cell(f"{float(row['published']):.1f}", float(row["published"]), row["system"]),
            _signed(float(row["difference"]), "outside our interval" if row["outside"] == "True" else ""),
        ]
        for row in rows
    ]
    return [Table("Published scores", _headings("method", "ours", "published", "difference"), lines)] if lines else []


def costs(rows: Sequence[Row]) -> list[Table]:
    """A table for each task: means over the targets."""
    columns = _headings("method", "score|mean", "parameters", "stored|MB", "main memory|MB", "time", "processor time")
    tables = []
    for task in _tasks(rows):
        lines = []
        for row in rows:
            if row["task"] == task and row["language"] == MEAN:
                stored = _plain(_number(row["bytes"]) / 1e6, 1)
                memory = _plain(_number(row["peak_mb"]))
                times = [_time(_number(row[name])) for name in ("seconds", "cpu_seconds")]
                score = Cell(f"{float(row['score']):.1f}", float(row["score"]))
                lines.append([Cell(row["title"]), score, _plain(_number(row["parameters"])), stored, memory, *times])
        tables.append(Table(task, columns, lines))
    return tables


def training(rows: Sequence[Row]) -> list[Table]:
    """One table: every training."""
    lines = [
        [
            Cell(row["vector"]),
            *(_plain(_number(row[name])) for name in ("trained_parameters", "steps", "kept_step", "tokens")),
            *(_plain(_number(row[name]), 3) for name in ("before", "after")),
            Cell(MEASURES.get(row["measure"], row["measure"])),
        ]
        for row in rows
    ]
    columns = _headings("vector", "parameters|trained", "steps", "kept step", "tokens", "before", "after", "measure")
    return [Table("Trainings", columns, lines)] if lines else []


def stages(found: Sequence[Stage]) -> list[Table]:
    """One table: what the jobs of each stage took, the share of all time as a bar."""
    total = sum(stage.seconds for stage in found) or 1.0
    lines = [
        [
            Cell(stage.title),
            _plain(stage.jobs),
            _time(stage.seconds, stage.seconds / total),
            *map(_time, (stage.usual, stage.longest, stage.cpu_seconds)),
            _plain(stage.peak_mb),
        ]
        for stage in found
    ]
    times = ("time|all jobs", "time|median job", "time|longest job", "processor time|all jobs")
    columns = _headings("stage", "jobs", *times, "main memory|MB, largest job")
    return [Table("Run times and memory", columns, lines)] if lines else []


def signatures(rows: Sequence[Row]) -> list[Table]:
    """One table: the signature of each score."""
    several = len(_tasks(rows)) > 1
    lines = [
        [Cell(row["title"]), Cell(row["name"], detail=row["task"] if several else ""), Cell(row[SIGNATURE])]
        for row in rows
        if row.get(SIGNATURE)
    ]
    return [Table("Signatures", _headings("method", "language", SIGNATURE), lines)] if lines else []


def _headings(*texts: str) -> list[Cell]:
    """Headings; what stands after a bar is the detail."""
    parts = (text.partition("|") for text in texts)
    return [Cell(text, detail=detail) for text, _, detail in parts]


def _tasks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["task"] for row in rows))


def _number(text: str) -> float:
    return float(text) if text else float("nan")


def _plain(value: float, digits: int = 0) -> Cell:
    """A number, or an empty cell where it is not known."""
    return Cell("") if math.isnan(value) else Cell(f"{value:,.{digits}f}", value)


def _limits(row: Row) -> str:
    return f"{float(row['low']):.1f}{EN_DASH}{float(row['high']):.1f}"


def _signed(value: float, detail: str) -> Cell:
    return Cell(signed(value, "+"), value, detail)


def _minus(text: str) -> str:
    return signed(float(text))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _time(seconds: float, share: float | None = None) -> Cell:
    return Cell("") if math.isnan(seconds) else Cell(duration(seconds), seconds, share=share)
