"""Conflicts between the vectors of a sum: elements that several of them change.

A composition adds weighted vectors t_i = w_i v_i. A vector *changes* an element where t_i is not zero. Elements that a
single vector changes are the same under every rule. For elements that several change:

`sum`           all values are added (Ansell et al. 2022, section 3.2; task arithmetic, Ilharco et al. 2023).
`ties`          the sign of the sum of all t_i at an element is elected, and only values of that sign are added; if the
                sum is zero, none is. This is the election of TIES-Merging (Yadav et al. 2023, section 4), without its
                trimming, and with a sum where TIES takes a mean: it differs from `sum` only where signs differ, so the
                two rules are compared in that alone.
`drop-overlap`  no value is added. The remaining vectors are disjoint: Ansell et al. 2022 want vectors sparse so that
                they interfere little, and here they cannot interfere.

Which values survive does not depend on the order of the vectors. Surviving values are added in the recipe's order.
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

CHUNK = 1 << 18  # elements of a parameter that are processed together, for all vectors

Values = NDArray[np.float32]
Survivors = NDArray[np.bool_]
Term = tuple[vectors.Vector, float]


class Rule(Protocol):
    """Interface of the code of a merging rule."""

    def survivors(self, values: Values) -> Survivors:
        """Return which values (vectors x elements, at elements that several change) survive."""


def resolve(terms: Sequence[Term], rule: str) -> list[Term]:
    """Return the terms of a sum, each without the elements that the rule drops.

    Surviving elements stay bit for bit. Dropped ones are removed from a sparse vector, and become zero in a dense
    delta. Weights and heads stay. `sum` returns the terms unchanged.

    Args:
        terms: vectors of one base with their weights.
        rule: the name of a merging rule (`deftx.merging.registry`).
    """
    if not MERGING_RULES[rule].code:
        return list(terms)
    survivors = cast(Rule, import_module(MERGING_RULES[rule].code)).survivors
    selected: list[dict[str, Survivors]] = [{} for _ in terms]
    for name in dict.fromkeys(name for vector, _ in terms for name in (*vector.positions, *vector.dense)):
        indices = [n for n, (vector, _) in enumerate(terms) if name in vector.positions or name in vector.dense]
        if len(indices) > 1:
            masks = _select_survivors([terms[n] for n in indices], name, survivors)
            for n, mask in zip(indices, masks, strict=True):
                selected[n][name] = mask
    return [(_drop(vector, masks), weight) for (vector, weight), masks in zip(terms, selected, strict=True)]


def _select_survivors(terms: Sequence[Term], name: str, rule: Callable[[Values], Survivors]) -> list[Survivors]:
    """Return for each term which elements of a parameter survive: of a sparse vector's positions, or of all."""
    size = prod(terms[0][0].metadata.shapes[name])
    flats = [vector.full(name).ravel() if name in vector.dense else None for vector, _ in terms]
    selected = [
        np.zeros(len(vector.positions[name]) if flat is None else size, bool)
        for (vector, _), flat in zip(terms, flats, strict=True)
    ]
    for begin in range(0, size, CHUNK):
        end = min(begin + CHUNK, size)
        values = np.zeros((len(terms), end - begin), np.float32)
        slots: list[tuple[slice, Any]] = []  # the vector's elements in this chunk, and their positions in it
        for n, ((vector, weight), flat) in enumerate(zip(terms, flats, strict=True)):
            if flat is not None:
                slots.append((slice(begin, end), slice(None)))
                changes = flat
            else:
                own = slice(*np.searchsorted(vector.positions[name], (begin, end)))
                slots.append((own, vector.positions[name][own] - begin))
                changes = vector.values[name]
            values[n, slots[n][1]] = np.float32(weight) * changes[slots[n][0]]
        survivors = values != 0
        shared = np.flatnonzero(survivors.sum(axis=0) > 1)
        survivors[:, shared] = rule(values[:, shared])
        for n, (own, positions) in enumerate(slots):
            selected[n][own] = survivors[n, positions]
    return selected


def _drop(vector: vectors.Vector, masks: Mapping[str, Survivors]) -> vectors.Vector:
    """Return a vector with only the surviving elements of the parameters in `masks`, and all other parameters."""
    positions, values, dense = dict(vector.positions), dict(vector.values), dict(vector.dense)
    for name, mask in masks.items():
        if name in vector.dense:
            full = vector.full(name)
            dense[name] = np.where(mask.reshape(full.shape), full, np.float32(0))
        else:
            positions[name], values[name] = positions[name][mask], values[name][mask]
    rows = {name: numbers for name, numbers in vector.rows.items() if name not in masks}
    return replace(vector, positions=positions, values=values, dense=dense, rows=rows)
