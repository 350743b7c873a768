"""Sums of sparse vectors of one base."""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from deftx.core.errors import VectorError
from deftx.modules import vectors as vector_files
from deftx.modules.addition import Floats, Positions

Elements = tuple[Positions, Floats]
"""Positions in a flattened parameter, ascending, and the values there."""


def merge(first: Elements, second: Elements) -> Elements:
    """Return the sum of two sparse vectors of one parameter: merged positions, with values at shared ones added.

    The stable sort merges two ascending runs in time linear in their length.
    """
    positions, values = np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
    order = np.argsort(positions, kind="stable")
    positions, values = positions[order], values[order]
    shared = np.flatnonzero(positions[1:] == positions[:-1])
    values[shared] += values[shared + 1]
    is_first = np.ones(len(positions), bool)
    is_first[shared + 1] = False
    return positions[is_first], values[is_first]


def sum_of(terms: Sequence[tuple[vector_files.Vector, float]]) -> vector_files.Vector:
    """Return the weighted sum of sparse vectors of one base, with the head of the one that has a head.

    A value is ((w1 v1) + w2 v2) + ... in float32, in the order of the terms. An element of a single term gets bit for
    bit the value of `deftx.modules.addition.add`. For two terms, adding one after the other rounds (theta + a) + b,
    their sum theta + (a + b): these differ by at most 2^-24 (|theta + a| + |a + b| + 2 |theta + a + b|), to first
    order.

    Raises:
        VectorError: a vector is dense.
    """
    if any(vector.dense for vector, _ in terms):
        raise VectorError("a dense delta cannot be part of a stored sum. Export the composed model (deftx export)")
    vectors = [vector for vector, _ in terms]
    shapes = {name: shape for vector in vectors for name, shape in vector.metadata.shapes.items()}
    task = next((vector for vector in vectors if vector.head), vectors[0])
    sums = {}
    for name in shapes:
        summands = [
            (v.positions[name], np.float32(weight) * v.values[name]) for v, weight in terms if name in v.positions
        ]
        if summands:
            sums[name] = reduce(merge, summands)
    objectives = {vector.metadata.objective for vector in vectors}
    licences = {vector.metadata.licence for vector in vectors}
    metadata = task.metadata.model_copy(
        update={
            "shapes": shapes,
            "objective": objectives.pop() if len(objectives) == 1 else None,
            "start": [],
            "selection": None,
            "seed": None,
            "threads": None,
            "values": "fp32",
            "licence": None if None in licences else " AND ".join(sorted(map(str, licences))),
            "settings": {"sum": [weight for _, weight in terms]},
            "data": {f"{n}.{key}": sha for n, v in enumerate(vectors) for key, sha in v.metadata.data.items()},
        }
    )
    positions = {name: indices for name, (indices, _) in sums.items()}
    return vector_files.Vector(
        metadata, positions, {name: values for name, (_, values) in sums.items()}, head=task.head
    )
