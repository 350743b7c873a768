"""Labelled rows as every later stage reads them: a CSV file `id,text[,pair],label`, with its hash beside it."""

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
    """Rows of a CSV file this module has written, checked against the hash beside it where there is one.

    Raises:
        ResultError: it has changed since it was written.
        DatasetError: it lacks a column of those files.
    """
    if path.is_file() and _stated_hash(path) not in (None, sha256_of(path)):
        raise ResultError(damaged(path, f"it does not match the checksum in {path.with_suffix('.json').name}"))
    header, rows = read_table(path, ",")
    for column in ("id", "text", "label"):
        column_of((column,), header, path)
    return cast(list[Row], rows)


def _stated_hash(path: Path) -> str | None:
    """The SHA-256 of a dataset's CSV file as `save` states it; None where nothing beside the file does."""
    try:
        stated = read_json(path.with_suffix(".json")).get("sha256")
    except ResultError:  # missing, somebody else's, or itself damaged: then it is no witness
        return None
    return stated if isinstance(stated, str) else None


def column_of(names: Sequence[str], header: Sequence[str], path: Path) -> str:
    """Return the first of `names` that is a column.

    Raises:
        DatasetError: none is.
    """
    for name in names:
        if name in header:
            return name
    wanted = " or ".join(map(repr, names))
    raise DatasetError(f"{path} has no column {wanted}; its columns are {', '.join(header) or 'none'}")
