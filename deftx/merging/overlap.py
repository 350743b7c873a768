"""Overlap of vectors: shared elements, and agreement of their values."""

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
    """Compare every pair of vectors, and write a CSV table `one, other, shared, jaccard, cosine, sign_conflicts`.

    Raises:
        VectorError: a vector is corrupted, or is a mask.
    """
    loaded = {name: vector_files.load(path) for name, path in vectors.items()}
    for name, vector in loaded.items():
        if vector.metadata.kind == "mask":
            raise VectorError(f"{vectors[name]} is a mask, which has no values. Compare SFTs or deltas")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["one", "other", "shared", "jaccard", "cosine", "sign_conflicts"])
    names = list(loaded)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            row = overlap(loaded[first], loaded[second])
            writer.writerow([first, second, row["shared"], *(f"{row[key]:.6f}" for key in
                             ("jaccard", "cosine", "sign_conflicts"))])  # fmt: skip
    write_text(out, stream.getvalue())


def overlap(first: vector_files.Vector, second: vector_files.Vector) -> dict[str, float]:
    """Return measures of the overlap of two vectors.

    Returns:
        `shared`: number of elements that both change; `jaccard`: shared over all changed elements; `cosine` of the
        vectors; `sign_conflicts`: share of the shared elements with opposite signs.
    """
    shared = conflicts = union = 0
    product = 0.0
    for name in sorted(first.metadata.shapes.keys() | second.metadata.shapes.keys()):
        a, u = _elements(first, name)
        b, v = _elements(second, name)
        _, i, j = np.intersect1d(a, b, assume_unique=True, return_indices=True)
        shared += len(i)
        union += len(a) + len(b) - len(i)
        terms = u[i].astype(np.float64) * v[j].astype(np.float64)
        product += float(terms.sum())
        conflicts += int((terms < 0).sum())
    length = _norm(first) * _norm(second)
    return {
        "shared": shared,
        "jaccard": shared / union if union else 0.0,
        "cosine": product / length if length else 0.0,
        "sign_conflicts": conflicts / shared if shared else 0.0,
    }


def _elements(vector: vector_files.Vector, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if name in vector.positions:
        return vector.positions[name], vector.values[name]
    dense: NDArray[Any] = vector.full(name).ravel() if name in vector.dense else np.empty(0, np.float32)
    return np.flatnonzero(dense), dense[dense != 0]


def _norm(vector: vector_files.Vector) -> float:
    parts = (*vector.values.values(), *vector.dense.values())
    return float(np.sqrt(sum(float(np.square(p, dtype=np.float64).sum()) for p in parts)))
