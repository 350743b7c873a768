"""Findings of the tables and figures of scores and costs, as sentences, from the numbers they show.

One sentence per line. A finding is empty where there is nothing to state.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from deftx.evaluation.comparisons import LEVEL, signed
from deftx.evaluation.names import MEAN
from deftx.report.page.runtimes import format_duration
from deftx.report.tables.storage import Row

EN_DASH = "\N{EN DASH}"
MOST_NAMED = 5  # methods that a finding names individually


def describe_scores(rows: Sequence[Row]) -> str:
    """Return the two methods with the highest mean of targets, and what the stars test, by task (scores.csv)."""

    def name_first_two(rows: Sequence[Row]) -> Iterator[str]:
        first, *rest = sorted(_means_of(rows), key=lambda row: -float(row["score"]))
        sentence = f"Highest on the mean of targets: {_format_score(first)}"
        yield f"{sentence}, before {_format_score(rest[0])}" if rest else sentence
        untested = [row["title"] for row in _means_of(rows) if not row["p_holm"]]
        if len(untested) == 1 and rest:  # all methods are tested against it
            yield f"Stars mark scores that differ from those of {untested[0]}"

    return _join_tasks(rows, name_first_two)


def describe_comparisons(rows: Sequence[Row]) -> str:
    """Return the statements about the method with the most comparisons: the proposed one, if any (comparisons.csv).

    If there are many, return how many differences are significant.
    """

    def select_statements(rows: Sequence[Row]) -> Iterator[str]:
        stated = [row for row in rows if row["statement"]]
        most = [method for method, _ in Counter(row["method"] for row in stated).most_common(1)]
        chosen = [row for row in stated if row["method"] in most]
        if len(chosen) <= MOST_NAMED:
            yield from (row["statement"] for row in chosen)
        else:
            is_better = [float(row["difference"]) > 0 for row in chosen if float(row["p_holm"]) < LEVEL]
            yield (
                f"On the mean of targets {chosen[0]['title']} is significantly better than {sum(is_better)} of "
                f"{len(chosen)} other methods, and worse than {len(is_better) - sum(is_better)} "
                f"(p < {LEVEL} in each test)"
            )

    return _join_tasks(rows, select_statements)


def describe_seeds(rows: Sequence[Row]) -> str:
    """Return the spread over seeds of the means of targets, by task (scores.csv)."""

    def state_spread(rows: Sequence[Row]) -> Iterator[str]:
        deviations = [float(row["sd"]) for row in _means_of(rows) if row["sd"]]
        if not deviations:
            yield "One seed: the chance of training is not known"
        else:
            limits = f"{min(deviations):.1f} to {max(deviations):.1f}"
            yield f"The standard deviation over {rows[0]['seeds']} seeds is {limits} points on the mean of targets"

    return _join_tasks(rows, state_spread)


def describe_gains(rows: Sequence[Row]) -> str:
    """Return the gains over the control on the mean of targets, and where they are least and largest (gains.csv).

    If there are many methods, only the best and the worst are named.
    """

    def name_extremes(rows: Sequence[Row]) -> Iterator[str]:
        means = sorted(_means_of(rows), key=lambda row: -float(row["gain"]))
        named = means if len(means) <= MOST_NAMED else [means[0], means[-1]]
        listed = ", ".join(f"{row['title']} {_format_gain(row)} {_format_limits(row)}" for row in named)
        yield f"Over {means[0]['over']}, in points on the mean of targets: {listed}"
        targets = [row for row in rows if row["language"] != MEAN]
        if len({row["language"] for row in targets}) > 1:
            least, most = (choose(targets, key=lambda row: float(row["gain"])) for choose in (min, max))
            extremes = (f"{_format_gain(row)} ({row['title']}, {row['name']})" for row in (least, most))
            yield f"In single languages: {' to '.join(extremes)}"

    return _join_tasks(rows, name_extremes)


def describe_published(rows: Sequence[Row]) -> str:
    """Return how many published scores lie outside our intervals, and in which direction (published.csv)."""

    def count_outside(rows: Sequence[Row]) -> Iterator[str]:
        count = sum(row["outside"] == "True" for row in rows)
        difference = mean(float(row["difference"]) for row in rows)
        outside = f"Of {len(rows)} published scores {count} lie outside our intervals"
        yield f"{outside}; ours differ by {signed(difference, '+')} points on average"

    return _join_tasks(rows, count_outside)


def describe_costs(rows: Sequence[Row]) -> str:
    """Return the methods that store and take least and most for a language (costs.csv)."""

    def name_extremes(rows: Sequence[Row]) -> Iterator[str]:
        clauses = []
        for verb, column, form in (("stores", "bytes", _format_megabytes), ("takes", "seconds", format_duration)):
            known = sorted((row for row in _means_of(rows) if row[column]), key=lambda row: float(row[column]))
            if known:
                least, most = (f"{form(float(row[column]))} ({row['title']})" for row in (known[0], known[-1]))
                clauses.append(f"{verb} {least} to {most}")
        if clauses:
            yield f"The model of a language {' and '.join(clauses)}"

    return _join_tasks(rows, name_extremes)


def describe_training(rows: Sequence[Row]) -> str:
    """Return how many trainings improved their measure on the validation set (training.csv)."""
    measured = [row for row in rows if row["before"] and row["after"]]
    better = sum(
        (float(row["after"]) < float(row["before"])) == row["measure"].endswith("loss")
        for row in measured
        if row["after"] != row["before"]
    )
    tokens = sum(float(row["tokens"]) for row in rows)
    return f"{better} of {len(measured)} trainings end better than they began; all trainings read {tokens:,.0f} tokens."


def describe_sweeps(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    """Return the range of scores over each hyper-parameter, and where it is highest.

    From scores.csv and the configuration's sweeps.
    """

    def state_ranges(rows: Sequence[Row]) -> Iterator[str]:
        means = {row["method"]: float(row["score"]) for row in _means_of(rows)}
        for sweep in settings.values():
            points = [(means[m], value) for series in sweep["series"].values()
                      for value, m in zip(sweep["at"], series, strict=True) if m in means]  # fmt: skip
            if points:
                (high, value), (low, _) = max(points, key=lambda p: p[0]), min(points, key=lambda p: p[0])
                best = " ".join(str(value).split())  # on the axis of the figure it may have several lines
                yield f"{sweep['title']}: {low:.1f} to {high:.1f}, highest at {best}"

    return _join_tasks(rows, state_ranges)


def _join_tasks(rows: Sequence[Row], describe: Callable[[Sequence[Row]], Iterable[str]]) -> str:
    """Return the sentences about each task, one per line; they name the task where there are several."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    texts = ((task, text) for task in tasks for text in describe([row for row in rows if row["task"] == task]))
    return "\n".join(f"{task}: {text}." if len(tasks) > 1 else f"{text}." for task, text in texts)


def _means_of(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["language"] == MEAN]


def _format_score(row: Row) -> str:
    return f"{row['title']}, {float(row['score']):.1f} [{float(row['low']):.1f}{EN_DASH}{float(row['high']):.1f}]"


def _format_gain(row: Row) -> str:
    return signed(float(row["gain"]), "+")


def _format_limits(row: Row) -> str:
    return f"[{signed(float(row['low']))}, {signed(float(row['high']))}]"


def _format_megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
