"""Layouts of labelled data: from the raw files of a split to rows `id,text[,pair],label`.

Labels are mapped from their names, never from numbers: the integer orders of SmSA and NusaX differ.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from deftx.config.data import Dataset, DatasetSettings, File
from deftx.core.errors import DatasetError
from deftx.core.readers import delimiter_of, read_parquet, read_table
from deftx.data.rows import Row, check_labels, column_of

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
    pins = json.loads((resources.files("deftx.data") / "pins.json").read_text())[dataset.layout]
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
    columns = {ours: column_of(theirs, header, path) for ours, theirs in names.items()}
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
