"""What a score is, once for score files and for tables: macro-F1 and accuracy from confusion matrices.

A confusion matrix counts items, gold classes in lines and predicted ones in columns; classes are coded 0..C-1.
"""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Counts = NDArray[np.float64]


def confusion(gold: Labels, predicted: Labels) -> Counts:
    """Confusion matrix (classes x classes, float64) of as many classes as the largest code needs."""
    classes = int(max(gold.max(), predicted.max())) + 1
    return np.bincount(gold * classes + predicted, minlength=classes**2).reshape(classes, classes).astype(np.float64)


def macro_f1(counts: Counts, occurring: Labels) -> Counts:
    """Macro-F1 in percent of confusion matrices (... x classes x classes): the mean F1 of the classes `occurring`.

    With the classes that occur in the gold labels it equals scikit-learn's `f1_score(average="macro",
    zero_division=0)` over all classes of the task, given that each of them occurs; `deftx dataset` sees to that.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    size = counts.sum(-1) + counts.sum(-2)
    f1 = 2 * hits / np.maximum(size, 1)
    return 100 * f1[..., occurring].mean(-1)


def accuracy(counts: Counts, _: Labels) -> Counts:
    """Accuracy in percent of confusion matrices (... x classes x classes)."""
    return 100 * (np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-1, -2)))


FROM_COUNTS = {"macro_f1": macro_f1, "accuracy": accuracy}
"""By the name of the metric; each from counts and the classes that occur in the gold labels."""


def score(metric: str, gold: Labels, predicted: Labels) -> float:
    """The score of predictions, in percent."""
    return float(FROM_COUNTS[metric](confusion(gold, predicted), np.unique(gold)))
