"""Answers: what the figures of masks and vectors say, in sentences, from the numbers they show.

One sentence a line. Where there is nothing to say, the answer is empty.
"""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from deftx.report.tables.storage import Row

Report = Mapping[str, Mapping[str, Any]]
"""What a mask says of itself, by parameter."""


def overlap(tables: Mapping[str, Sequence[Row]]) -> str:
    """What pairs of vectors share in the mean, and the pair that shares most, by selection (overlap-*.csv)."""

    def shared(selection: str) -> str:
        rows = tables[selection]
        top = max(rows, key=lambda row: float(row["jaccard"]))
        usual = [f"{mean(float(row[measure]) for row in rows):.2f}" for measure in ("jaccard", "cosine")]
        most = [f"{float(top[measure]):.2f}" for measure in ("jaccard", "cosine")]
        said = f"{selection}: Jaccard {usual[0]} and cosine {usual[1]} in the mean over pairs"
        return f"{said}; {top['one']} and {top['other']} share most ({most[0]}, cosine {most[1]})."

    return "\n".join(shared(selection) for selection in sorted(tables, key=_first) if tables[selection])


def spectra(reports: Mapping[str, Report]) -> str:
    """The share of the full rank that is chosen, in the median over matrices, of languages and of tasks."""
    shares: dict[str, list[float]] = {}
    for name, report in reports.items():
        found = [m["rank"] / len(m["singular_values"]) for m in report.values() if m["singular_values"]]
        shares.setdefault(_kind(name), []).extend(min(share, 1.0) for share in found)
    said = [f"{100 * median(some):.0f} % of the full one for {kind}s" for kind, some in shares.items() if some]
    if not said:
        return "No selection chooses a rank."
    return f"The chosen rank, in the median over matrices, is {' and '.join(said)}."


def density(reports: Mapping[str, Report]) -> str:
    """The share of a mask's entries that lie in embeddings, by selection, of languages and of tasks."""
    chosen: dict[tuple[str, str], list[float]] = {}
    everything: list[float] = []
    for name, report in reports.items():
        chosen.setdefault((name.partition("/")[0], _kind(name)), []).append(_in_embeddings(report, "chosen"))
        everything.append(_in_embeddings(report, "entries"))
    said: dict[str, list[str]] = {}
    for (selection, kind), shares in chosen.items():
        said.setdefault(selection, []).append(f"{mean(shares):.0f} % of a {kind}'s mask")
    ordered = sorted(said, key=_first)
    size = f"{mean(everything):.0f} % of all entries" if everything else ""
    return "\n".join(f"{s}: embeddings, {size}, are {' and '.join(said[s])}." for s in ordered)


def _in_embeddings(report: Report, what: str) -> float:
    """The part of all entries, or of all chosen ones, that lies in embeddings, in percent."""
    inside = sum(seen[what] for parameter, seen in report.items() if "embeddings" in parameter)
    return 100 * inside / max(1, sum(seen[what] for seen in report.values()))


def _kind(name: str) -> str:
    """Whose mask a report is of, by its name `selection/name`."""
    return "task" if "/task:" in name else "language"


def _first(selection: str) -> bool:
    """LT-SFT's selection before all others, as in the figures."""
    return selection != "lt-sft"
