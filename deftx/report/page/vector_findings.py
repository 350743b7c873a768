"""Findings of the figures of masks and vectors, as sentences, from the numbers they show.

One sentence per line. A finding is empty where there is nothing to state.
"""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from deftx.report.tables.storage import Row

Report = Mapping[str, Mapping[str, Any]]
"""Report of a mask, by parameter."""


def describe_overlap(tables: Mapping[str, Sequence[Row]]) -> str:
    """Return the mean overlap of pairs of vectors, and the pair that shares most, by selection (overlap-*.csv)."""

    def summarise(selection: str) -> str:
        rows = tables[selection]
        top = max(rows, key=lambda row: float(row["jaccard"]))
        means = [f"{mean(float(row[measure]) for row in rows):.2f}" for measure in ("jaccard", "cosine")]
        highest = [f"{float(top[measure]):.2f}" for measure in ("jaccard", "cosine")]
        pair = f"{top['one']} and {top['other']} share most ({highest[0]}, cosine {highest[1]})"
        return f"{selection}: Jaccard {means[0]} and cosine {means[1]} in the mean over pairs; {pair}."

    return "\n".join(summarise(selection) for selection in sorted(tables, key=_is_not_first) if tables[selection])


def describe_spectra(reports: Mapping[str, Report]) -> str:
    """Return the chosen share of the full rank, as the median over matrices, for languages and for tasks."""
    shares: dict[str, list[float]] = {}
    for name, report in reports.items():
        ranks = [m["rank"] / len(m["singular_values"]) for m in report.values() if m["singular_values"]]
        shares.setdefault(_kind_of(name), []).extend(min(share, 1.0) for share in ranks)
    medians = [
        f"{100 * median(values):.0f} % of the full rank for {kind}s" for kind, values in shares.items() if values
    ]
    if not medians:
        return "No selection chooses a rank."
    return f"The chosen rank, as the median over matrices, is {' and '.join(medians)}."


def describe_density(reports: Mapping[str, Report]) -> str:
    """Return the share of a mask's elements that lie in embeddings, by selection, for languages and for tasks."""
    chosen: dict[tuple[str, str], list[float]] = {}
    sizes: list[float] = []
    for name, report in reports.items():
        chosen.setdefault((name.partition("/")[0], _kind_of(name)), []).append(_percent_in_embeddings(report, "chosen"))
        sizes.append(_percent_in_embeddings(report, "entries"))
    clauses: dict[str, list[str]] = {}
    for (selection, kind), shares in chosen.items():
        clauses.setdefault(selection, []).append(f"{mean(shares):.0f} % of a {kind}'s mask")
    size = f"{mean(sizes):.0f} % of all elements" if sizes else ""
    ordered = sorted(clauses, key=_is_not_first)
    return "\n".join(f"{s}: embeddings, {size}, are {' and '.join(clauses[s])}." for s in ordered)


def _percent_in_embeddings(report: Report, count: str) -> float:
    """Return how much of all elements (`entries`), or of the `chosen` ones, lies in embeddings, in percent."""
    inside = sum(counts[count] for parameter, counts in report.items() if "embeddings" in parameter)
    return 100 * inside / max(1, sum(counts[count] for counts in report.values()))


def _kind_of(name: str) -> str:
    """Return whether a report is of a task's or of a language's mask, by its name `selection/name`."""
    return "task" if "/task:" in name else "language"


def _is_not_first(selection: str) -> bool:
    """Return the sort key that puts LT-SFT's selection before all others, as in the figures."""
    return selection != "lt-sft"
