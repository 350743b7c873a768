"""Conflicts: what happens to entries that several vectors of a sum move.

A composition adds weighted vectors t_i = w_i v_i. A vector *moves* an entry where t_i is not zero; entries that one
vector alone moves are the same under every rule. For the others:

`sum`           all are added (Ansell et al. 2022, section 3.2; task arithmetic, Ilharco et al. 2023).
`ties`          the sign of the sum of all t_i at an entry is elected, and only vectors of that sign move it; where the
                sum is zero none does. This is the election of TIES-Merging (Yadav et al. 2023, section 4), without its
                trimming, and adding those that agree where TIES takes their mean: so it differs from `sum` only where
                signs differ, and a rule is compared with another in that alone.
`drop-overlap`  no vector moves an entry that several move. What is left is disjoint: Ansell et al. 2022 want vectors
                sparse so that they interfere little, and here they cannot.

Which entries survive does not depend on the order of the vectors. What survives is added in the recipe's order.
Numpy only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from math import prod
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from deftx.merging.registry import MERGING_RULES
from deftx.modules import vectors

CHUNK = 1 << 18  # entries of a parameter whose values in all vectors are laid side by side

Values = NDArray[np.float32]
Survivors = NDArray[np.bool_]
Term = tuple[vectors.Vector, float]


class Rule(Protocol):
    """The code of a merging rule."""

    def survivors(self, values: Values) -> Survivors:
        """Return which values (vectors x elements, at elements that several move) survive."""


def resolve(terms: Sequence[Term], rule: str) -> list[Term]:
    """The terms of a sum, each without the entries it loses by the rule.

    An entry survives in a sparse vector bit for bit or is no longer one of its entries; in a dense delta it becomes
    zero. Weights and heads stay. `sum` gives the terms back unchanged.

    Args:
        terms: vectors of one base with their weights.
        rule: the name of a merging rule (`deftx.merging.registry`).
    """
    if not MERGING_RULES[rule].code:
        return list(terms)
    survivors = cast(Rule, import_module(MERGING_RULES[rule].code)).survivors
    kept: list[dict[str, Survivors]] = [{} for _ in terms]
    for name in dict.fromkeys(name for vector, _ in terms for name in (*vector.positions, *vector.dense)):
        moving = [n for n, (vector, _) in enumerate(terms) if name in vector.positions or name in vector.dense]
        if len(moving) > 1:
            found = _survivors([terms[n] for n in moving], name, survivors)
            for n, some in zip(moving, found, strict=True):
                kept[n][name] = some
    return [(_without(vector, some), weight) for (vector, weight), some in zip(terms, kept, strict=True)]


def _survivors(terms: Sequence[Term], name: str, rule: Callable[[Values], Survivors]) -> list[Survivors]:
    """For each term, which of its entries of a parameter survive: of a sparse vector's positions, or of all entries."""
    size = prod(terms[0][0].metadata.shapes[name])
    flats = [vector.full(name).ravel() if name in vector.dense else None for vector, _ in terms]
    kept = [
        np.zeros(len(vector.positions[name]) if flat is None else size, bool)
        for (vector, _), flat in zip(terms, flats, strict=True)
    ]
    for begin in range(0, size, CHUNK):
        end = min(begin + CHUNK, size)
        values = np.zeros((len(terms), end - begin), np.float32)
        places: list[tuple[slice, Any]] = []  # entries of the vector in this chunk, and where they lie in it
        for n, ((vector, weight), flat) in enumerate(zip(terms, flats, strict=True)):
            if flat is not None:
                places.append((slice(begin, end), slice(None)))
                moved = flat
            else:
                here = slice(*np.searchsorted(vector.positions[name], (begin, end)))
                places.append((here, vector.positions[name][here] - begin))
                moved = vector.values[name]
            values[n, places[n][1]] = np.float32(weight) * moved[places[n][0]]
        survivors = values != 0
        shared = np.flatnonzero(survivors.sum(axis=0) > 1)
        survivors[:, shared] = rule(values[:, shared])
        for n, (here, at) in enumerate(places):
            kept[n][here] = survivors[n, at]
    return kept


def _without(vector: vectors.Vector, kept: Mapping[str, Survivors]) -> vectors.Vector:
    """A vector with the entries of some parameters that are kept, and with all of the others."""
    positions, values, dense = dict(vector.positions), dict(vector.values), dict(vector.dense)
    for name, some in kept.items():
        if name in vector.dense:
            full = vector.full(name)
            dense[name] = np.where(some.reshape(full.shape), full, np.float32(0))
        else:
            positions[name], values[name] = positions[name][some], values[name][some]
    rows = {name: numbers for name, numbers in vector.rows.items() if name not in kept}
    return replace(vector, positions=positions, values=values, dense=dense, rows=rows)
