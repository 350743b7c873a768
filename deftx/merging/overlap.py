"""Overlap between vectors: do languages and tasks move the same entries, and the same way?"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deftx.core.errors import VectorError
from deftx.core.files import write_text
from deftx.modules import vectors as vector_files


def build(vectors: Mapping[str, Path], out: Path) -> None:
    """Compare every pair of vectors; writes a CSV table `one, other, shared, jaccard, cosine, sign_conflicts`.

    Raises:
        VectorError: a vector is damaged, or is a mask.
    """
    loaded = {name: vector_files.load(path) for name, path in vectors.items()}
    for name, vector in loaded.items():
        if vector.metadata.kind == "mask":
            raise VectorError(f"{vectors[name]} is a mask; the values of SFTs and deltas are compared")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["one", "other", "shared", "jaccard", "cosine", "sign_conflicts"])
    names = list(loaded)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            found = overlap(loaded[one], loaded[other])
            writer.writerow([one, other, found["shared"], *(f"{found[key]:.6f}" for key in
                             ("jaccard", "cosine", "sign_conflicts"))])  # fmt: skip
    write_text(out, stream.getvalue())


def overlap(one: vector_files.Vector, other: vector_files.Vector) -> dict[str, float]:
    """How two vectors overlap.

    Returns:
        `shared`: entries both move; `jaccard`: shared over all moved entries; `cosine` of the vectors;
        `sign_conflicts`: share of the shared entries with opposite signs.
    """
    shared = conflicts = union = 0
    product = 0.0
    for name in sorted(one.metadata.shapes.keys() | other.metadata.shapes.keys()):
        a, u = _entries(one, name)
        b, v = _entries(other, name)
        _, i, j = np.intersect1d(a, b, assume_unique=True, return_indices=True)
        shared += len(i)
        union += len(a) + len(b) - len(i)
        terms = u[i].astype(np.float64) * v[j].astype(np.float64)
        product += float(terms.sum())
        conflicts += int((terms < 0).sum())
    length = _norm(one) * _norm(other)
    return {
        "shared": shared,
        "jaccard": shared / union if union else 0.0,
        "cosine": product / length if length else 0.0,
        "sign_conflicts": conflicts / shared if shared else 0.0,
    }


def _entries(vector: vector_files.Vector, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if name in vector.positions:
        return vector.positions[name], vector.values[name]
    dense: NDArray[Any] = vector.full(name).ravel() if name in vector.dense else np.empty(0, np.float32)
    return np.flatnonzero(dense), dense[dense != 0]


def _norm(vector: vector_files.Vector) -> float:
    parts = (*vector.values.values(), *vector.dense.values())
    return float(np.sqrt(sum(float(np.square(p, dtype=np.float64).sum()) for p in parts)))
