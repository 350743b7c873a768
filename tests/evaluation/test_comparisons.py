"""Comparisons: which methods, what a test holds, and the sentence it makes."""

import numpy as np
import pytest

from deftx.evaluation.comparisons import Comparison, compare, pairs, signed, statement
from deftx.evaluation.names import MEAN
from deftx.evaluation.significance import Trial, accuracy, holm, interval, paired_p

TARGETS = ("one", "two", "three")


def trials() -> dict[str, Trial]:
    """A source and three targets, parallel; ours is better from one to the next."""
    rng = np.random.default_rng(0)
    gold = np.arange(90) % 3

    def rows(right: float) -> np.ndarray:
        return np.where(rng.random((2, 90)) < right, gold, rng.integers(0, 3, (2, 90)))

    chances = {"source": 0.9, "one": 0.5, "two": 0.7, "three": 0.95}
    return {language: Trial(gold, rows(chance), rows(0.5)) for language, chance in chances.items()}


def test_the_reference_is_met_by_all_and_the_proposed_method_meets_all() -> None:
    methods = ["full-ft", "lt-sft", "deft-x", "mad-x"]
    assert list(pairs(methods, "lt-sft", "deft-x")) == [
        ("full-ft", "lt-sft"),
        ("deft-x", "lt-sft"),
        ("mad-x", "lt-sft"),
        ("deft-x", "full-ft"),
        ("deft-x", "mad-x"),
    ]
    assert list(pairs(methods, None, "deft-x")) == [("deft-x", m) for m in ("full-ft", "lt-sft", "mad-x")]
    assert list(pairs(["full-ft"], None, None)) == []


def test_a_comparison_holds_what_the_statistics_say() -> None:
    some = trials()
    tests = compare(some, TARGETS, "accuracy")
    for language, trial in some.items():
        gain = np.mean([accuracy(trial.gold, a) - accuracy(trial.gold, b)
                        for a, b in zip(trial.ours, trial.theirs, strict=True)])  # fmt: skip
        assert tests[language].difference == pytest.approx(gain)
        assert (tests[language].low, tests[language].high) == interval([trial], "accuracy")
        assert tests[language].p == paired_p([trial], "accuracy")
    assert tests[MEAN].difference == pytest.approx(np.mean([tests[t].difference for t in TARGETS]))
    assert tests[MEAN].p == paired_p([some[t] for t in TARGETS], "accuracy")


def test_the_correction_is_over_the_targets_alone() -> None:
    tests = compare(trials(), TARGETS, "accuracy")
    assert [tests[t].p_holm for t in TARGETS] == holm([tests[t].p for t in TARGETS])
    assert any(tests[t].p_holm > tests[t].p for t in TARGETS)
    assert all(tests[c].p_holm == tests[c].p for c in ("source", MEAN))


def outcome(*differences: float, p: float = 0.01) -> dict[str, Comparison]:
    """Targets named by number, and their mean with an interval of a point either way."""
    mean = sum(differences) / len(differences)
    some = {str(n): Comparison(d, d - 1, d + 1, p, p) for n, d in enumerate(differences)}
    return some | {MEAN: Comparison(mean, mean - 1, mean + 1, p, p)}


@pytest.mark.parametrize(
    ("differences", "p", "said"),
    [
        (
            (1, 2, 0.5, -2, 0.5),
            0.2,
            "A beats B on 4 of 5 languages, significantly on none (Holm, p < 0.05); mean +0.4 [-0.6, 1.4]",
        ),
        (
            (3, -1, 0),
            0.01,
            "A beats B on 1 of 3 languages, significantly on 1, and is significantly worse on 1 (Holm, p < 0.05); "
            "mean +0.7 [-0.3, 1.7]",
        ),
        ((-3, -5), 0.3, "A beats B on none of 2 languages (Holm, p < 0.05); mean -4.0 [-5.0, -3.0]"),
        ((0.0,), 1.0, "A beats B on none of 1 languages (Holm, p < 0.05); mean +0.0 [-1.0, 1.0]"),
    ],
)
def test_what_is_said(differences: tuple[float, ...], p: float, said: str) -> None:
    targets = [str(n) for n in range(len(differences))]
    assert statement("A", "B", outcome(*differences, p=p), targets).replace("\N{MINUS SIGN}", "-") == said


def test_nothing_is_minus_nought() -> None:
    assert [signed(x, "+") for x in (-0.04, 0.04, -0.06)] == ["+0.0", "+0.0", "\N{MINUS SIGN}0.1"]
