"""Reading raw files: text, and tables as CSV, TSV or Parquet. Fetching them is in `deftx.data.fetch`."""

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
    """Text of a file, gzipped or not, as UTF-8.

    Raises:
        SourceError: missing, not UTF-8, or not text at all; named with line and way out.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}. Check the path in the configuration") from None
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"{path} is a damaged gzip file ({error}); copy or fetch it again") from None
    if b"\0" in raw:
        raise SourceError(f"{path} is a binary file, not text (it holds zero bytes)")
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
    """Column names and rows of a table, gzipped or not; the cells a short row lacks are None.

    Args:
        quoting: whether quotation marks enclose cells; otherwise they are letters like any other.
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
            f"{path}, line {reader.line_num}: {error}. A quotation mark is not closed, or stands inside a cell "
            "without being doubled"
        ) from None


def delimiter_of(name: str) -> str:
    """What separates the cells of a table, by its file's name: a tab in .tsv, else a comma."""
    return "\t" if name.removesuffix(".gz").endswith(".tsv") else ","


def read_column(path: Path, column: str) -> Iterator[str]:
    """The cells of a column of text in a Parquet file, one at a time; empty ones are "".

    Raises:
        SourceError: not a Parquet file, or without the column.
    """
    file = _parquet(path)
    if column not in file.schema_arrow.names:
        names = ", ".join(file.schema_arrow.names) or "none"
        raise SourceError(f"{path} has no column {column!r}; its columns are {names}")
    for batch in file.iter_batches(batch_size=4096, columns=[column]):
        yield from (cell or "" for cell in batch.column(0).to_pylist())


def read_parquet(path: Path, wanted: Collection[str]) -> tuple[list[str], list[dict[str, str | None]]]:
    """Column names of a Parquet file, and its rows with the columns in `wanted` alone, cells as text.

    Numbers of classes become their names where the file states them, as the hub's files do (`datasets.ClassLabel`).

    Raises:
        SourceError: not a Parquet file, or one whose features are unknown.
    """
    from datasets import ClassLabel, Features

    file = _parquet(path)
    names = file.schema_arrow.names
    try:
        features = Features.from_arrow_schema(file.schema_arrow)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SourceError(
            f"{path}: the features in its schema are none that this version of datasets knows ({error}); "
            "take a revision of the file it knows, or upgrade datasets"
        ) from None
    classes = {name: feature for name, feature in features.items() if isinstance(feature, ClassLabel)}
    table = file.read(columns=[name for name in names if name in wanted])
    return names, [{n: _cell(value, classes.get(n)) for n, value in raw.items()} for raw in table.to_pylist()]


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file ({str(error).splitlines()[0]}); fetch it again") from None


def _cell(value: Any, classes: Any) -> str | None:
    """A cell as text; a number outside the classes (-1: no label) stays a number."""
    if classes is not None and isinstance(value, int) and 0 <= value < classes.num_classes:
        return str(classes.int2str(value))
    return None if value is None else str(value)
