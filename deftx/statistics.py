"""Is a difference more than noise: bootstrap intervals, paired permutation tests, and Holm's correction.

All is computed from stored predictions. Labels are coded 0..C-1. All predictions of one test set by several seeds (or,
for parallel test sets, of several languages) are rows over the same items: an item is resampled or swapped in all rows
together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deftx.metrics import FROM_COUNTS, Counts, score
from deftx.metrics import Labels as Labels

RESAMPLES = 2000
SWAPS = 10_000  # more than resamples: a correction over ten languages looks at p-values near 0.005
BATCH = 250
SEED = 20_250_521
CONFIDENCE = 0.95


def macro_f1(gold: Labels, predicted: Labels) -> float:
    """Macro-F1 in percent over the classes that occur in `gold`."""
    return score("macro_f1", gold, predicted)


def accuracy(gold: Labels, predicted: Labels) -> float:
    """Accuracy in percent."""
    return score("accuracy", gold, predicted)


METRICS = {"macro_f1": macro_f1, "accuracy": accuracy}


@dataclass(frozen=True)
class Trial:
    """Predictions of the same items: `gold` (items) and `ours`, `theirs` (rows x items; theirs may be empty)."""

    gold: Labels
    ours: Labels
    theirs: Labels


def merged(trials: Sequence[Trial]) -> list[Trial]:
    """Trials with the same gold labels become one with more rows, so that parallel items stay together."""
    groups: dict[bytes, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.gold.tobytes(), []).append(trial)
    return [
        Trial(group[0].gold, np.vstack([t.ours for t in group]), np.vstack([t.theirs for t in group]))
        for group in groups.values()
    ]


def difference(trial: Trial, metric: str) -> float:
    """Sum over rows of our score, minus theirs."""
    score = METRICS[metric]
    ours, theirs = (sum(score(trial.gold, row) for row in rows) for rows in (trial.ours, trial.theirs))
    return float(ours - theirs)


def _cells(trial: Trial, classes: int, rows: Labels) -> Counts:
    """Which cell of its row's confusion matrix each item falls in: items x (rows * classes^2), one 1 per item and row.

    The confusion matrices of any number of resamples are then one product of matrices, exact in float64.
    """
    cells = np.zeros((len(trial.gold), len(rows), classes**2))
    np.put_along_axis(cells, (trial.gold * classes + rows).T[:, :, None], 1.0, axis=-1)
    return cells.reshape(len(trial.gold), -1)


def _total(counts: Counts, trial: Trial, classes: int, metric: str) -> Counts:
    """Sum of scores over rows, for each line of counts (resamples x (rows * classes^2))."""
    matrices = counts.reshape(len(counts), -1, classes, classes)
    return FROM_COUNTS[metric](matrices, np.unique(trial.gold)).sum(-1)


def _classes(trial: Trial) -> int:
    return int(max(labels.max(initial=0) for labels in (trial.gold, trial.ours, trial.theirs))) + 1


def interval(trials: Sequence[Trial], metric: str) -> tuple[float, float]:
    """95 % percentile bootstrap interval, over the items, of the mean score or of the mean gain of ours over theirs.

    Args:
        trials: one per test set; those without `theirs` contribute a score, the others a gain.
        metric: `macro_f1` or `accuracy`.
    """
    from scipy.stats import bootstrap

    groups = [(t, k, _cells(t, k, t.ours), _cells(t, k, t.theirs)) for t in merged(trials) for k in [_classes(t)]]
    rows = sum(len(trial.ours) for trial, *_ in groups)

    def mean(*samples: Any, axis: int = -1) -> Any:
        total: Any = 0.0
        for (trial, classes, ours, theirs), items in zip(groups, samples, strict=True):
            times = _times(items)
            total = total + _total(times @ ours, trial, classes, metric)
            if len(trial.theirs):
                total = total - _total(times @ theirs, trial, classes, metric)
        return total / rows

    limits = bootstrap(
        [np.arange(len(trial.gold)) for trial, *_ in groups],
        mean,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(limits.low), float(limits.high)


def _times(items: Labels) -> Counts:
    """How often each item is drawn in each resample (resamples x items), from the numbers of the items drawn."""
    items = np.atleast_2d(items)
    resamples, n = items.shape
    drawn = items + n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def paired_p(trials: Sequence[Trial], metric: str) -> float:
    """Two-sided p-value of a paired permutation test: the methods' predictions of an item are swapped at random.

    Args:
        trials: with as many rows of `ours` as of `theirs`.
        metric: `macro_f1` or `accuracy`.
    Returns:
        (c + 1) / (n + 1) over n random swaps (Phipson & Smyth 2010), so never 0.
    """
    groups = [(t, k, _cells(t, k, t.ours), _cells(t, k, t.theirs)) for t in merged(trials) for k in [_classes(t)]]
    rng = np.random.default_rng(SEED)
    observed = abs(sum(difference(trial, metric) for trial, *_ in groups))
    extreme = 0
    for _ in range(SWAPS // BATCH):
        total: Any = 0.0
        for trial, classes, ours, theirs in groups:
            swapped = (rng.random((BATCH, len(trial.gold))) < 0.5).astype(np.float64) @ (theirs - ours)
            total = total + _total(ours.sum(0) + swapped, trial, classes, metric)
            total = total - _total(theirs.sum(0) - swapped, trial, classes, metric)
        extreme += int((np.abs(total) >= observed - 1e-9).sum())
    return (extreme + 1) / (SWAPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): significant at 0.05 where the step-down test says so.

    The i-th smallest of m is multiplied by m - i + 1, and is never below a smaller one's result nor above 1. Below
    a level a, the chance of even one false finding among all m is at most a, however the tests depend on one another.

    Returns:
        The corrected values in the order given.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [1.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected
