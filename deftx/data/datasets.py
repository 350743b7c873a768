"""Labelled datasets: rows of any layout, without those that must not be there, as a CSV file `id,text[,pair],label`."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from deftx.config.data import DatasetSettings
from deftx.data.deduplication import without_held_out, without_near_copies
from deftx.data.layouts import texts_of
from deftx.data.rows import Row, load, require_labels, save


def balanced(rows: list[Row], most: int) -> list[Row]:
    """At most `most` rows of each label: those whose text has the smallest hashes, in the order given."""
    kept: set[str] = set()
    for label in {row["label"] for row in rows}:
        of_label = sorted((row for row in rows if row["label"] == label), key=_by_hash)
        kept |= {row["id"] for row in of_label[:most]}
    return [row for row in rows if row["id"] in kept]


def _by_hash(row: Row) -> bytes:
    return hashlib.sha256(f"{row['text']}\t{row['id']}".encode()).digest()


def build(
    rows: list[Row],
    settings: DatasetSettings,
    labels: Sequence[str],
    split: str,
    out: Path,
    origin: str,
    near: Iterable[Path] = (),
    siblings: Iterable[Path] = (),
    held_out: Path | None = None,
) -> dict[str, Any]:
    """Drop from a split what its settings say, and write it to the CSV file `out`; returns its statistics.

    First go near copies of another dataset, then rows that the validation split holds; what is left is balanced.

    Args:
        origin: where the rows come from, for messages.
        near: CSV files of the other dataset.
        siblings: raw files of the dataset's other splits, whose rows may be nearer to a text of `near`.
        held_out: CSV file of the validation split, where its rows are dropped.
    Raises:
        DatasetError: no row is left, or none of a label.
    """
    kept = rows
    if settings.drop_near_copies:
        kept = without_near_copies(rows, settings.drop_near_copies, near, texts_of(siblings, settings))
    dropped = len(rows) - len(kept)
    if held_out:
        kept = without_held_out(kept, load(held_out))
    in_valid = len(rows) - dropped - len(kept)
    if settings.train_rows_per_label and split == "train":
        kept = balanced(kept, settings.train_rows_per_label)
    require_labels(kept, labels, origin)
    return save(kept, dropped, labels, out, in_valid)
