"""Tables of the report's page: rows of the stored tables as cells to display and sort."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deftx.evaluation.comparisons import LEVEL, signed
from deftx.evaluation.names import MEAN, METRIC_NAMES
from deftx.report.page.runtimes import Stage, format_duration
from deftx.report.tables.storage import Row

EN_DASH = "\N{EN DASH}"
SIGNATURE = "signature"
MEASURES = METRIC_NAMES | {"masked_lm_loss": "masked-LM loss"}


class Cell(NamedTuple):
    """Cell of a table."""

    text: str
    value: float | None = None
    """Number to sort by."""
    detail: str = ""
    """Below the text, in small print: an interval; in a heading a unit, or a language's code."""
    best: bool = False
    """Whether it is the highest of its column."""
    share: float | None = None
    """Share of the column's sum, drawn as a bar."""


class Table(NamedTuple):
    """Cells under headings; the first column names the row."""

    title: str
    columns: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]


def tabulate_scores(rows: Sequence[Row], sources: Mapping[str, str]) -> list[Table]:
    """Return a table per task: methods in rows, in columns the mean of the targets, then languages.

    `sources` holds the source language of each task.
    """
    tables = []
    for task in _tasks(rows):
        of_task = [row for row in rows if row["task"] == task]
        names = {row["language"]: row["name"] for row in of_task}
        languages = sorted(names, key=lambda lang: lang != MEAN)  # a reader looks for the mean first
        best = {lang: max(float(r["score"]) for r in of_task if r["language"] == lang) for lang in languages}
        titles = {row["method"]: row["title"] for row in of_task}
        cells = {(row["method"], row["language"]): _score_cell(row, best[row["language"]]) for row in of_task}
        lines = [[Cell(title), *(cells[method, lang] for lang in languages)] for method, title in titles.items()]
        columns = [_language_heading(lang, names[lang], sources.get(task)) for lang in languages]
        tables.append(Table(task, [Cell("method"), *columns], lines))
    return tables


def _language_heading(code: str, name: str, source: str | None) -> Cell:
    """Return a heading: the name, and the code that figures use."""
    if code == MEAN:
        return Cell("mean", detail="of targets")
    details = [*([code] if code != name else []), *(["source"] if code == source else [])]
    return Cell(name, detail=", ".join(details))


def _score_cell(row: Row, best: float) -> Cell:
    """Return a score; a star marks a difference from the reference, a dagger a missing language vector."""
    star = ("*" if _parse_number(row["p_holm"]) < LEVEL else "") + ("\N{DAGGER}" if row["note"] else "")
    score, spread = float(row["score"]), f" ± {float(row['sd']):.1f}" if row["sd"] else ""
    return Cell(f"{score:.1f}{star}{spread}", score, _format_limits(row), round(score, 1) == round(best, 1))


def tabulate_comparisons(rows: Sequence[Row], scores: Sequence[Row]) -> list[Table]:
    """Return one table: each pair of methods on the mean of the targets. Titles are those of the scores."""
    titles = {row["method"]: row["title"] for row in scores}
    several = len(_tasks(rows)) > 1
    lines = [
        [
            Cell(f"{row['title']} against {titles[row['other']]}", detail=row["task"] if several else ""),
            _signed_cell(float(row["difference"]), f"{_format_signed(row['low'])} to {_format_signed(row['high'])}"),
            Cell(_format_p(float(row["p_holm"])), float(row["p_holm"])),
        ]
        for row in rows
        if row["language"] == MEAN
    ]
    return [Table("Differences", _headings("methods", "difference|mean of targets", "p"), lines)] if lines else []


def tabulate_seeds(rows: Sequence[Row]) -> list[Table]:
    """Return a table per task with several seeds: methods in rows, the mean of the targets by seed in columns."""
    tables = []
    for task in _tasks(rows):
        means = [row for row in rows if row["task"] == task and row["language"] == MEAN]
        names = list(dict.fromkeys(row["seed"] for row in means))
        lines: dict[str, list[Cell]] = {}
        for row in means:
            cell = Cell(f"{float(row['score']):.1f}", float(row["score"]), _format_limits(row))
            lines.setdefault(row["title"], [Cell(row["title"])]).append(cell)
        if len(names) > 1:
            tables.append(Table(task, _headings("method", *(f"seed {seed}" for seed in names)), list(lines.values())))
    return tables


