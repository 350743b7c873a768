"""Comparisons of two methods on the same test items, by language, and in a sentence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deftx.evaluation import significance
from deftx.evaluation.names import MEAN
from deftx.evaluation.significance import Trial

LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """Comparison of two methods in a language, or on the mean of the targets."""

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
    """Yield the pairs to compare: every method with the reference, then the proposed one with all other methods."""
    if reference in methods:
        yield from ((method, str(reference)) for method in methods if method != reference)
    if proposed in methods:
        yield from ((str(proposed), method) for method in methods if method not in (proposed, reference))


def compare(trials: Mapping[str, Trial], targets: Sequence[str], metric: str) -> dict[str, Comparison]:
    """Return tests of one method against another in every language, and on the mean of the targets (under `mean`).

    Holm's correction is over the targets, the languages of a claim of transfer. The source language and the mean are
    one test each, and are not corrected.

    Args:
        trials: by language, with as many rows of `ours` as of `theirs`.
        targets: the target languages, among those of `trials`.
        metric: `macro_f1` or `accuracy`.
    """
    groups = {language: [trial] for language, trial in trials.items()} | {MEAN: [trials[t] for t in targets]}
    tests = {language: _test(group, metric) for language, group in groups.items()}
    corrected = significance.holm([tests[target].p for target in targets])
    return tests | {t: replace(tests[t], p_holm=p) for t, p in zip(targets, corrected, strict=True)}


def _test(trials: Sequence[Trial], metric: str) -> Comparison:
    total = sum(significance.difference(trial, metric) for trial in trials)
    low, high = significance.interval(trials, metric)
    p = significance.paired_p(trials, metric)
    return Comparison(total / sum(len(t.ours) for t in trials), low, high, p, p)


def statement(title: str, other: str, tests: Mapping[str, Comparison], targets: Sequence[str]) -> str:
    """Return a comparison as a sentence: number of targets, significance, and difference on the mean."""
    better = [tests[target] for target in targets if tests[target].difference > 1e-9]
    worse = [tests[target] for target in targets if tests[target].difference < -1e-9]
    wins, losses = (sum(test.p_holm < LEVEL for test in group) for group in (better, worse))
    sentence = f"{title} beats {other} on {_format_count(len(better))} of {len(targets)} languages"
    if better:
        sentence += f", significantly on {_format_count(wins)}"
    if losses:
        sentence += f", and is significantly worse on {losses}"
    mean = tests[MEAN]
    limits = f"[{signed(mean.low)}, {signed(mean.high)}]"
    return f"{sentence} (Holm, p < {LEVEL}); mean {signed(mean.difference, '+')} {limits}"


def _format_count(count: int) -> str:
    return str(count) if count else "none"


def signed(value: float, plus: str = "") -> str:
    """Return a number with one decimal and a typographic minus sign; zero has no sign."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:{plus or '-'}.1f}".replace("-", "\N{MINUS SIGN}")
