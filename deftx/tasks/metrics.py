"""What a score is, once for training, score files and tables: F1, macro-F1 and accuracy from confusion matrices.

A confusion matrix counts items, gold classes in lines and predicted ones in columns; classes are coded 0..C-1. All
values equal scikit-learn's to the last bit (`zero_division=0`), without its import.
"""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Counts = NDArray[np.float64]


def confusion(gold: Labels, predicted: Labels, classes: int | None = None) -> Counts:
    """Return the confusion matrix (classes x classes, float64).

    Args:
        gold: codes of the gold labels.
        predicted: as many codes of predicted labels.
        classes: how many there are; without it as many as the largest code needs.
    """
    if classes is None:
        classes = int(max(gold.max(), predicted.max())) + 1
    return np.bincount(gold * classes + predicted, minlength=classes**2).reshape(classes, classes).astype(np.float64)


def precision(counts: Counts) -> Counts:
    """Return each class' precision (... x classes, from 0 to 1); 0 where a class was not predicted."""
    return np.diagonal(counts, axis1=-2, axis2=-1) / np.maximum(counts.sum(-2), 1)


def recall(counts: Counts) -> Counts:
    """Return each class' recall (... x classes, from 0 to 1); 0 where a class does not occur."""
    return np.diagonal(counts, axis1=-2, axis2=-1) / np.maximum(counts.sum(-1), 1)


def f1(counts: Counts) -> Counts:
    """Return each class' F1 (... x classes, from 0 to 1); 0 where a class neither occurs nor was predicted."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    size = counts.sum(-1) + counts.sum(-2)
    return 2 * hits / np.maximum(size, 1)


def macro_f1(counts: Counts, occurring: Labels) -> Counts:
    """Return macro-F1 in percent of confusion matrices (... x classes x classes): the mean F1 of `occurring` ones.

    With the classes that occur in the gold labels it equals scikit-learn's `f1_score(average="macro",
    zero_division=0)` over all classes of the task, given that each of them occurs; `deftx dataset` sees to that. On
    validation sets, which need not hold every class, training takes the mean of `f1` over all classes.
    """
    return 100 * f1(counts)[..., occurring].mean(-1)


def accuracy(counts: Counts, _: Labels) -> Counts:
    """Return accuracy in percent of confusion matrices (... x classes x classes)."""
    return 100 * (np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-1, -2)))


FROM_COUNTS = {"macro_f1": macro_f1, "accuracy": accuracy}
"""By the name of the metric; each from counts and the classes that occur in the gold labels."""


def score(metric: str, gold: Labels, predicted: Labels) -> float:
    """Return the score of predictions, in percent."""
    return float(FROM_COUNTS[metric](confusion(gold, predicted), np.unique(gold)))
