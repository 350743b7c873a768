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
from deftx.errors import DatasetError, ResultError
from deftx.files import damaged, read_json, write_json, write_text
from deftx.settings import DatasetSettings, File, NearCopies
from deftx.sources import delimiter_of, read_parquet, read_table, sha256_of

Row = dict[str, str]
Columns = str | tuple[str, ...]
"""A column's name, or several of which a file has one."""


@dataclass(frozen=True)
class Layout:
    """How files of a layout are read."""

    text: Columns = "text"
    pair: Columns | None = None
    label: Columns = "label"
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


def files_of(dataset: Dataset, language: str) -> dict[str, tuple[File, ...]]:
    """The raw files of each split of a dataset in a language.

    Raises:
        DatasetError: a built-in layout does not have the language.
    """
    if dataset.files is not None:
        splits = dataset.files[language].items()
        return {str(split): files if isinstance(files, tuple) else (files,) for split, files in splits}
    if dataset.layout == "testbed":
        return {}
    pins = json.loads((resources.files("deftx") / "pins.json").read_text())[dataset.layout]
    if language not in pins["files"]:
        raise DatasetError(f"{dataset.layout} has no language {language!r}; it has {', '.join(pins['files'])}")
    pinned = {"repository": pins["repository"], "commit": pins["commit"]}
    return {split: (File(**pinned, **entry),) for split, entry in pins["files"][language].items()}


def layout_of(dataset: DatasetSettings, path: str) -> Layout:
    """How a file of a dataset is read."""
    if dataset.layout in LAYOUTS:
        return LAYOUTS[dataset.layout]
    return Layout(dataset.text, dataset.pair, dataset.label, delimiter=delimiter_of(path))


def read_all(paths: Iterable[Path], dataset: DatasetSettings, labels: Sequence[str]) -> list[Row]:
    """Rows of the raw files of a split, one file after the other; where rows have no id, they are numbered through.

    Raises:
        DatasetError: a file is no dataset, or a label is none of `labels`.
    """
    rows: list[Row] = []
    for path in paths:
        layout = layout_of(dataset, path.name)
        new = read(path, layout, dataset.labels)
        check_labels(new, labels, path)
        rows += new if layout.id else [row | {"id": str(number)} for number, row in enumerate(new, start=len(rows))]
    return rows


def texts_of(paths: Iterable[Path], dataset: DatasetSettings) -> list[str]:
    """Texts of raw files, whatever their labels."""
    return [row["text"] for path in paths for row in read(path, layout_of(dataset, path.name), dataset.labels)]


def read(path: Path, layout: Layout, labels: dict[str, str]) -> list[Row]:
    """Rows `id, text[, pair], label` of a raw file.

    Of a pair one side may be empty: three rows of AmericasNLI's Nahuatl test set have no premise, and count.

    Raises:
        DatasetError: a column is missing, a text (of a pair both) is empty, a row has no label.
    """
    wanted = {"text": layout.text, "pair": layout.pair, "label": layout.label, "id": layout.id}
    names = {ours: (theirs,) if isinstance(theirs, str) else theirs for ours, theirs in wanted.items() if theirs}
    if path.suffix == ".parquet":
        header, table = read_parquet(path, {name for some in names.values() for name in some})
    else:
        header, table = read_table(path, layout.delimiter, layout.quoting, layout.columns)
    columns = {ours: _column(theirs, header, path) for ours, theirs in names.items()}
    rows = []
    for number, raw in enumerate(table, start=1):
        row = {ours: " ".join((raw[theirs] or "").split()) for ours, theirs in columns.items()}
        spare = ("text", "pair") if row["text"] or row.get("pair") else ()
        for column in columns:
            if not row[column] and column not in spare:
                raise DatasetError(f"{path}, row {number}: the column {columns[column]!r} is empty")
        row["label"] = labels.get(row["label"], row["label"])
        rows.append({"id": str(number - 1)} | row)
    if not rows:
        raise DatasetError(f"{path} has no rows")
    return rows


def _column(names: Sequence[str], header: Sequence[str], path: Path) -> str:
    """The first of `names` that is a column."""
    for name in names:
        if name in header:
            return name
    wanted = " or ".join(map(repr, names))
    raise DatasetError(f"{path} has no column {wanted}; its columns are {', '.join(header) or 'none'}")


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


def drop_nearest(rows: list[Row], elsewhere: Sequence[str], others: Sequence[str]) -> list[Row]:
    """Rows without those that are nearest to a text of `others`, by edit distance over lower-cased letters and digits.

    That is how composable-sft trimmed SmSA. Every text of `others` takes its nearest one away, however far it is; of
    several equally near ones all go.

    Args:
        rows: of one split.
        elsewhere: texts of the dataset's other splits, which may be nearer.
    """
    if not rows or not others:
        return rows
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    texts = [_letters(text) for text in [*(row["text"] for row in rows), *elsewhere]]
    dropped = np.zeros(len(texts), bool)
    for start in range(0, len(others), 100):  # a hundred at a time keep the block of distances small
        block = [_letters(text) for text in others[start : start + 100]]
        distance = cdist(block, texts, scorer=Levenshtein.distance, dtype=np.int32)
        dropped |= (distance == distance.min(1, keepdims=True)).any(0)
    return [row for row, drop in zip(rows, dropped, strict=False) if not drop]


