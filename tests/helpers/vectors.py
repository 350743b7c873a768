"""Small vectors for tests of what stores and adds them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from deftx.modules import vectors

SHAPES = {"layer.weight": [5, 4], "layer.bias": [4], "embeddings.word_embeddings.weight": [30, 20]}
BASE = "b" * 64


def metadata(kind: vectors.Kind, **changes: Any) -> vectors.Metadata:
    stated: dict[str, Any] = {
        "kind": kind,
        "base": BASE,
        "base_model": "pico",
        "shapes": SHAPES,
        "objective": "masked-lm",
        "seed": 0,
        "threads": 1,
    }
    return vectors.Metadata(**stated | changes)


def dense(seed: int = 0, head: bool = False, zero_rows: Sequence[int] = (), **changes: Any) -> vectors.Vector:
    """A delta of all parameters; some rows of the word embeddings may be zero."""
    rng = np.random.default_rng(seed)
    deltas = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    deltas["embeddings.word_embeddings.weight"][list(zero_rows)] = 0
    return vectors.Vector(
        metadata("delta", **changes),
        dense=deltas,
        head={"classifier.weight": rng.normal(size=(2, 4)).astype(np.float32)} if head else {},
    )


def sparse(
    seed: int = 0, share: float = 0.3, head: bool = False, kind: vectors.Kind = "sft", **changes: Any
) -> vectors.Vector:
    """An SFT or a mask; every parameter has entries, unless the share is 0."""
    rng = np.random.default_rng(seed)
    positions = {n: np.flatnonzero(rng.random(int(np.prod(shape))) < share) for n, shape in SHAPES.items()}
    values = {n: rng.normal(size=len(p)).astype(np.float32) for n, p in positions.items()}
    return vectors.Vector(
        metadata(kind, **changes),
        positions=positions,
        values=values if kind == "sft" else {},
        head={"classifier.weight": rng.normal(size=(2, 4)).astype(np.float32)} if head else {},
    )


def rounded(vector: vectors.Vector) -> vectors.Vector:
    """The same vector, to be stored in bf16."""
    return replace(vector, metadata=vector.metadata.model_copy(update={"values": "bf16"}))


def sparse_vectors() -> st.SearchStrategy[vectors.Vector]:
    return st.builds(sparse, st.integers(0, 2**32), st.floats(0, 1), st.booleans())


def as_dense(vector: vectors.Vector) -> dict[str, np.ndarray[Any, Any]]:
    """What a vector adds to each parameter, in float64."""
    result = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for name, positions in vector.positions.items():
        for position, value in zip(positions.tolist(), vector.values[name].tolist(), strict=True):
            result[name].flat[position] = value
    return result | {name: vector.full(name).astype(np.float64) for name in vector.dense}


def same(one: vectors.Vector, other: vectors.Vector) -> bool:
    """Whether two vectors hold the same, bit for bit."""
    groups = ("positions", "values", "dense", "head", "rows")
    return one.metadata == other.metadata and all(
        getattr(one, g).keys() == getattr(other, g).keys()
        and all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in ((getattr(one, g)[n], getattr(other, g)[n]) for n in getattr(one, g))
        )
        for g in groups
    )
