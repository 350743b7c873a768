"""Readers of raw files: text, and tables as CSV, TSV or Parquet. `deftx.data.fetch` downloads them."""

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from deftx.core.errors import SourceError

csv.field_size_limit(1 << 24)


def read_text(path: Path) -> str:
    """Load the UTF-8 text of a file, gzipped or not.

    Raises:
        SourceError: missing, not UTF-8, or not text at all; with the line and the fix.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}. Check the path in the configuration") from None
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"{path} is a corrupted gzip file ({error}). Copy or fetch it again") from None
    if b"\0" in raw:
        raise SourceError(f"{path} is a binary file, not text (it contains zero bytes)")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SourceError(
            f"{path} is not UTF-8 (line {line}, byte 0x{raw[error.start]:02x}). "
            f"Convert it, for example: iconv -f LATIN1 -t UTF-8 {path.name}"
        ) from None


def read_table(
    path: Path, delimiter: str, quoting: bool = True, columns: Sequence[str] | None = None
) -> tuple[list[str], list[dict[str, str | None]]]:
    """Load the column names and rows of a table, gzipped or not; missing cells of a short row are None.

    Args:
        quoting: whether quotation marks enclose cells; otherwise they are ordinary characters.
        columns: names of the columns of a file without a header.
    Raises:
        SourceError: not readable as UTF-8 text, or the quotation marks do not match.
    """
    stream = io.StringIO(read_text(path), newline="")
    reader: csv.DictReader[str] = csv.DictReader(
        stream, columns, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE, strict=True
    )
    try:
        return list(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise SourceError(
            f"{path}, line {reader.line_num}: {error}. A quotation mark is not closed, or is inside a cell "
            "without being doubled"
        ) from None


def delimiter_of(name: str) -> str:
    """Return the delimiter of a table by its file's name: a tab in .tsv, otherwise a comma."""
    return "\t" if name.removesuffix(".gz").endswith(".tsv") else ","


def read_column(path: Path, column: str) -> Iterator[str]:
    """Yield the cells of a text column in a Parquet file, one at a time; empty cells are "".

    Raises:
        SourceError: not a Parquet file, or the column is missing.
    """
    file = _open_parquet(path)
    if column not in file.schema_arrow.names:
        names = ", ".join(file.schema_arrow.names) or "none"
        raise SourceError(f"{path} has no column {column!r}; its columns are {names}")
    for batch in file.iter_batches(batch_size=4096, columns=[column]):
        yield from (cell or "" for cell in batch.column(0).to_pylist())


def read_parquet(path: Path, wanted: Collection[str]) -> tuple[list[str], list[dict[str, str | None]]]:
    """Load the column names of a Parquet file, and its rows with only the columns in `wanted`, cells as text.

    Numbers of classes become their names if the file states them, as files of the hub do (`datasets.ClassLabel`).

    Raises:
        SourceError: not a Parquet file, or one whose features are unknown.
    """
    from datasets import ClassLabel, Features

    file = _open_parquet(path)
    names = file.schema_arrow.names
    try:
        features = Features.from_arrow_schema(file.schema_arrow)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SourceError(
            f"{path}: this version of datasets does not know the features in its schema ({error}). "
            "Use an earlier revision of the file, or upgrade datasets"
        ) from None
    classes = {name: feature for name, feature in features.items() if isinstance(feature, ClassLabel)}
    table = file.read(columns=[name for name in names if name in wanted])
    return names, [{n: _format_cell(value, classes.get(n)) for n, value in raw.items()} for raw in table.to_pylist()]


def _open_parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file ({str(error).splitlines()[0]}). Fetch it again") from None


def _format_cell(value: Any, classes: Any) -> str | None:
    """Return a cell as text; a number outside the classes (-1: no label) stays a number."""
    if classes is not None and isinstance(value, int) and 0 <= value < classes.num_classes:
        return str(classes.int2str(value))
    return None if value is None else str(value)
