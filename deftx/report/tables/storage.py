"""Tables of the report and predictions, read again by the stages that come after."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deftx.core import integrity
from deftx.core.errors import DatasetError, ResultError
from deftx.core.integrity import damaged

Row = Mapping[str, str]
"""A line of a table as text, by column; empty where nothing is known."""


def read_table(path: Path) -> pd.DataFrame:
    """A CSV table of the report; empty cells alone are missing, for "nan" is the code of a language, Min Nan.

    Raises:
        ResultError: it is no table, or has changed since it was written.
    """
    integrity.check(path)
    return _read(path, keep_default_na=False, na_values=[""])


def read_cells(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a CSV table as text; no cell is missing.

    Raises:
        ResultError: it is no table, or lacks a column.
    """
    return _read(path, usecols=columns, dtype=str, na_filter=False)


def read_rows(path: Path) -> list[Row]:
    """The lines of a CSV table as they are written; none where there is no such table.

    Asking a line for a column it has not is a DatasetError: the table was made by another version.

    Raises:
        ResultError: it is no table, or has changed since it was written.
    """
    if not path.is_file():
        return []
    integrity.check(path)
    lines = _read(path, dtype=str, keep_default_na=False).to_dict("records")
    return [_Line(path, {str(column): text for column, text in line.items()}) for line in lines]


class _Line(dict[str, str]):
    """A line that knows its file."""

    def __init__(self, path: Path, cells: Row) -> None:
        super().__init__(cells)
        self._path = path

    def __missing__(self, column: str) -> str:
        raise DatasetError(f"{self._path} has no column {column}: another version made it; run `make figures`")


def _read(path: Path, **how: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **how)
    except ValueError as error:  # also what pandas raises for an empty table, and for bytes that are no UTF-8
        raise ResultError(damaged(path, f"it is no such table ({str(error).splitlines()[0]})")) from None
