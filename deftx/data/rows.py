"""Labelled rows of all later stages: a CSV file `id,text[,pair],label`, with its hash in a sidecar."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from deftx.core.errors import DatasetError, ResultError
from deftx.core.files import write_text
from deftx.core.integrity import damaged, read_json, sha256_of, write_json
from deftx.core.readers import read_table

Row = dict[str, str]


def check_labels(rows: Iterable[Row], labels: Sequence[str], origin: Path | str) -> None:
    """Check that rows belong to a task.

    Args:
        origin: source of the rows, for the message.
    Raises:
        DatasetError: a label is not in `labels`; with the first such row.
    """
    for number, row in enumerate(rows, start=1):
        if row["label"] not in labels:
            raise DatasetError(
                f"{origin}, row {number}: unknown label {row['label']!r}; the task's labels are {', '.join(labels)}. "
                "Rename it with the dataset's key `labels`, or add it to the task's; to exclude the class, remove its "
                "rows from a copy of the file"
            )


def require_labels(rows: Sequence[Row], labels: Sequence[str], origin: str) -> None:
    """Check that a task can be learned from rows, or scored on them: a class without rows has no F1.

    Args:
        origin: as in `check_labels`.
    Raises:
        DatasetError: there are no rows, or one of `labels` does not occur.
    """
    if not rows:
        raise DatasetError(f"{origin}: no row remains. Drop less")
    missing = [label for label in labels if label not in {row["label"] for row in rows}]
    if missing:
        raise DatasetError(
            f"{origin}: no row has the label {missing[0]!r}, so it can be neither learned nor scored, but the task "
            f"has it ({', '.join(labels)}). Source and targets need the same labels: rename them with the dataset's "
            "key `labels`, use another dataset, or remove the label from the task's"
        )


def save(rows: list[Row], dropped: int, labels: Sequence[str], out: Path, held_out: int = 0) -> dict[str, Any]:
    """Write rows, at least one, to the CSV file `out`, and their statistics and SHA-256 to its JSON sidecar.

    Return the statistics.

    Args:
        dropped: number of rows dropped as near copies of another dataset's.
        held_out: number of rows dropped because the validation split contains them.
    """
    counts = {label: sum(row["label"] == label for row in rows) for label in labels}
    statistics = {"rows": len(rows), "dropped_near_copies": dropped, "dropped_held_out": held_out, "labels": counts}
    return save_with(rows, statistics, out)


def save_with(rows: Sequence[Row], statistics: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write rows, at least one, to the CSV file `out`, and statistics, which are returned, with its SHA-256 as JSON."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out, stream.getvalue())
    write_json(out.with_suffix(".json"), statistics | {"sha256": sha256_of(out)})
    return statistics


def load(path: Path) -> list[Row]:
    """Load the rows of a CSV file that `save` has written, and check them against the sidecar, if it exists.

    Raises:
        ResultError: the file has changed since it was written.
        DatasetError: a column is missing.
    """
    if path.is_file() and _read_hash(path) not in (None, sha256_of(path)):
        raise ResultError(damaged(path, f"it does not match the checksum in {path.with_suffix('.json').name}"))
    header, rows = read_table(path, ",")
    for column in ("id", "text", "label"):
        column_of((column,), header, path)
    return cast(list[Row], rows)


def _read_hash(path: Path) -> str | None:
    """Return the SHA-256 of a dataset's CSV file in its sidecar, or None."""
    try:
        expected = read_json(path.with_suffix(".json")).get("sha256")
    except ResultError:  # missing, another tool's, or itself corrupted
        return None
    return expected if isinstance(expected, str) else None


def column_of(names: Sequence[str], header: Sequence[str], path: Path) -> str:
    """Return the first of `names` that is a column.

    Raises:
        DatasetError: none of them is a column.
    """
    for name in names:
        if name in header:
            return name
    wanted = " or ".join(map(repr, names))
    raise DatasetError(f"{path} has no column {wanted}; its columns are {', '.join(header) or 'none'}")
