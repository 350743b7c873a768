"""Significance of differences: bootstrap intervals, paired permutation tests, and Holm's correction.

Everything is computed from stored predictions. Labels are coded 0..C-1. Predictions of one test set by several seeds
are rows over the same items, and parallel test sets share items: an item is resampled or swapped in all of them at
once.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deftx.tasks.metrics import FROM_COUNTS, Counts, score
from deftx.tasks.metrics import Labels as Labels

RESAMPLES = 2000
SWAPS = 10_000  # more than resamples: a correction over ten languages needs p-values near 0.005
BATCH = 250
SEED = 20_250_521
CONFIDENCE = 0.95


def macro_f1(gold: Labels, predicted: Labels) -> float:
    """Return macro-F1 in percent over the classes that occur in `gold`."""
    return score("macro_f1", gold, predicted)


def accuracy(gold: Labels, predicted: Labels) -> float:
    """Return accuracy in percent."""
    return score("accuracy", gold, predicted)


METRICS = {"macro_f1": macro_f1, "accuracy": accuracy}


@dataclass(frozen=True)
class Trial:
    """Predictions of the same items: `gold` (items) and `ours`, `theirs` (rows x items; theirs may be empty).

    `ids` are the items' names in their test set; by default items are numbered.
    """

    gold: Labels
    ours: Labels
    theirs: Labels
    ids: tuple[Hashable, ...] = ()


@dataclass(frozen=True)
class Parallel:
    """Trials whose items are drawn together.

    Attributes:
        items: number of distinct items in all trials.
        trials: each with the indices of its items.
    """

    items: int
    trials: list[tuple[Trial, Labels]]


def parallel(trials: Sequence[Trial]) -> list[Parallel]:
    """Group trials whose test sets share items with the same gold labels, as translations do.

    A set may lack some of the items. Trials of exactly the same items become one with more rows.
    """
    groups: list[tuple[dict[Hashable, int], dict[tuple[Hashable, ...], list[Trial]]]] = []
    for trial in trials:
        ids = trial.ids or tuple(range(len(trial.gold)))
        gold = dict(zip(ids, trial.gold.tolist(), strict=True))
        group = next((group for group in groups if _agree(gold, group[0])), None)
        if group is None:
            groups.append(group := ({}, {}))
        known, members = group
        known |= gold
        members.setdefault(ids, []).append(trial)
    return [_join_trials(known, members) for known, members in groups]


def _agree(gold: dict[Hashable, int], known: dict[Hashable, int]) -> bool:
    shared = gold.keys() & known.keys()
    return bool(shared) and all(gold[name] == known[name] for name in shared)


def _join_trials(known: dict[Hashable, int], members: dict[tuple[Hashable, ...], list[Trial]]) -> Parallel:
    indices = {name: n for n, name in enumerate(known)}
    return Parallel(
        len(known),
        [
            (
                Trial(equal[0].gold, np.vstack([t.ours for t in equal]), np.vstack([t.theirs for t in equal])),
                np.array([indices[name] for name in ids]),
            )
            for ids, equal in members.items()
        ],
    )


def difference(trial: Trial, metric: str) -> float:
    """Return the sum over rows of our score, minus theirs."""
    score = METRICS[metric]
    ours, theirs = (sum(score(trial.gold, row) for row in rows) for rows in (trial.ours, trial.theirs))
    return float(ours - theirs)


def _cells(trial: Trial, classes: int, rows: Labels) -> Counts:
    """Return the cell of each item in its row's confusion matrix: items x (rows * classes^2), one 1 per item and row.

    The confusion matrices of any number of resamples are then one product of matrices, exact in float64.
    """
    cells = np.zeros((len(trial.gold), len(rows), classes**2))
    np.put_along_axis(cells, (trial.gold * classes + rows).T[:, :, None], 1.0, axis=-1)
    return cells.reshape(len(trial.gold), -1)


def _sum_scores(counts: Counts, trial: Trial, classes: int, metric: str) -> Counts:
    """Return the sum of scores over rows, for each line of counts (resamples x (rows * classes^2))."""
    matrices = counts.reshape(len(counts), -1, classes, classes)
    return FROM_COUNTS[metric](matrices, np.unique(trial.gold)).sum(-1)


def _count_classes(trial: Trial) -> int:
    return int(max(labels.max(initial=0) for labels in (trial.gold, trial.ours, trial.theirs))) + 1


@dataclass(frozen=True)
class _Counted:
    """Trial as `_cells` of both sides, with the indices of its items among those of its group."""

    trial: Trial
    indices: Labels
    classes: int
    ours: Counts
    theirs: Counts


def _count_cells(group: Parallel) -> list[_Counted]:
    return [
        _Counted(trial, indices, classes, _cells(trial, classes, trial.ours), _cells(trial, classes, trial.theirs))
        for trial, indices in group.trials
        for classes in [_count_classes(trial)]
    ]


def interval(trials: Sequence[Trial], metric: str) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval, over items, of the mean score or of our mean gain over theirs.

    Args:
        trials: one per test set; those without `theirs` contribute a score, all other trials a gain.
        metric: `macro_f1` or `accuracy`.
    """
    from scipy.stats import bootstrap

    groups = parallel(trials)
    counted = [_count_cells(group) for group in groups]
    rows = sum(len(trial.ours) for trial in trials)

    def mean(*samples: Any, axis: int = -1) -> Any:
        total: Any = 0.0
        for members, group, items in zip(counted, groups, samples, strict=True):
            frequencies = _count_draws(items, group.items)
            for member in members:
                drawn = frequencies[:, member.indices]
                total = total + _sum_scores(drawn @ member.ours, member.trial, member.classes, metric)
                if len(member.trial.theirs):
                    total = total - _sum_scores(drawn @ member.theirs, member.trial, member.classes, metric)
        return total / rows

    limits = bootstrap(
        [np.arange(group.items) for group in groups],
        mean,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(limits.low), float(limits.high)


def _count_draws(items: Labels, n: int) -> Counts:
    """Return how often each of `n` items is drawn in each resample (resamples x n), from the drawn items' numbers."""
    items = np.atleast_2d(items)
    resamples = len(items)
    drawn = items + n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def paired_p(trials: Sequence[Trial], metric: str) -> float:
    """Return the two-sided p-value of a paired permutation test, which swaps the predictions of two methods by item.

    Args:
        trials: with as many rows of `ours` as of `theirs`.
        metric: `macro_f1` or `accuracy`.
    Returns:
        (c + 1) / (n + 1) over n random swaps (Phipson & Smyth 2010), so never 0.
    """
    groups = parallel(trials)
    counted = [_count_cells(group) for group in groups]
    rng = np.random.default_rng(SEED)
    observed = abs(sum(difference(trial, metric) for trial in trials))
    extreme = 0
    for _ in range(SWAPS // BATCH):
        total: Any = 0.0
        for members, group in zip(counted, groups, strict=True):
            swap = (rng.random((BATCH, group.items)) < 0.5).astype(np.float64)
            for member in members:
                swapped = swap[:, member.indices] @ (member.theirs - member.ours)
                total = total + _sum_scores(member.ours.sum(0) + swapped, member.trial, member.classes, metric)
                total = total - _sum_scores(member.theirs.sum(0) - swapped, member.trial, member.classes, metric)
        extreme += int((np.abs(total) >= observed - 1e-9).sum())
    return (extreme + 1) / (SWAPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple tests by Holm's step-down procedure (Holm 1979).

    The i-th smallest of m is multiplied by m - i + 1, and is never below the result of a smaller one nor above 1. At a
    level a, the chance of at least one false positive among all m is at most a, for any dependence of the tests.

    Returns:
        The corrected values in the given order.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [1.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected
