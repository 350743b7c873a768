"""Reading tables of the report, and predictions, in later stages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deftx.core import integrity
from deftx.core.errors import DatasetError, ResultError
from deftx.core.integrity import damaged

Row = Mapping[str, str]
"""Row of a table as text, by column; a cell is empty where its value is not known."""


def read_table(path: Path) -> pd.DataFrame:
    """Load a CSV table of the report; only empty cells are missing, as "nan" is the code of a language, Min Nan.

    Raises:
        ResultError: the file is not a table, or has changed since it was written.
    """
    integrity.check(path)
    return _read(path, keep_default_na=False, na_values=[""])


def read_cells(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Load columns of a CSV table as text; no cell is missing.

    Raises:
        ResultError: the file is not a table, or lacks a column.
    """
    return _read(path, usecols=columns, dtype=str, na_filter=False)


def read_rows(path: Path) -> list[Row]:
    """Load the rows of a CSV table as text; none if the file does not exist.

    Looking up a column that a row lacks raises a DatasetError: another version wrote the table.

    Raises:
        ResultError: the file is not a table, or has changed since it was written.
    """
    if not path.is_file():
        return []
    integrity.check(path)
    rows = _read(path, dtype=str, keep_default_na=False).to_dict("records")
    return [_FileRow(path, {str(column): text for column, text in row.items()}) for row in rows]


class _FileRow(dict[str, str]):
    """Row of a table that knows its file."""

    def __init__(self, path: Path, cells: Row) -> None:
        super().__init__(cells)
        self._path = path

    def __missing__(self, column: str) -> str:
        raise DatasetError(f"{self._path} has no column {column}: another version wrote it. Rebuild it: `make figures`")


def _read(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)
    except ValueError as error:  # pandas also raises it for an empty table, and for bytes that are not UTF-8
        raise ResultError(damaged(path, f"not the expected table: {str(error).splitlines()[0]}")) from None
