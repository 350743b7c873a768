"""Answers: what the tables and figures of scores and costs say, in sentences, from the numbers they show.

One sentence a line. Where there is nothing to say, the answer is empty.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from deftx.evaluation.comparisons import LEVEL, signed
from deftx.evaluation.names import MEAN
from deftx.report.page.runtimes import duration
from deftx.report.tables.storage import Row

EN_DASH = "\N{EN DASH}"
SHOWN = 5  # methods that an answer names one by one


def scores(rows: Sequence[Row]) -> str:
    """The two methods with the highest mean of targets, and what stars are about, by task (scores.csv)."""

    def first_two(some: Sequence[Row]) -> Iterator[str]:
        first, *others = sorted(_means(some), key=lambda row: -float(row["score"]))
        said = f"Highest on the mean of targets: {_score(first)}"
        yield f"{said}, before {_score(others[0])}" if others else said
        untested = [row["title"] for row in _means(some) if not row["p_holm"]]
        if len(untested) == 1 and others:  # all are tested against it
            yield f"Stars mark scores that differ from those of {untested[0]}"

    return _by_task(rows, first_two)


def comparisons(rows: Sequence[Row]) -> str:
    """The statements about the method that is compared most, the proposed one where there is any (comparisons.csv).

    Of many, how many differences are sure.
    """

    def statements(some: Sequence[Row]) -> Iterator[str]:
        said = [row for row in some if row["statement"]]
        most = [method for method, _ in Counter(row["method"] for row in said).most_common(1)]
        chosen = [row for row in said if row["method"] in most]
        if len(chosen) <= SHOWN:
            yield from (row["statement"] for row in chosen)
        else:
            sure = [float(row["difference"]) > 0 for row in chosen if float(row["p_holm"]) < LEVEL]
            yield (
                f"On the mean of targets {chosen[0]['title']} is significantly better than {sum(sure)} of "
                f"{len(chosen)} other methods, and worse than {len(sure) - sum(sure)} (p < {LEVEL} in each test)"
            )

    return _by_task(rows, statements)


def seeds(rows: Sequence[Row]) -> str:
    """The spread over seeds of the means of targets, by task (scores.csv)."""

    def spread(some: Sequence[Row]) -> Iterator[str]:
        found = [float(row["sd"]) for row in _means(some) if row["sd"]]
        if not found:
            yield "One seed: nothing is known about the chance of training"
        else:
            limits = f"{min(found):.1f} to {max(found):.1f}"
            yield f"The standard deviation over {some[0]['seeds']} seeds is {limits} points on the mean of targets"

    return _by_task(rows, spread)


def gains(rows: Sequence[Row]) -> str:
    """Gains over the control on the mean of targets, those of the outermost methods where they are many, and where they
    are least and largest (gains.csv)."""

    def outermost(some: Sequence[Row]) -> Iterator[str]:
        means = sorted(_means(some), key=lambda row: -float(row["gain"]))
        shown = means if len(means) <= SHOWN else [means[0], means[-1]]
        said = ", ".join(f"{row['title']} {_gain(row)} {_signed_limits(row)}" for row in shown)
        yield f"Over {means[0]['over']}, in points on the mean of targets: {said}"
        targets = [row for row in some if row["language"] != MEAN]
        if len({row["language"] for row in targets}) > 1:
            least, most = (choose(targets, key=lambda row: float(row["gain"])) for choose in (min, max))
            least_most = (f"{_gain(row)} ({row['title']}, {row['name']})" for row in (least, most))
            yield f"In single languages: {' to '.join(least_most)}"

    return _by_task(rows, outermost)


def published(rows: Sequence[Row]) -> str:
    """How many published scores lie outside our intervals, and in which direction (published.csv)."""

    def outside(some: Sequence[Row]) -> Iterator[str]:
        count = sum(row["outside"] == "True" for row in some)
        difference = mean(float(row["difference"]) for row in some)
        said = f"Of {len(some)} published scores {count} lie outside our intervals"
        yield f"{said}; ours differ by {signed(difference, '+')} points on average"

    return _by_task(rows, outside)


def costs(rows: Sequence[Row]) -> str:
    """The methods that store and take least and most for a language (costs.csv)."""

    def extremes(some: Sequence[Row]) -> Iterator[str]:
        said = []
        for name, column, shown in (("stores", "bytes", _megabytes), ("takes", "seconds", duration)):
            known = sorted((row for row in _means(some) if row[column]), key=lambda row: float(row[column]))
            if known:
                least, most = (f"{shown(float(row[column]))} ({row['title']})" for row in (known[0], known[-1]))
                said.append(f"{name} {least} to {most}")
        if said:
            yield f"The model of a language {' and '.join(said)}"

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


def sweeps(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    """The range of scores over each knob, and where it is highest (scores.csv, and the configuration's sweeps)."""

    def ranges(some: Sequence[Row]) -> Iterator[str]:
        means = {row["method"]: float(row["score"]) for row in _means(some)}
        for sweep in settings.values():
            found = [(means[m], at) for series in sweep["series"].values()
                     for at, m in zip(sweep["at"], series, strict=True) if m in means]  # fmt: skip
            if found:
                (high, at), (low, _) = max(found, key=lambda f: f[0]), min(found, key=lambda f: f[0])
                best = " ".join(str(at).split())  # on the axis of the figure it may have several lines
                yield f"{sweep['title']}: {low:.1f} to {high:.1f}, highest at {best}"

    return _by_task(rows, ranges)


def _by_task(rows: Sequence[Row], say: Callable[[Sequence[Row]], Iterable[str]]) -> str:
    """Sentences about each task, which name it where there are several."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    said = ((task, text) for task in tasks for text in say([row for row in rows if row["task"] == task]))
    return _sentences(f"{task}: {text}" if len(tasks) > 1 else text for task, text in said)


def _sentences(said: Iterable[str]) -> str:
    return "\n".join(f"{text}." for text in said)


def _means(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["language"] == MEAN]


def _score(row: Row) -> str:
    return f"{row['title']}, {float(row['score']):.1f} [{float(row['low']):.1f}{EN_DASH}{float(row['high']):.1f}]"


def _gain(row: Row) -> str:
    return signed(float(row["gain"]), "+")


def _signed_limits(row: Row) -> str:
    return f"[{signed(float(row['low']))}, {signed(float(row['high']))}]"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
