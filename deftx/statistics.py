"""Is a difference more than noise: bootstrap intervals, paired permutation tests, and Holm's correction.

All is computed from stored predictions. Labels are coded 0..C-1. All predictions of one test set by several seeds (or,
for parallel test sets, of several languages) are rows over the same items: an item is resampled or swapped in all rows
together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
SEED = 20_250_521
CONFIDENCE = 0.95

Labels = NDArray[np.int64]


def macro_f1(gold: Labels, predicted: Labels, axis: int = -1) -> NDArray[np.float64]:
    """Macro-F1 in percent over the classes that occur in `gold` anywhere, along the last axis; vectorised.

    Equals scikit-learn's `f1_score(average="macro", zero_division=0)` over all classes of the task, given that
    each of them occurs in the gold labels.
    """
    counts = _confusion(np.moveaxis(gold, axis, -1), np.moveaxis(predicted, axis, -1))
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    size = counts.sum(-1) + counts.sum(-2)
    f1 = 2 * hits / np.maximum(size, 1)
    occurs = np.isin(np.arange(counts.shape[-1]), gold)
    return 100 * f1[..., occurs].mean(-1)


def _confusion(gold: Labels, predicted: Labels) -> NDArray[np.int64]:
    """Confusion matrices (... x classes x classes, gold in lines) of labels along the last axis."""
    gold, predicted = np.broadcast_arrays(gold, predicted)
    classes = int(max(gold.max(), predicted.max())) + 1
    cells = (gold * classes + predicted).reshape(-1, gold.shape[-1])
    cells += classes**2 * np.arange(len(cells))[:, None]  # one histogram for all matrices
    counts = np.bincount(cells.ravel(), minlength=len(cells) * classes**2)
    return counts.reshape(*gold.shape[:-1], classes, classes)


def accuracy(gold: Labels, predicted: Labels, axis: int = -1) -> NDArray[np.float64]:
    """Accuracy in percent along `axis`."""
    return 100 * np.mean(gold == predicted, axis=axis)


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


def difference(trial: Trial, metric: str, ours: Any, theirs: Any, gold: Any) -> Any:
    """Sum over rows of our score, minus theirs; indices of items may have leading axes of resamples."""
    score = METRICS[metric]
    total = sum(score(trial.gold[gold], row[ours]) for row in trial.ours)
    return total - sum(score(trial.gold[gold], row[theirs]) for row in trial.theirs)


def interval(trials: Sequence[Trial], metric: str) -> tuple[float, float]:
    """95 % percentile bootstrap interval, over the items, of the mean score or of the mean gain of ours over theirs.

    Args:
        trials: one per test set; those without `theirs` contribute a score, the others a gain.
        metric: `macro_f1` or `accuracy`.
    """
    from scipy.stats import bootstrap

    groups = merged(trials)
    rows = sum(len(group.ours) for group in groups)

    def mean(*items: Any, axis: int = -1) -> Any:
        return sum(difference(g, metric, i, i, i) for g, i in zip(groups, items, strict=True)) / rows

    limits = bootstrap(
        [np.arange(len(group.gold)) for group in groups],
        mean,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=250,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(limits.low), float(limits.high)


def paired_p(trials: Sequence[Trial], metric: str) -> float:
    """Two-sided p-value of a paired permutation test: the methods' predictions of an item are swapped at random.

    Args:
        trials: with as many rows of `ours` as of `theirs`.
        metric: `macro_f1` or `accuracy`.
    Returns:
        (c + 1) / (n + 1) over n random swaps (Phipson & Smyth 2010), so never 0.
    """
    groups = merged(trials)
    rng = np.random.default_rng(SEED)
    observed = abs(sum(difference(g, metric, *[np.arange(len(g.gold))] * 3) for g in groups))
    extreme = 0
    for _ in range(RESAMPLES // 250):
        total: Any = 0.0
        for group in groups:
            n = len(group.gold)
            both = np.hstack([group.ours, group.theirs])
            doubled = Trial(group.gold, both, both)
            swap = n * (rng.random((250, n)) < 0.5)
            items = np.arange(n)
            total = total + difference(doubled, metric, items + swap, items + n - swap, items)
        extreme += int((np.abs(total) >= observed - 1e-9).sum())
    return (extreme + 1) / (RESAMPLES + 1)


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