def tabulate_published(rows: Sequence[Row]) -> list[Table]:
    """Return one table: our scores and the published ones."""
    lines = [
        [
            Cell(f"{row['title']}, {row['name']}", detail=row["task"]),
            Cell(f"{float(row['score']):.1f}", float(row["score"]), _format_limits(row)),
            Cell(f"{float(row['published']):.1f}", float(row["published"]), row["system"]),
            _signed_cell(float(row["difference"]), "outside our interval" if row["outside"] == "True" else ""),
        ]
        for row in rows
    ]
    return [Table("Published scores", _headings("method", "ours", "published", "difference"), lines)] if lines else []


def tabulate_costs(rows: Sequence[Row]) -> list[Table]:
    """Return a table per task: means over the targets."""
    columns = _headings("method", "score|mean", "parameters", "stored|MB", "main memory|MB", "time", "processor time")
    tables = []
    for task in _tasks(rows):
        lines = []
        for row in rows:
            if row["task"] == task and row["language"] == MEAN:
                stored = _number_cell(_parse_number(row["bytes"]) / 1e6, 1)
                memory = _number_cell(_parse_number(row["peak_mb"]))
                times = [_time_cell(_parse_number(row[name])) for name in ("seconds", "cpu_seconds")]
                score = Cell(f"{float(row['score']):.1f}", float(row["score"]))
                lines.append(
                    [Cell(row["title"]), score, _number_cell(_parse_number(row["parameters"])), stored, memory, *times]
                )
        tables.append(Table(task, columns, lines))
    return tables


def tabulate_training(rows: Sequence[Row]) -> list[Table]:
    """Return one table with a row per training."""
    lines = [
        [
            Cell(row["vector"]),
            *(
                _number_cell(_parse_number(row[name]))
                for name in ("trained_parameters", "steps", "kept_step", "tokens")
            ),
            *(_number_cell(_parse_number(row[name]), 3) for name in ("before", "after")),
            Cell(MEASURES.get(row["measure"], row["measure"])),
        ]
        for row in rows
    ]
    columns = _headings("vector", "parameters|trained", "steps", "kept step", "tokens", "before", "after", "measure")
    return [Table("Trainings", columns, lines)] if lines else []


def tabulate_stages(stages: Sequence[Stage]) -> list[Table]:
    """Return one table: time and memory of the jobs of each stage, with the share of the total time as a bar."""
    total = sum(stage.seconds for stage in stages) or 1.0
    lines = [
        [
            Cell(stage.title),
            _number_cell(stage.jobs),
            _time_cell(stage.seconds, stage.seconds / total),
            *map(_time_cell, (stage.median, stage.longest, stage.cpu_seconds)),
            _number_cell(stage.peak_mb),
        ]
        for stage in stages
    ]
    times = ("time|all jobs", "time|median job", "time|longest job", "processor time|all jobs")
    columns = _headings("stage", "jobs", *times, "main memory|MB, largest job")
    return [Table("Run times and memory", columns, lines)] if lines else []


def tabulate_signatures(rows: Sequence[Row]) -> list[Table]:
    """Return one table: the signature of each score."""
    several = len(_tasks(rows)) > 1
    lines = [
        [Cell(row["title"]), Cell(row["name"], detail=row["task"] if several else ""), Cell(row[SIGNATURE])]
        for row in rows
        if row.get(SIGNATURE)
    ]
    return [Table("Signatures", _headings("method", "language", SIGNATURE), lines)] if lines else []


def _headings(*texts: str) -> list[Cell]:
    """Return headings; the text after a bar is the detail."""
    parts = (text.partition("|") for text in texts)
    return [Cell(text, detail=detail) for text, _, detail in parts]


def _tasks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["task"] for row in rows))


def _parse_number(text: str) -> float:
    return float(text) if text else float("nan")


def _number_cell(value: float, digits: int = 0) -> Cell:
    """Return a cell with a number, or an empty cell where it is not known."""
    return Cell("") if math.isnan(value) else Cell(f"{value:,.{digits}f}", value)


def _format_limits(row: Row) -> str:
    return f"{float(row['low']):.1f}{EN_DASH}{float(row['high']):.1f}"


def _signed_cell(value: float, detail: str) -> Cell:
    return Cell(signed(value, "+"), value, detail)


def _format_signed(text: str) -> str:
    return signed(float(text))


def _format_p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _time_cell(seconds: float, share: float | None = None) -> Cell:
    return Cell("") if math.isnan(seconds) else Cell(format_duration(seconds), seconds, share=share)
