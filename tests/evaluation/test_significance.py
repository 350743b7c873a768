"""Statistics: scores as scikit-learn has them, and tests that tell a difference from none."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, f1_score

from deftx.evaluation import significance
from deftx.evaluation.significance import (
    Labels,
    Parallel,
    Trial,
    accuracy,
    difference,
    holm,
    interval,
    macro_f1,
    paired_p,
    parallel,
)


def coded(seed: int, n: int, classes: int = 3) -> Labels:
    return np.random.default_rng(seed).integers(0, classes, n)


def predictions(gold: Labels, right: float, rows: int = 1, seed: int = 0) -> Labels:
    """Rows of predictions, each label right with this chance, else any."""
    rng = np.random.default_rng((seed, 1))
    guesses = rng.integers(0, 3, (rows, len(gold)))
    return np.where(rng.random((rows, len(gold))) < right, gold, guesses)


@given(st.integers(0, 10**6), st.integers(10, 60))
def test_scores_equal_scikit_learn(seed: int, n: int) -> None:
    gold = np.concatenate([np.arange(3), coded(seed, n)])
    predicted = coded(seed + 1, n + 3)
    assert macro_f1(gold, predicted) == pytest.approx(
        100 * f1_score(gold, predicted, average="macro", labels=range(3), zero_division=0)
    )
    assert accuracy(gold, predicted) == pytest.approx(100 * accuracy_score(gold, predicted))


def trial(gold: Labels, ours: float, theirs: float, rows: int = 1, seed: int = 0) -> Trial:
    return Trial(gold, predictions(gold, ours, rows, seed), predictions(gold, theirs, rows, seed + 1))


RESAMPLED = 20
"""Resamples where each is also computed one by one."""


def plainly(metric: str, gold: list[int], predicted: list[int]) -> float:
    """The score of labels by the textbook."""
    pairs = list(zip(gold, predicted, strict=True))
    if metric == "accuracy":
        return 100 * sum(g == p for g, p in pairs) / len(pairs)
    sizes = [(sum(g == p == c for g, p in pairs), gold.count(c) + predicted.count(c)) for c in range(3)]
    return 100 * sum(2 * hits / size if size else 0.0 for hits, size in sizes) / 3


def trials_of(seed: int) -> list[Trial]:
    """Four test sets, three of them parallel, of which one lacks two items and has another of its own.

    In a resample of so few items a class may be missing.
    """
    gold, other = (np.concatenate([np.arange(3), coded(seed + n, 4)]) for n in range(2))
    kept = np.array([4, 0, 1, 2, 3])
    lacking = replace(trial(np.append(gold[kept], 0), 0.7, 0.5, 2, seed + 6), ids=(*kept.tolist(), "its own"))
    first, third = trial(gold, 0.8, 0.4, 2, seed), trial(gold, 0.5, 0.5, 1, seed + 2)
    return [first, lacking, third, trial(other, 0.6, 0.5, 2, seed + 4)]


def total(group: Parallel, metric: str, items: Labels, swap: Labels) -> float:
    """Gain over the items drawn, with the predictions of some items swapped, summed over trials and their rows."""
    gain = 0.0
    for one, places in group.trials:
        own = {place: n for n, place in enumerate(places.tolist())}
        drawn = np.array([own[item] for item in items.tolist() if item in own], int)
        gain += total_of_trial(one, metric, drawn, swap[places])
    return gain


def total_of_trial(one: Trial, metric: str, items: Labels, swap: Labels) -> float:
    rows = [(np.where(swap, b, a)[items], np.where(swap, a, b)[items])
            for a, b in zip(one.ours, one.theirs, strict=True)]  # fmt: skip
    gold = one.gold[items].tolist()
    return sum(plainly(metric, gold, a.tolist()) - plainly(metric, gold, b.tolist()) for a, b in rows)


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
@pytest.mark.parametrize("seed", range(3))
def test_an_interval_equals_one_computed_resample_by_resample(
    metric: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(significance, "RESAMPLES", RESAMPLED)
    groups = parallel(trials_of(seed))
    draws = [np.arange(group.items) for group in groups]
    rows = sum(len(one.ours) for one in trials_of(seed))

    def mean(*items: Labels) -> float:
        unswapped = [np.zeros(group.items, bool) for group in groups]
        return sum(total(*each) for each in zip(groups, [metric] * len(groups), items, unswapped, strict=True)) / rows

    limits = bootstrap(
        draws, mean, vectorized=False, n_resamples=RESAMPLED, method="percentile",
        rng=np.random.default_rng(significance.SEED),
    ).confidence_interval  # fmt: skip
    assert interval(trials_of(seed), metric) == pytest.approx(tuple(limits))


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
@pytest.mark.parametrize("seed", range(3))
def test_p_equals_one_computed_swap_by_swap(metric: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "SWAPS", 250)
    groups = parallel(trials_of(seed))
    rng = np.random.default_rng(significance.SEED)
    swaps = [rng.random((250, group.items)) < 0.5 for group in groups]
    everything = [np.arange(group.items) for group in groups]
    gains = [
        sum(total(g, metric, i, swap[n]) for g, i, swap in zip(groups, everything, swaps, strict=True))
        for n in range(250)
    ]
    observed = sum(total(g, metric, i, 0 * i) for g, i in zip(groups, everything, strict=True))
    extreme = sum(abs(gain) >= abs(observed) - 1e-9 for gain in gains)
    assert paired_p(trials_of(seed), metric) == (extreme + 1) / 251


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_equal_methods_do_not_differ(metric: str) -> None:
    gold = coded(0, 80)
    same = predictions(gold, 0.7, rows=2)
    assert paired_p([Trial(gold, same, same)], metric) == 1.0
    assert interval([Trial(gold, same, same)], metric) == (0.0, 0.0)


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_a_clear_difference_is_found_whichever_way_round(metric: str) -> None:
    gold = coded(0, 200)
    better = trial(gold, 0.9, 0.3)
    worse = Trial(gold, better.theirs, better.ours)
    assert paired_p([better], metric) < 0.001
    assert paired_p([worse], metric) == paired_p([better], metric)
    low, high = interval([better], metric)
    assert 0 < low < high


def test_p_values_of_equally_good_methods_are_uniform() -> None:
    """One in ten or so below 0.1; never 0."""
    values = [paired_p([trial(coded(n, 60), 0.6, 0.6, seed=2 * n)], "accuracy") for n in range(60)]
    assert min(values) > 0
    assert sum(p < 0.1 for p in values) <= 12
    assert sum(p > 0.5 for p in values) >= 18


def test_p_agrees_with_every_swap_tried_out() -> None:
    """All 2^10 ways to swap the predictions of ten items."""
    gold = coded(3, 10)
    tried = trial(gold, 0.9, 0.4, seed=5)
    ways = (np.arange(1024)[:, None] >> np.arange(10)) & 1
    ours, theirs = tried.ours[0], tried.theirs[0]
    gains = np.mean((np.where(ways, theirs, ours) == gold) * 100.0 - (np.where(ways, ours, theirs) == gold) * 100.0, -1)
    expected = np.mean(np.abs(gains) >= abs(gains[0]) - 1e-9)
    assert paired_p([tried], "accuracy") == pytest.approx(expected, abs=0.03)


def test_an_interval_covers_the_true_score() -> None:
    """Right with chance 0.7, else a guess among three: the true accuracy is 80 percent."""
    covered = 0
    for n in range(40):
        gold = coded(n, 100)
        low, high = interval([Trial(gold, predictions(gold, 0.7, seed=n), np.empty((0, 100), np.int64))], "accuracy")
        covered += low <= 80 <= high
    assert covered >= 34


def test_an_interval_is_around_the_score_and_repeatable() -> None:
    gold = coded(0, 100)
    alone = Trial(gold, predictions(gold, 0.8, rows=3), np.empty((0, 100), np.int64))
    low, high = interval([alone], "macro_f1")
    assert low < np.mean([macro_f1(gold, row) for row in alone.ours]) < high
    assert interval([alone], "macro_f1") == (low, high)


def test_parallel_test_sets_are_put_together() -> None:
    gold, other = coded(0, 50), coded(1, 50)
    trials = [trial(gold, 0.8, 0.5), trial(gold, 0.7, 0.5, rows=2, seed=3), trial(other, 0.6, 0.5)]
    first, second = parallel(trials)
    [(both, places)], [(alone, _)] = first.trials, second.trials
    assert both.ours.shape == both.theirs.shape == (3, 50)
    np.testing.assert_array_equal(places, np.arange(50))
    np.testing.assert_array_equal(alone.ours, trials[2].ours)
    apart = sum(difference(t, "macro_f1") for t in trials)
    assert sum(difference(t, "macro_f1") for t in (both, alone)) == pytest.approx(apart)


def test_a_test_set_that_lacks_items_is_parallel_all_the_same() -> None:
    """Whatever their order; but not one with another label at a shared item, nor one that shares none."""
    gold = coded(0, 6)
    whole = trial(gold, 0.8, 0.5)
    kept = np.array([5, 0, 3])
    lacking = replace(trial(gold[kept], 0.7, 0.5), ids=(5, 0, 3))
    other = replace(trial((gold[kept] + 1) % 3, 0.7, 0.5), ids=(5, 0, 3))
    apart = replace(trial(gold[kept], 0.7, 0.5), ids=("a", "b", "c"))
    first, second, third = parallel([whole, lacking, other, apart])
    assert (first.items, second.items, third.items) == (6, 3, 3)
    np.testing.assert_array_equal(first.trials[1][1], kept)


def test_a_copy_that_lacks_an_item_is_hardly_new_evidence() -> None:
    """As if the sets were independent, an interval would be narrower by the square root of two."""
    gold = coded(0, 200)
    one = trial(gold, 0.7, 0.5)
    lacking = Trial(gold[1:], one.ours[:, 1:], one.theirs[:, 1:], tuple(range(1, 200)))
    (low, high), (least, most) = (interval(some, "accuracy") for some in ([one], [one, lacking]))
    assert most - least == pytest.approx(high - low, rel=0.05)
    assert paired_p([one, lacking], "accuracy") == pytest.approx(paired_p([one], "accuracy"), abs=0.01)


def test_copies_of_a_test_set_are_no_new_evidence() -> None:
    gold = coded(0, 60)
    one = trial(gold, 0.7, 0.5)
    for measure in (interval, paired_p):
        assert measure([one] * 4, "accuracy") == pytest.approx(measure([one], "accuracy"))


P_VALUES = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.02, 0.05, 1.0]), max_size=12)


def rejected(p_values: list[float], level: float) -> set[int]:
    """Holm's procedure as he describes it: from the smallest on, until one is above level / (number left)."""
    found: set[int] = set()
    for place in sorted(range(len(p_values)), key=lambda n: p_values[n]):
        if p_values[place] * (len(p_values) - len(found)) > level:
            break
        found.add(place)
    return found


@given(P_VALUES, st.sampled_from([0.001, 0.05, 0.1, 0.5]))
def test_corrected_p_values_reject_what_the_procedure_rejects(p_values: list[float], level: float) -> None:
    assert {place for place, p in enumerate(holm(p_values)) if p <= level} == rejected(p_values, level)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_the_correction_keeps_the_order_and_takes_any(p_values: list[float], random: random.Random) -> None:
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))
    assert sorted(range(len(p_values)), key=lambda n: (p_values[n], n)) == sorted(
        range(len(p_values)), key=lambda n: (corrected[n], p_values[n], n)
    )
    order = random.sample(range(len(p_values)), len(p_values))
    assert holm([p_values[n] for n in order]) == [corrected[n] for n in order]


def test_a_correction_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2] and holm([]) == []
