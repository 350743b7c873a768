"""Comparisons: one method against another on the same predictions, language by language, and in a sentence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deftx.evaluation import significance
from deftx.evaluation.names import MEAN
from deftx.evaluation.significance import Trial

LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """One method against another in a language, or on the average of the targets."""

    difference: float
    """Gain of the first over the second, in points."""
    low: float
    high: float
    """Its 95 % bootstrap interval."""
    p: float
    """From a paired permutation test."""
    p_holm: float
    """The same, corrected over the target languages (Holm 1979)."""


def pairs(methods: Sequence[str], reference: str | None, proposed: str | None) -> Iterator[tuple[str, str]]:
    """Which methods are compared: every one with the reference, then the proposed one with every other."""
    if reference in methods:
        yield from ((method, str(reference)) for method in methods if method != reference)
    if proposed in methods:
        yield from ((str(proposed), method) for method in methods if method not in (proposed, reference))


def compare(trials: Mapping[str, Trial], targets: Sequence[str], metric: str) -> dict[str, Comparison]:
    """Test one method against another in every language, and on the mean of the targets (under `mean`).

    Holm's correction is over the targets: the languages a claim of transfer is about. The source language and the mean
    are one test each, and stay as they are.

    Args:
        trials: by language, with as many rows of `ours` as of `theirs`.
        targets: the target languages, among those of `trials`.
        metric: `macro_f1` or `accuracy`.
    """
    some = {language: [trial] for language, trial in trials.items()} | {MEAN: [trials[t] for t in targets]}
    tests = {language: _test(group, metric) for language, group in some.items()}
    corrected = significance.holm([tests[target].p for target in targets])
    return tests | {t: replace(tests[t], p_holm=p) for t, p in zip(targets, corrected, strict=True)}


def _test(trials: Sequence[Trial], metric: str) -> Comparison:
    total = sum(significance.difference(trial, metric) for trial in trials)
    low, high = significance.interval(trials, metric)
    p = significance.paired_p(trials, metric)
    return Comparison(total / sum(len(t.ours) for t in trials), low, high, p, p)


def statement(title: str, other: str, tests: Mapping[str, Comparison], targets: Sequence[str]) -> str:
    """What a comparison says, in a sentence: on how many targets, how surely, and by how much on the mean."""
    better = [tests[target] for target in targets if tests[target].difference > 1e-9]
    worse = [tests[target] for target in targets if tests[target].difference < -1e-9]
    sure, against = (sum(test.p_holm < LEVEL for test in some) for some in (better, worse))
    said = f"{title} beats {other} on {_number(len(better))} of {len(targets)} languages"
    if better:
        said += f", significantly on {_number(sure)}"
    if against:
        said += f", and is significantly worse on {against}"
    mean = tests[MEAN]
    limits = f"[{signed(mean.low)}, {signed(mean.high)}]"
    return f"{said} (Holm, p < {LEVEL}); mean {signed(mean.difference, '+')} {limits}"


def _number(count: int) -> str:
    return str(count) if count else "none"


def signed(value: float, plus: str = "") -> str:
    """One decimal, with a minus sign as typeset; nothing is minus nought."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:{plus or '-'}.1f}".replace("-", "\N{MINUS SIGN}")
