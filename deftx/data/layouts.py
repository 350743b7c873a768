"""Layouts of labelled data: from the raw files of a split to rows `id,text[,pair],label`.

Labels are mapped by their names, never by numbers: the integer orders of SmSA and NusaX differ.
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
"""Name of a column, or several names of which a file has one."""


@dataclass(frozen=True)
class Layout:
    """Format of the files of a layout."""

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
    """Return the raw files of each split of a dataset in a language.

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
    """Return the layout of a file of a dataset."""
    if dataset.layout in LAYOUTS:
        return LAYOUTS[dataset.layout]
    return Layout(dataset.text, dataset.pair, dataset.label, delimiter=delimiter_of(path))


def read_all(paths: Iterable[Path], dataset: DatasetSettings, labels: Sequence[str]) -> list[Row]:
    """Load the rows of the raw files of a split, in order; rows without ids are numbered consecutively.

    Raises:
        DatasetError: a file is not a dataset, or a label is not in `labels`.
    """
    rows: list[Row] = []
    for path in paths:
        layout = layout_of(dataset, path.name)
        new = read(path, layout, dataset.labels)
        check_labels(new, labels, path)
        rows += new if layout.id else [row | {"id": str(number)} for number, row in enumerate(new, start=len(rows))]
    return rows


def texts_of(paths: Iterable[Path], dataset: DatasetSettings) -> list[str]:
    """Load the texts of raw files, with any labels."""
    return [row["text"] for path in paths for row in read(path, layout_of(dataset, path.name), dataset.labels)]


def read(path: Path, layout: Layout, labels: dict[str, str]) -> list[Row]:
    """Load the rows `id, text[, pair], label` of a raw file.

    One side of a pair may be empty: three rows of AmericasNLI's Nahuatl test set have no premise, and count.

    Raises:
        DatasetError: a column is missing, a text (or both of a pair) is empty, or a row has no label.
    """
    wanted = {"text": layout.text, "pair": layout.pair, "label": layout.label, "id": layout.id}
    names = {key: (column,) if isinstance(column, str) else column for key, column in wanted.items() if column}
    if path.suffix == ".parquet":
        header, table = read_parquet(path, {name for columns in names.values() for name in columns})
    else:
        header, table = read_table(path, layout.delimiter, layout.quoting, layout.columns)
    columns = {key: column_of(options, header, path) for key, options in names.items()}
    rows = []
    for number, raw in enumerate(table, start=1):
        row = {key: " ".join((raw[column] or "").split()) for key, column in columns.items()}
        optional = ("text", "pair") if row["text"] or row.get("pair") else ()
        for column in columns:
            if not row[column] and column not in optional:
                raise DatasetError(f"{path}, row {number}: the column {columns[column]!r} is empty")
        row["label"] = labels.get(row["label"], row["label"])
        rows.append({"id": str(number - 1)} | row)
    if not rows:
        raise DatasetError(f"{path} has no rows")
    return rows
