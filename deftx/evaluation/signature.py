"""Signatures: one line that says what a score is, so that two scores with equal lines can be compared.

    macro_f1|n:400|seed:0|base:7e98c205|data:77b6b334|vectors:0f3c9a61|deftx:0.1.0|torch:2.13.0

As sacrebleu does for BLEU (Post 2018, A Call for Clarity in Reporting BLEU Scores): metric, number of test items, seeds
of the modules, then the first 8 digits of hashes of the base's weights, of the test set, and of the vectors with their
weights and the rule for conflicts; last the versions that evaluated. Training data and settings stand in the vectors,
and so in their hash. A line holds no times and no paths.
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
    """The signature of one score.

    Args:
        metric: `macro_f1` or `accuracy`.
        n: number of test items.
        seeds: that of the task's module first, then those of the others; None where one is not known (a module of
            another tool). Equal ones are named once: `0`, or `0+7`.
        base: hash of the base's weights, hexadecimal.
        data: hash of the test set, hexadecimal.
        vectors: what was added to the base, in order and how, as JSON: hashes and weights, no paths; then the rule
            for conflicts, where it is not the plain sum.
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
    """The signature of a score made of several: their common line, with all values where they differ.

    Numbers and versions are listed; several hashes become one over all of them, in order.

    Args:
        signatures: at least one; equal ones count once.
    """
    lines = [line.split("|") for line in dict.fromkeys(signatures)]
    parts = zip(*(line for line in lines), strict=True)
    return "|".join(_together(list(dict.fromkeys(values))) for values in parts)


def _together(values: Sequence[str]) -> str:
    name, colon, _ = values[0].partition(":")
    if len(values) == 1 or not colon:
        return ",".join(values)
    contents = [value.partition(":")[2] for value in values]
    if name in HASHES:
        return f"{name}:{_digest(','.join(contents))}"
    listed = dict.fromkeys(one for content in contents for one in content.split(","))
    return f"{name}:{','.join(listed)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
