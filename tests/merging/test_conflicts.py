"""Conflicts: each rule against a plain reference, entry by entry."""

import math
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.merging import arithmetic, conflicts, ties
from deftx.merging.conflicts import Term, resolve
from deftx.merging.registry import MERGING_RULES
from deftx.modules import vectors as vector_files
from tests.helpers import vectors

WEIGHTS = st.sampled_from([1.0, 0.5, -1.0, 0.0, 0.3])
RULES = st.sampled_from(sorted(MERGING_RULES))


def any_vector() -> st.SearchStrategy[vector_files.Vector]:
    return vectors.sparse_vectors() | st.builds(
        vectors.dense, st.integers(0, 99), zero_rows=st.sampled_from([(), (3,)])
    )


def any_terms(most: int = 3) -> st.SearchStrategy[list[Term]]:
    return st.lists(st.tuples(any_vector(), WEIGHTS), min_size=1, max_size=most)


def surviving(moves: list[float], rule: str) -> list[float]:
    """What each vector still adds to one entry, by the definition in the module's first lines."""
    total = sum(map(Fraction, moves))
    several = sum(move != 0 for move in moves) > 1
    survives = {"sum": lambda _: True, "ties": lambda move: move * total > 0, "drop-overlap": lambda _: not several}
    return [move if survives[rule](Fraction(move)) else 0.0 for move in moves]


def moves(terms: list[Term]) -> list[np.ndarray[Any, Any]]:
    """What each term adds, as one flat float32 array over all parameters."""
    return [
        np.concatenate([(np.float32(w) * d.astype(np.float32)).ravel() for d in vectors.as_dense(v).values()])
        for v, w in terms
    ]


@given(any_terms(), RULES)
def test_every_entry_is_what_the_rule_says(terms: list[Term], rule: str) -> None:
    expected = [surviving(entry, rule) for entry in np.stack(moves(terms), axis=1).tolist()]
    assert np.stack(moves(resolve(terms, rule)), axis=1).tolist() == expected


@given(any_terms(), RULES)
def test_the_order_of_the_vectors_does_not_matter(terms: list[Term], rule: str) -> None:
    found = resolve(terms, rule)
    for order in permutations(range(len(terms))):
        again = resolve([terms[n] for n in order], rule)
        assert all(vectors.same(again[place][0], found[n][0]) for place, n in enumerate(order))


@given(any_vector(), WEIGHTS, RULES)
def test_a_vector_alone_has_no_conflicts(vector: vector_files.Vector, weight: float, rule: str) -> None:
    assert vectors.same(resolve([(vector, weight)], rule)[0][0], vector)


@given(any_terms(), RULES)
def test_chunks_change_nothing(terms: list[Term], rule: str) -> None:
    whole = resolve(terms, rule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conflicts, "CHUNK", 7)
        pieces = resolve(terms, rule)
    assert all(vectors.same(one[0], other[0]) for one, other in zip(whole, pieces, strict=True))


@given(any_terms(2))
def test_without_opposite_signs_an_election_changes_nothing(terms: list[Term]) -> None:
    positive = [
        (
            vector_files.Vector(v.metadata, v.positions, {n: np.abs(x) for n, x in v.values.items()},
                       {n: np.abs(x) for n, x in v.dense.items()}, v.head, v.rows),
            abs(weight),
        )
        for v, weight in terms
    ]  # fmt: skip
    for before, after in zip(moves(positive), moves(resolve(positive, "ties")), strict=True):
        assert before.tolist() == after.tolist()


def test_equal_magnitudes_of_opposite_sign_elect_nobody() -> None:
    one = vectors.sparse(1, share=1.0)
    assert [v.entries for v, _ in resolve([(one, 0.5), (one, -0.5)], "ties")] == [0, 0]


def test_a_hand_computed_example() -> None:
    """Three vectors, five entries; the elected signs are +, -, none, +, +."""
    values = np.array([[1, 2, 1, 0, 3], [2, -3, -1, 0, 0], [-1, 0, 0, 4, -1]], np.float32)
    elected = [[True, False, False, False, True], [True, True, False, False, False], [False, False, False, True, False]]
    assert ties.survivors(values).tolist() == elected


def test_resolved_vectors_are_added_as_any_others() -> None:
    """The sum that is stored is what adding the terms gives; heads and weights stay."""
    task, language = vectors.sparse(1, head=True, labels=["a", "b"]), vectors.sparse(2)
    terms = resolve([(task, 1.0), (language, 0.5)], "drop-overlap")
    assert [weight for _, weight in terms] == [1.0, 0.5]
    assert terms[0][0].head == task.head
    total = arithmetic.sum_of(terms)
    assert total.entries == sum(vector.entries for vector, _ in terms)
    assert all(math.isfinite(x) for values in total.values.values() for x in values.tolist())
