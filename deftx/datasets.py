"""Labelled datasets: every layout becomes the same CSV files, `id,text[,pair],label`.

Labels are mapped from their names, never from numbers: the integer orders of SmSA and NusaX differ.
"""

import csv
import hashlib
import io
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

from deftx.config import Dataset
from deftx.errors import DatasetError
from deftx.files import write_json, write_text
from deftx.settings import DatasetSettings, File, NearCopies
from deftx.sources import delimiter_of, read_table

Row = dict[str, str]


@dataclass(frozen=True)
class Layout:
    """How files of a layout are read."""

    text: str = "text"
    pair: str | None = None
    label: str = "label"
    id: str | None = None
    delimiter: str = ","
    quoting: bool = True
    columns: tuple[str, ...] | None = None
    """Column names of a file without a header."""


LAYOUTS = {
    "nusax": Layout(id="id"),
    "smsa": Layout(delimiter="\t", quoting=False, columns=("text", "label")),
    "americasnli": Layout(text="premise", pair="hypothesis", id="id", delimiter="\t", quoting=False),
}


def files_of(dataset: Dataset, language: str) -> dict[str, File]:
    """The raw file of each split of a dataset in a language.

    Raises:
        DatasetError: a built-in layout does not have the language.
    """
    if dataset.files is not None:
        return {str(split): file for split, file in dataset.files[language].items()}
    if dataset.layout == "testbed":
        return {}
    pins = json.loads((resources.files("deftx") / "pins.json").read_text())[dataset.layout]
    if language not in pins["files"]:
        raise DatasetError(f"{dataset.layout} has no language {language!r}; it has {', '.join(pins['files'])}")
    pinned = {"repository": pins["repository"], "commit": pins["commit"]}
    return {split: File(**pinned, **entry) for split, entry in pins["files"][language].items()}


def layout_of(dataset: DatasetSettings, path: str) -> Layout:
    """How a file of a dataset is read."""
    if dataset.layout in LAYOUTS:
        return LAYOUTS[dataset.layout]
    return Layout(dataset.text, dataset.pair, dataset.label, delimiter=delimiter_of(path))


def read(path: Path, layout: Layout, labels: dict[str, str]) -> list[Row]:
    """Rows `id, text[, pair], label` of a raw file.

    Raises:
        DatasetError: a column is missing, a text is empty, a row has no label.
    """
    header, table = read_table(path, layout.delimiter, layout.quoting, layout.columns)
    wanted = {"text": layout.text, "pair": layout.pair, "label": layout.label, "id": layout.id}
    columns = {ours: theirs for ours, theirs in wanted.items() if theirs is not None}
    _require(columns.values(), header, path)
    rows = []
    for number, raw in enumerate(table, start=1):
        row = {ours: " ".join((raw[theirs] or "").split()) for ours, theirs in columns.items()}
        for column in columns:
            if not row[column]:
                raise DatasetError(f"{path}, row {number}: the column {columns[column]!r} is empty")
        row["label"] = labels.get(row["label"], row["label"])
        rows.append({"id": str(number - 1)} | row)
    if not rows:
        raise DatasetError(f"{path} has no rows")
    return rows


def _require(columns: Iterable[str], header: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in header:
            raise DatasetError(f"{path} has no column {column!r}; its columns are {', '.join(header) or 'none'}")


def drop_near_copies(rows: list[Row], others: Sequence[str], similarity: float) -> list[Row]:
    """Rows whose text is not nearly one of `others`.

    Two texts are near copies when the Dice coefficient of their sets of character trigrams, over lower-cased
    letters and digits alone, is at least `similarity`; equal texts have 1.
    """
    if not rows or not others:
        return rows
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer="char", ngram_range=(3, 3), binary=True, dtype=np.float32)
    grams = vectorizer.fit_transform([_letters(text) for text in [*(r["text"] for r in rows), *others]])
    ours, theirs = grams[: len(rows)], grams[len(rows) :]
    sizes = np.asarray(ours.sum(1)).ravel(), np.asarray(theirs.sum(1)).ravel()
    kept = []
    for start in range(0, len(rows), 1000):  # a thousand rows at a time keep the dense block small
        common = (ours[start : start + 1000] @ theirs.T).toarray()
        dice = 2 * common / np.maximum(1, sizes[0][start : start + 1000, None] + sizes[1][None, :])
        kept += [row for row, best in zip(rows[start:], dice.max(1), strict=False) if best < similarity]
    return kept


def _letters(text: str) -> str:
    normal = unicodedata.normalize("NFC", text).lower()
    return " " + "".join(c for c in normal if c.isalnum()) + " "  # padding gives a single letter a trigram


def without_near_copies(rows: list[Row], settings: NearCopies, others: Iterable[Path]) -> list[Row]:
    """Rows that are no near copies of the texts in the CSV files `others`."""
    return drop_near_copies(rows, [row["text"] for path in others for row in load(path)], settings.similarity)


def balanced(rows: list[Row], most: int) -> list[Row]:
    """At most `most` rows of each label: those whose text has the smallest hashes, in the order given."""
    kept: set[str] = set()
    for label in {row["label"] for row in rows}:
        of_label = sorted((row for row in rows if row["label"] == label), key=_by_hash)
        kept |= {row["id"] for row in of_label[:most]}
    return [row for row in rows if row["id"] in kept]


def _by_hash(row: Row) -> bytes:
    return hashlib.sha256(f"{row['text']}\t{row['id']}".encode()).digest()


def check_labels(rows: Iterable[Row], labels: Sequence[str], path: Path) -> None:
    """Check that a dataset belongs to a task.

    Raises:
        DatasetError: a label is none of `labels`.
    """
    unknown = sorted({row["label"] for row in rows} - set(labels))
    if unknown:
        raise DatasetError(
            f"{path}: unknown label {unknown[0]!r}; the task's labels are {', '.join(labels)}. "
            "Rename labels with the dataset's key `labels`"
        )


def save(rows: list[Row], dropped: int, labels: Sequence[str], out: Path) -> dict[str, Any]:
    """Write rows to the CSV file `out`, and statistics beside it as JSON; returns the statistics.

    Raises:
        DatasetError: a label is none of `labels`, or no row is left.
    """
    check_labels(rows, labels, out)
    if not rows:
        raise DatasetError(f"{out}: no row is left; drop less")
    counts = {label: sum(row["label"] == label for row in rows) for label in labels}
    statistics = {"rows": len(rows), "dropped_near_copies": dropped, "labels": counts}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out, stream.getvalue())
    write_json(out.with_suffix(".json"), statistics)
    return statistics


def load(path: Path) -> list[Row]:
    """Rows of a CSV file this module has written.

    Raises:
        DatasetError: it lacks a column of those files.
    """
    header, rows = read_table(path, ",")
    _require(("id", "text", "label"), header, path)
    return cast(list[Row], rows)
