"""Answers: what each table and figure of the report says, in a sentence, from the numbers it shows.

Captions (captions/*.rst) ask a question and say how it was measured; the sentence between the two is made here, or
several, one a line. Rows are those of the tables as text, reports those of masks; where there is nothing to say, the
answer is empty.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any

from deftx.comparisons import MEAN, signed

Row = Mapping[str, str]
Report = Mapping[str, Mapping[str, Any]]
"""What a mask says of itself, by parameter."""
EN_DASH = "\N{EN DASH}"


def scores(rows: Sequence[Row]) -> str:
    """The two methods with the highest mean of targets, by task (scores.csv)."""

    def first_two(some: Sequence[Row]) -> str:
        first, *others = sorted(_means(some), key=lambda row: -float(row["score"]))
        said = f"{first['title']} is highest on the mean of targets: {_score(first)}"
        return f"{said}, before {others[0]['title']}: {_score(others[0])}" if others else said

    return _by_task(rows, first_two)


def comparisons(rows: Sequence[Row]) -> str:
    """The statements about the method that is compared most, the proposed one where there is any (comparisons.csv)."""

    def statements(some: Sequence[Row]) -> str:
        said = [row for row in some if row["statement"]]
        most = [method for method, _ in Counter(row["method"] for row in said).most_common(1)]
        return ".\n".join(row["statement"] for row in said if row["method"] in most)

    return _by_task(rows, statements)


def seeds(rows: Sequence[Row]) -> str:
    """The spread over seeds of the means of targets, by task (scores.csv)."""

    def spread(some: Sequence[Row]) -> str:
        found = [float(row["sd"]) for row in _means(some) if row["sd"]]
        if not found:
            return "One seed: nothing is known about the chance of training"
        limits = f"{min(found):.1f} to {max(found):.1f}"
        return f"The standard deviation over {some[0]['seeds']} seeds is {limits} points on the mean of targets"

    return _by_task(rows, spread)


def gains(rows: Sequence[Row]) -> str:
    """The method that gains most over the control on the mean of targets, and where it does (gains.csv)."""

    def largest(some: Sequence[Row]) -> str:
        best = max(_means(some), key=lambda row: float(row["gain"]))
        own = [row for row in some if row["method"] == best["method"] and row["language"] != MEAN]
        top, least = (choose(own, key=lambda row: float(row["gain"])) for choose in (max, min))
        limits = f"[{signed(float(best['low']))}, {signed(float(best['high']))}]"
        said = f"{best['title']} gains most over {best['over']}: {_points(best)} points {limits} on the mean of targets"
        between = f", from {_points(least)} in {least['name']} to {_points(top)} in {top['name']}"
        return said + (between if len(own) > 1 else "")

    return _by_task(rows, largest)


def published(rows: Sequence[Row]) -> str:
    """How many published scores lie outside our intervals, and in which direction (published.csv)."""

    def outside(some: Sequence[Row]) -> str:
        count = sum(row["outside"] == "True" for row in some)
        difference = mean(float(row["difference"]) for row in some)
        said = f"Of {len(some)} published scores {count} lie outside our intervals"
        return f"{said}; ours differ by {signed(difference, '+')} points on the average"

    return _by_task(rows, outside)


def costs(rows: Sequence[Row]) -> str:
    """The methods that store and take least and most for a language (costs.csv)."""

    def extremes(some: Sequence[Row]) -> str:
        said = []
        for name, column, scale, unit in (("stores", "bytes", 1e6, "MB"), ("takes", "seconds", 1, "s")):
            known = sorted((row for row in _means(some) if row[column]), key=lambda row: float(row[column]))
            if known:
                least, most = (f"{float(row[column]) / scale:,.1f} {unit}" for row in (known[0], known[-1]))
                said.append(f"the model of a language {name} {least} ({known[0]['title']}) to {most} "
                            f"({known[-1]['title']})")  # fmt: skip
        return _capital("; ".join(said))

    return _by_task(rows, extremes)


def training(rows: Sequence[Row]) -> str:
    """How many trainings left their held-out measure better than before (training.csv)."""
    measured = [row for row in rows if row["before"] and row["after"]]
    better = sum(
        (float(row["after"]) < float(row["before"])) == row["measure"].endswith("loss")
        for row in measured
        if row["after"] != row["before"]
    )
    tokens = sum(float(row["tokens"]) for row in rows)
    return f"{better} of {len(measured)} trainings end better than they began; together they read {tokens:,.0f} tokens."


def overlap(tables: Mapping[str, Sequence[Row]]) -> str:
    """The pair of vectors that shares most entries, and the mean over pairs, by selection (overlap-*.csv)."""
    said = []
    for selection in sorted(tables, key=_first):
        if rows := tables[selection]:
            top = max(rows, key=lambda row: float(row["jaccard"]))
            share = f"{float(top['jaccard']):.2f}"
            usual = f"{mean(float(row['jaccard']) for row in rows):.2f}"
            said.append(f"{selection}: {top['one']} and {top['other']} share most (Jaccard {share}, mean {usual})")
    return _sentences(said)


def spectra(reports: Mapping[str, Report]) -> str:
    """The share of the full rank that is chosen, in the median over matrices, of languages and of tasks."""
    shares: dict[str, list[float]] = {}
    for name, report in reports.items():
        found = [m["rank"] / len(m["singular_values"]) for m in report.values() if m["singular_values"]]
        shares.setdefault(_kind(name), []).extend(min(share, 1.0) for share in found)
    said = [f"{100 * median(some):.0f} % for {kind}s" for kind, some in shares.items() if some]
    if not said:
        return "No selection chooses a rank."
    return f"The chosen rank is, in the median over matrices, {' and '.join(said)} of the full one."


def density(reports: Mapping[str, Report]) -> str:
    """The share of a mask's entries that lie in embeddings, by selection, of languages and of tasks."""
    counts: dict[tuple[str, str], list[int]] = {}
    for name, report in reports.items():
        count = counts.setdefault((name.partition("/")[0], _kind(name)), [0, 0])
        for parameter, seen in report.items():
            count[0] += seen["chosen"] if "embeddings" in parameter else 0
            count[1] += seen["chosen"]
    said: dict[str, list[str]] = {}
    for (selection, kind), (embeddings, chosen) in counts.items():
        said.setdefault(selection, []).append(f"{100 * embeddings / max(1, chosen):.0f} % of a {kind}'s mask")
    return _sentences(f"{s}: embeddings are {' and '.join(said[s])}" for s in sorted(said, key=_first))


