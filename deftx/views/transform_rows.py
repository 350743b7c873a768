"""A view: rows of one split of a dataset, changed step by step, with what was done beside them.

A transform keeps ids, so that predictions stay comparable item by item: a copy of row 17 is called `17#1`. It may add
columns, and copy or drop rows; it reads no label of a test row.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel

from deftx.config.data import View
from deftx.core.errors import DatasetError
from deftx.core.integrity import sha256_of
from deftx.data import rows as row_files
from deftx.data.rows import Row
from deftx.views.registry import TRANSFORMS
from deftx.views.settings import settings_of


class Code(Protocol):
    """What the code of a transform offers."""

    def rows(self, rows: Sequence[Row], settings: BaseModel | None, seed: int) -> list[Row]:
        """Return changed rows; the same rows, settings and seed give the same."""


def build(dataset: Path, view: View, out: Path) -> dict[str, Any]:
    """Write a view of a dataset's CSV file to the CSV file `out`, with statistics beside it; returns these.

    Raises:
        ConfigError: a transform is not known, or its settings are not its.
        DatasetError: a transform breaks the contract above, or leaves no row; it is named.
    """
    rows = row_files.load(dataset)
    counts = [len(rows)]
    for step in view.steps:
        settings = settings_of(step)
        code = cast(Code, import_module(TRANSFORMS[step.transform].code))
        changed = code.rows([dict(row) for row in rows], settings, view.seed)
        problem = next(_problems(rows, changed), None)
        if problem:
            raise DatasetError(f"{dataset}: the transform {step.transform} {problem}")
        rows = changed
        counts.append(len(rows))
    steps = [step.model_dump(mode="json") for step in view.steps]
    return row_files.save_with(rows, {"dataset": sha256_of(dataset), "steps": steps, "rows": counts}, out)


def _problems(before: Sequence[Row], after: Sequence[Row]) -> Iterator[str]:
    """Yield what breaks the contract of transforms."""
    if not after:
        yield "leaves no row. Change its settings, or leave it out"
        return
    known, ids = {row["id"] for row in before}, [row.get("id", "") for row in after]
    if strange := next((name for name in ids if name not in known and name.rpartition("#")[0] not in known), None):
        yield f"makes a row {strange!r}, which is neither a row of the dataset nor a copy (ID#1)"
    if len(set(ids)) < len(ids):
        yield "gives two rows the same id; call a copy of row ID `ID#1`"
    if any(row.keys() != after[0].keys() or not {"id", "text", "label"} <= row.keys() for row in after):
        yield "leaves rows with different columns, or without id, text or label"
