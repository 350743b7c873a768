"""Signatures: equal for equal scores, and different as soon as anything that decides over a score is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.evaluation.signature import pooled, signature

VERSIONS = {"deftx": "0.1.0", "torch": "2.13.0"}
VECTORS = [{"sha256": "5a6d", "weight": 1.0}, {"sha256": "9e39", "weight": 0.5}]
WHOLE = {
    "metric": "macro_f1",
    "n": 400,
    "seeds": [0, 0],
    "base": "7e98c205" + 56 * "0",
    "data": "77b6b334" + 56 * "0",
    "vectors": VECTORS,
    "versions": VERSIONS,
}
CHANGES = {
    "metric": "accuracy",
    "n": 401,
    "seeds": [0, 1],
    "base": 64 * "0",
    "data": 64 * "0",
    "vectors": VECTORS[::-1],
    "versions": VERSIONS | {"torch": "2.14.0"},
}


def test_a_signature_in_full() -> None:
    """The form is part of what is published: a change of it is a change of format."""
    line = "macro_f1|n:400|seed:0|base:7e98c205|data:77b6b334|vectors:3effd8a6|deftx:0.1.0|torch:2.13.0"
    assert signature(**WHOLE) == line


@pytest.mark.parametrize("changed", CHANGES)
def test_whatever_decides_over_a_score_shows(changed: str) -> None:
    other = signature(**(WHOLE | {changed: CHANGES[changed]}))
    differing = [a for a, b in zip(other.split("|"), signature(**WHOLE).split("|"), strict=True) if a != b]
    assert len(differing) == 1


def test_a_weight_is_part_of_the_vectors() -> None:
    halved = [VECTORS[0] | {"weight": 0.5}, VECTORS[1]]
    assert signature(**(WHOLE | {"vectors": halved})) != signature(**WHOLE)


def test_a_seed_that_is_not_known() -> None:
    assert "|seed:unknown|" in signature(**(WHOLE | {"seeds": [None]}))


def test_the_seed_of_a_language_shows_where_it_is_another() -> None:
    assert "|seed:0+7|" in signature(**(WHOLE | {"seeds": [0, 7, 7]}))


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.sampled_from("xy")), min_size=1))
def test_pooled_signatures_name_all_seeds_and_keep_what_is_common(cells: list[tuple[int, str, str]]) -> None:
    lines = [
        signature(**(WHOLE | {"seeds": [seed], "data": data * 64, "vectors": [vector, seed]}))
        for seed, data, vector in cells
    ]
    together = pooled(lines)
    fields = dict(part.split(":") for part in together.split("|")[1:])
    assert fields["seed"] == ",".join(dict.fromkeys(str(seed) for seed, _, _ in cells))
    assert (fields["n"], fields["base"], fields["torch"]) == ("400", "7e98c205", "2.13.0")
    assert all(len(fields[name]) == 8 for name in ("base", "data", "vectors"))
    assert pooled([together, together]) == pooled(lines + lines) == together
    if len(set(lines)) == 1:
        assert together == lines[0]


def test_what_is_pooled_twice_is_listed_once() -> None:
    """As in a table's line, which stands for rows that are pooled themselves."""
    lines = [signature(**(WHOLE | {"n": n})) for n in (750, 738)]
    together = pooled([*lines, pooled(lines)])
    assert "|n:750,738|" in together