def sweeps(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    """The range of scores over each knob, and where it is highest (scores.csv, and the configuration's sweeps)."""

    def ranges(some: Sequence[Row]) -> str:
        means = {row["method"]: float(row["score"]) for row in _means(some)}
        said = []
        for sweep in settings.values():
            found = [(means[m], at) for series in sweep["series"].values()
                     for at, m in zip(sweep["at"], series, strict=True) if m in means]  # fmt: skip
            if found:
                (high, at), (low, _) = max(found, key=lambda f: f[0]), min(found, key=lambda f: f[0])
                said.append(f"{sweep['title']}: {low:.1f} to {high:.1f}, highest at {at}")
        return "; ".join(said)

    return _by_task(rows, ranges)


def _by_task(rows: Sequence[Row], say: Callable[[Sequence[Row]], str]) -> str:
    """A sentence for each task, which names it where there are several."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    said = {task: say([row for row in rows if row["task"] == task]) for task in tasks}
    return _sentences(f"{task}: {text}" if len(tasks) > 1 else text for task, text in said.items() if text)


def _sentences(said: Iterable[str]) -> str:
    return "\n".join(f"{text}." for text in said)


def _means(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["language"] == MEAN]


def _score(row: Row) -> str:
    return f"{float(row['score']):.1f} [{float(row['low']):.1f}{EN_DASH}{float(row['high']):.1f}]"


def _points(row: Row) -> str:
    return signed(float(row["gain"]), "+")


def _kind(name: str) -> str:
    """Whose mask a report is of, by its name `selection/name`."""
    return "task" if "/task:" in name else "language"


def _first(selection: str) -> bool:
    """LT-SFT's selection before all others, as in the figures."""
    return selection != "lt-sft"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
