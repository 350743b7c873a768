"""Comparison of our scores with published ones, and which lie outside our interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from deftx.evaluation.comparisons import signed
from deftx.evaluation.published import Compared

COLUMNS = [
    *("task", "method", "title", "language", "name", "score", "low", "high"),
    *("system", "published", "difference", "outside", "base", "source", "metric", "signature"),
]


def compare(ours: Sequence[Mapping[str, Any]], published: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return our scores of one task, compared with published ones.

    `outside` is true if the published score lies below or above our interval. The interval is about test items alone;
    that of the published score is not known.

    Args:
        ours: rows of scores, with `method`, `language`, `score`, `low`, `high`.
        published: systems to compare with.
    """
    return [
        {column: row[column] for column in (*COLUMNS[:8], "metric", "signature")}
        | {
            "system": system.title,
            "published": score,
            "difference": row["score"] - score,
            "outside": not row["low"] <= score <= row["high"],
            "base": system.base,
            "source": system.source,
        }
        for system in published
        for row in ours
        if row["method"] == system.method and (score := system.scores.get(row["language"])) is not None
    ]


def markdown(rows: Sequence[Mapping[str, Any]], notes: Mapping[str, str]) -> str:
    """Return the rows as one table, followed by other differences, by task, and sources."""
    lines = ["| task | language | method | ours | published | difference |", "|:--|:--|:--|--:|--:|--:|"]
    for row in rows:
        ours = f"{row['score']:.1f} [{row['low']:.1f}\N{EN DASH}{row['high']:.1f}]"
        mark = "\N{DAGGER}" if row["outside"] else ""
        difference = f"{signed(row['difference'], '+')}{mark}"
        number = 1 + _sources(rows).index((row["system"], row["base"], row["source"]))
        theirs = f"{row['published']:.1f} ({number})"
        lines.append(f"| {row['task']} | {row['name']} | {row['title']} | {ours} | {theirs} | {difference} |")
    note = (
        "In percent; in brackets our 95 % bootstrap interval over test items. \N{DAGGER}: the published score lies "
        "outside it. The interval contains neither the chance of training nor that of the published score. The "
        "signatures of our scores (published.csv) state their base."
    )
    sources = [f"{n}. {system}, {base}: {source}." for n, (system, base, source) in enumerate(_sources(rows), 1)]
    differing = [f"Differences in {task}: {note}" for task, note in notes.items()]
    return "\n".join([*lines, "", note, "", *(f"{line}\n" for line in differing), *sources, ""])


def _sources(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return list(dict.fromkeys((row["system"], row["base"], row["source"]) for row in rows))
