"""Labelled datasets: filtered rows of any layout, as a CSV file `id,text[,pair],label`."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from deftx.config.data import DatasetSettings
from deftx.data.deduplication import without_held_out, without_near_copies
from deftx.data.layouts import texts_of
from deftx.data.rows import Row, load, require_labels, save


def balance(rows: list[Row], most: int) -> list[Row]:
    """Return at most `most` rows of each label: those whose text has the smallest hashes, in the given order."""
    selected: set[str] = set()
    for label in {row["label"] for row in rows}:
        of_label = sorted((row for row in rows if row["label"] == label), key=_hash_row)
        selected |= {row["id"] for row in of_label[:most]}
    return [row for row in rows if row["id"] in selected]


def _hash_row(row: Row) -> bytes:
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
    """Filter the rows of a split by its settings, write them to the CSV file `out`, and return their statistics.

    Near copies of another dataset are dropped first, then rows of the validation split; the rest is balanced.

    Args:
        origin: source of the rows, for messages.
        near: CSV files of the other dataset.
        siblings: raw files of the dataset's other splits, whose rows may be nearer to a text of `near`.
        held_out: CSV file of the validation split, if its rows are dropped.
    Raises:
        DatasetError: no row remains, or none of a label.
    """
    remaining = rows
    if settings.drop_near_copies:
        remaining = without_near_copies(rows, settings.drop_near_copies, near, texts_of(siblings, settings))
    dropped = len(rows) - len(remaining)
    if held_out:
        remaining = without_held_out(remaining, load(held_out))
    in_valid = len(rows) - dropped - len(remaining)
    if settings.train_rows_per_label and split == "train":
        remaining = balance(remaining, settings.train_rows_per_label)
    require_labels(remaining, labels, origin)
    return save(remaining, dropped, labels, out, in_valid)
