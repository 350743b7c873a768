"""Overlap between vectors: do languages and tasks move the same entries, and the same way?"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from deftx import sft
from deftx.composition import overlap
from deftx.errors import VectorError
from deftx.files import write_text


def build(vectors: Mapping[str, Path], out: Path) -> None:
    """Compare every pair of vectors; writes a CSV table `one, other, shared, jaccard, cosine, sign_conflicts`.

    Raises:
        VectorError: a vector is damaged, or is a mask.
    """
    loaded = {name: sft.load(path) for name, path in vectors.items()}
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
