"""Metrics equal scikit-learn's to the last bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from deftx.tasks import metrics

CLASSES = 5
CODED = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=60)
"""Gold and predicted codes of items; any class may be missing from either."""
Pairs = list[tuple[int, int]]


def codes(pairs: Pairs) -> tuple[metrics.Labels, metrics.Labels]:
    gold, predicted = np.array(pairs, np.int64).T
    return gold, predicted


@given(CODED)
def test_rates_of_classes(pairs: Pairs) -> None:
    gold, predicted = codes(pairs)
    counts = metrics.confusion(gold, predicted, CLASSES)
    expected = precision_recall_fscore_support(gold, predicted, labels=range(CLASSES), zero_division=0)
    for found, values in zip((metrics.precision, metrics.recall, metrics.f1), expected, strict=False):
        assert found(counts).tobytes() == values.tobytes()
    assert counts.tolist() == confusion_matrix(gold, predicted, labels=range(CLASSES)).tolist()


@given(CODED)
def test_macro_f1_over_all_classes_as_training_takes_it(pairs: Pairs) -> None:
    gold, predicted = codes(pairs)
    options: Any = {"labels": range(CLASSES), "average": "macro", "zero_division": 0}
    expected = f1_score(gold.tolist(), predicted, **options)
    assert float(metrics.f1(metrics.confusion(gold, predicted, CLASSES)).mean()) == float(expected)


@given(CODED)
def test_scores_in_percent(pairs: Pairs) -> None:
    gold, predicted = codes(pairs)
    options: Any = {"labels": np.unique(gold), "average": "macro", "zero_division": 0}
    assert metrics.score("macro_f1", gold, predicted) == 100 * float(f1_score(gold, predicted, **options))
    assert metrics.score("accuracy", gold, predicted) == pytest.approx(100 * accuracy_score(gold, predicted), rel=1e-15)
