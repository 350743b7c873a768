"""Signatures: one line that identifies how a score was computed, so that scores with equal lines are comparable.

    macro_f1|n:400|seed:0|base:7e98c205|data:77b6b334|vectors:0f3c9a61|deftx:0.1.0|torch:2.13.0

As sacrebleu does for BLEU (Post 2018, A Call for Clarity in Reporting BLEU Scores): metric, number of test items, seeds
of the modules, then the first 8 digits of hashes of the base's weights, of the test set, and of the vectors with their
weights and the rule for conflicts; last the versions of the evaluating software. Training data and settings are part of
the vectors, and so of their hash. A line contains no times and no paths.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HASHES = ("base", "data", "vectors")
DIGITS = 8


def signature(
    metric: str,
    n: int,
    seeds: Sequence[int | None],
    base: str,
    data: str,
    vectors: Sequence[Any],
    versions: Mapping[str, str],
) -> str:
    """Return the signature of one score.

    Args:
        metric: `macro_f1` or `accuracy`.
        n: number of test items.
        seeds: that of the task's module first, then those of all other modules; None if it is unknown (a module of
            another tool). Equal seeds are listed once: `0`, or `0+7`.
        base: hash of the base's weights, hexadecimal.
        data: hash of the test set, hexadecimal.
        vectors: modules added to the base, in order, as JSON: hashes and weights, no paths; then the rule for
            conflicts, if it is not the plain sum.
        versions: packages and their versions.
    """
    fields = {
        "n": n,
        "seed": "+".join(dict.fromkeys("unknown" if seed is None else str(seed) for seed in seeds)),
        "base": base[:DIGITS],
        "data": data[:DIGITS],
        "vectors": _digest(json.dumps(vectors, sort_keys=True)),
    } | dict(versions)
    return "|".join([metric, *(f"{name}:{value}" for name, value in fields.items())])


def pooled(signatures: Iterable[str]) -> str:
    """Return the signature of a score over several others: their common line, with all values where they differ.

    Numbers and versions are listed; several hashes become one over all of them, in order.

    Args:
        signatures: at least one; equal ones count once.
    """
    lines = [line.split("|") for line in dict.fromkeys(signatures)]
    parts = zip(*(line for line in lines), strict=True)
    return "|".join(_join_values(list(dict.fromkeys(values))) for values in parts)


def _join_values(values: Sequence[str]) -> str:
    name, colon, _ = values[0].partition(":")
    if len(values) == 1 or not colon:
        return ",".join(values)
    contents = [value.partition(":")[2] for value in values]
    if name in HASHES:
        return f"{name}:{_digest(','.join(contents))}"
    distinct = dict.fromkeys(value for content in contents for value in content.split(","))
    return f"{name}:{','.join(distinct)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