def without_near_copies(
    rows: list[Row], settings: NearCopies, others: Iterable[Path], elsewhere: Sequence[str] = ()
) -> list[Row]:
    """Rows that are no near copies of the texts in the CSV files `others`; `elsewhere` as in `drop_nearest`."""
    texts = [row["text"] for path in others for row in load(path)]
    if settings.rule == "nearest":
        return drop_nearest(rows, elsewhere, texts)
    return drop_near_copies(rows, texts, settings.similarity)


def without_held_out(rows: list[Row], held_out: Iterable[Row]) -> list[Row]:
    """Rows that are not among `held_out`: the same letters and digits, lower-cased, in text and pair."""
    known = {_identity(row) for row in held_out}
    return [row for row in rows if _identity(row) not in known]


def _identity(row: Row) -> tuple[str, str]:
    return _letters(row["text"]), _letters(row.get("pair", ""))


def balanced(rows: list[Row], most: int) -> list[Row]:
    """At most `most` rows of each label: those whose text has the smallest hashes, in the order given."""
    kept: set[str] = set()
    for label in {row["label"] for row in rows}:
        of_label = sorted((row for row in rows if row["label"] == label), key=_by_hash)
        kept |= {row["id"] for row in of_label[:most]}
    return [row for row in rows if row["id"] in kept]


def _by_hash(row: Row) -> bytes:
    return hashlib.sha256(f"{row['text']}\t{row['id']}".encode()).digest()


def check_labels(rows: Iterable[Row], labels: Sequence[str], origin: Path | str) -> None:
    """Check that rows belong to a task.

    Args:
        origin: where the rows come from, for the message.
    Raises:
        DatasetError: a label is none of `labels`; with the first row that has it.
    """
    for number, row in enumerate(rows, start=1):
        if row["label"] not in labels:
            raise DatasetError(
                f"{origin}, row {number}: unknown label {row['label']!r}; the task's labels are {', '.join(labels)}. "
                "Rename it with the dataset's key `labels`, or add it to the task's; if the task is to do without "
                "that class, take its rows out of a copy of the file"
            )


def require_labels(rows: Sequence[Row], labels: Sequence[str], origin: str) -> None:
    """Check that a task can be learned from rows, or scored on them: a class without rows has no F1.

    Args:
        origin: as in `check_labels`.
    Raises:
        DatasetError: there is no row, or one of `labels` does not occur.
    """
    if not rows:
        raise DatasetError(f"{origin}: no row is left; drop less")
    missing = [label for label in labels if label not in {row["label"] for row in rows}]
    if missing:
        raise DatasetError(
            f"{origin}: no row has the label {missing[0]!r}, so it can be neither learned nor scored, but the task "
            f"has it ({', '.join(labels)}). Source and targets need the same labels: rename them with the dataset's "
            "key `labels`, take another dataset, or take the label from the task's"
        )


def save(rows: list[Row], dropped: int, labels: Sequence[str], out: Path, held_out: int = 0) -> dict[str, Any]:
    """Write rows, at least one, to the CSV file `out`, and statistics and its SHA-256 beside it as JSON.

    Returns the statistics.

    Args:
        dropped: rows that went as near copies of another dataset's.
        held_out: rows that went because the validation split holds them.
    """
    counts = {label: sum(row["label"] == label for row in rows) for label in labels}
    statistics = {"rows": len(rows), "dropped_near_copies": dropped, "dropped_held_out": held_out, "labels": counts}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out, stream.getvalue())
    write_json(out.with_suffix(".json"), statistics | {"sha256": sha256_of(out)})
    return statistics


def load(path: Path) -> list[Row]:
    """Rows of a CSV file this module has written, checked against the hash beside it where there is one.

    Raises:
        ResultError: it has changed since it was written.
        DatasetError: it lacks a column of those files.
    """
    if path.is_file() and _stated_hash(path) not in (None, sha256_of(path)):
        raise ResultError(damaged(path, f"it does not match the checksum in {path.with_suffix('.json').name}"))
    header, rows = read_table(path, ",")
    for column in ("id", "text", "label"):
        _column((column,), header, path)
    return cast(list[Row], rows)


def _stated_hash(path: Path) -> str | None:
    """The SHA-256 of a dataset's CSV file as `save` states it; None where nothing beside the file does."""
    try:
        stated = read_json(path.with_suffix(".json")).get("sha256")
    except ResultError:  # missing, somebody else's, or itself damaged: then it is no witness
        return None
    return stated if isinstance(stated, str) else None
