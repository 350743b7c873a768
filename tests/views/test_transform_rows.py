"""Views: what transforms may do to rows, what is written beside them, and what is refused."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deftx.config.data import View
from deftx.core.errors import ConfigError, DatasetError
from deftx.core.integrity import read_json, sha256_of
from deftx.data import rows as row_files
from deftx.data.rows import Row
from deftx.views import settings as view_settings
from deftx.views import transform_rows
from deftx.views.registry import TRANSFORMS, Transform
from tests.helpers.command import refused

ROWS = [{"id": str(n), "text": f"text {n}", "label": "good" if n % 2 else "bad"} for n in range(4)]
VIEW = View.model_validate({"dataset": "d", "steps": [{"transform": "toy"}], "seed": 3})
Change = Callable[[Sequence[Row], Any, int], list[Row]]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    row_files.save(ROWS, 0, ("bad", "good"), tmp_path / "test.csv")
    return tmp_path / "test.csv"


@pytest.fixture
def transform(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Register a function as the transform `toy`."""

    def register(change: Change) -> None:
        monkeypatch.setitem(TRANSFORMS, "toy", Transform("toy", "nobody", "toy"))
        monkeypatch.setattr(transform_rows, "import_module", lambda name: SimpleNamespace(rows=change))

    return register


def test_a_view_is_a_dataset_with_what_was_done_beside_it(
    dataset: Path, tmp_path: Path, transform: Callable[[Change], None]
) -> None:
    def copy(rows: Sequence[Row], settings: Any, seed: int) -> list[Row]:
        return [*rows, *(row | {"id": f"{row['id']}#1", "text": f"{seed} {row['text']}"} for row in rows)]

    transform(copy)
    out = tmp_path / "view/test.csv"
    transform_rows.build(dataset, VIEW, out)
    assert row_files.load(out) == copy(ROWS, None, 3)
    assert read_json(out.with_suffix(".json")) == {
        "dataset": sha256_of(dataset),
        "steps": [{"transform": "toy", "settings": {}}],
        "rows": [4, 8],
        "sha256": sha256_of(out),
    }
    before = out.read_bytes(), out.with_suffix(".json").read_bytes()
    transform_rows.build(dataset, VIEW, out)
    assert (out.read_bytes(), out.with_suffix(".json").read_bytes()) == before


def test_a_transform_gets_rows_of_its_own(dataset: Path, tmp_path: Path, transform: Callable[[Change], None]) -> None:
    """One that changes them in place is checked against what they were."""

    def rename(rows: Sequence[Row], settings: Any, seed: int) -> list[Row]:
        for row in rows:
            row["id"] = f"new {row['id']}"
        return list(rows)

    transform(rename)
    with pytest.raises(DatasetError, match="makes a row 'new 0'"):
        transform_rows.build(dataset, VIEW, tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [], "the transform toy leaves no row"),
        (lambda rows: [*rows, rows[0]], "gives two rows the same id"),
        (lambda rows: [row | {"id": f"x{row['id']}"} for row in rows], "makes a row 'x0'"),
        (lambda rows: [rows[0] | {"new": ""}, *rows[1:]], "different columns"),
        (lambda rows: [{"id": row["id"], "text": ""} for row in rows], "without id, text or label"),
    ],
)
def test_what_breaks_the_contract_is_refused_and_nothing_written(
    dataset: Path, tmp_path: Path, transform: Callable[[Change], None], change: Any, message: str
) -> None:
    transform(lambda rows, settings, seed: change(list(rows)))
    with pytest.raises(DatasetError, match=message):
        transform_rows.build(dataset, VIEW, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "out.json").exists()


def test_settings_belong_to_a_transform_that_has_some(transform: Callable[[Change], None]) -> None:
    transform(lambda rows, settings, seed: list(rows))
    step = VIEW.steps[0].model_copy(update={"settings": {"share": 0.5}})
    with pytest.raises(ConfigError, match="the transform toy has no settings: leave out share"):
        view_settings.settings_of(step)


def test_the_verb_refuses_a_transform_it_does_not_know(dataset: Path, tmp_path: Path) -> None:
    settings = '{"dataset": "d", "steps": [{"transform": "nothing"}]}'
    message = refused("view", dataset, "--settings", settings, "--out", tmp_path / "out.csv")
    assert "there is no transform 'nothing'" in message
