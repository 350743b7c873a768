"""Sums of vectors: two or more sparse vectors of one base become one."""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from deftx.core.errors import VectorError
from deftx.modules import vectors as vector_files
from deftx.modules.addition import Floats, Positions

Entries = tuple[Positions, Floats]
"""Positions in a flattened parameter, ascending, and the values there."""


def merged(one: Entries, other: Entries) -> Entries:
    """The sum of two sparse vectors of one parameter: their positions merged, values at shared positions added.

    The stable sort finds two ascending runs and merges them, in time linear in their length.
    """
    positions, values = np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])
    order = np.argsort(positions, kind="stable")
    positions, values = positions[order], values[order]
    shared = np.flatnonzero(positions[1:] == positions[:-1])
    values[shared] += values[shared + 1]
    first = np.ones(len(positions), bool)
    first[shared + 1] = False
    return positions[first], values[first]


def sum_of(terms: Sequence[tuple[vector_files.Vector, float]]) -> vector_files.Vector:
    """The weighted sum of sparse vectors of one base, with the head of the one that has one.

    A value is ((w1 v1) + w2 v2) + ... in float32, in the order of the terms. An entry that one term alone moves becomes
    bit for bit what `deftx.modules.addition.add` makes of it. Where two do, one after the other rounds (theta + a) + b,
    their sum theta + (a + b): these differ by at most 2^-24 (|theta + a| + |a + b| + 2 |theta + a + b|), to first
    order.

    Raises:
        VectorError: a vector is dense.
    """
    if any(vector.dense for vector, _ in terms):
        raise VectorError("a dense delta cannot be part of a stored sum; export the composed model instead")
    vectors = [vector for vector, _ in terms]
    shapes = {name: shape for vector in vectors for name, shape in vector.metadata.shapes.items()}
    task = next((vector for vector in vectors if vector.head), vectors[0])
    sums = {}
    for name in shapes:
        moving = [
            (v.positions[name], np.float32(weight) * v.values[name]) for v, weight in terms if name in v.positions
        ]
        if moving:
            sums[name] = reduce(merged, moving)
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
    positions = {name: places for name, (places, _) in sums.items()}
    return vector_files.Vector(
        metadata, positions, {name: values for name, (_, values) in sums.items()}, head=task.head
    )
