"""Every benchmark runs, on models of two layers; what it finds there means nothing."""

from pathlib import Path

import pytest

from benchmarks import denoising, exchange, full_phase, scaling, selection, sparse_phase, throughput
from benchmarks.__main__ import table
from benchmarks.measure import Row
from benchmarks.models import maskable_shapes


@pytest.mark.parametrize("kind", ["classification", "masked-lm"])
def test_training_steps(kind: str) -> None:
    for found in (
        sparse_phase.measure("ours", kind, "pico"),
        sparse_phase.measure("plain", kind, "pico"),
        full_phase.measure("used", kind, "pico"),
        full_phase.measure("all", kind, "pico"),
    ):
        assert found["seconds"] > 0 and found["mb"] > 0


def test_throughput() -> None:
    assert throughput.ours("pico", tied=False, profiled=False) > 0
    assert throughput.stock("pico") > 0


def test_what_moves_is_less_than_everything() -> None:
    sparse, used, everything = (
        sum(leaf.numel() for leaf in exchange.leaves_of(side, "pico")) for side in ("sparse", "used", "all")
    )
    assert 0.05 * everything < sparse < used < everything


def test_selection(tmp_path: Path) -> None:
    selection.store("pico", tmp_path / "delta")
    for side in ("ours", "lists", "topk"):
        assert selection.measure(side, tmp_path / "delta", 500)["seconds"] > 0
    assert selection.by_streaming(tmp_path / "delta", 500) == selection.by_topk(tmp_path / "delta", 500) == 500


def test_denoising() -> None:
    assert denoising.measure("ours", "pico")["seconds"] > 0
    own, direct, shared = denoising.errors([64, 32])
    assert own < 1e-4 and direct < 1e-4 and shared > 0.999


def test_the_table_and_the_figure_of_planning(tmp_path: Path) -> None:
    rows = [scaling.Planned(10, 462, 2.0, 3.5, 105.0), scaling.Planned(1000, 41_052, 4.0, 86.104, 992.4)]
    assert "| 1,000 | 41,052 | 4.0 | 86.1 | 2.00 | 992 |" in scaling.table(rows)
    scaling.draw(rows, tmp_path / "scaling.svg")
    assert "processor time" in (tmp_path / "scaling.svg").read_text()


def test_shapes_of_xlm_r_base() -> None:
    shapes = maskable_shapes("base")
    total = sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes.values())
    assert total == 277_414_656
    assert shapes["embeddings.word_embeddings.weight"] == [250_002, 768]


@pytest.mark.parametrize(
    ("limit", "met"), [("<= 2", True), ("<= 0.5", False), ("ratio <= 0.3", True), ("ratio >= 0.3", False), ("", None)]
)
def test_a_row_knows_whether_its_limit_is_met(limit: str, met: bool | None) -> None:
    row = Row("what", "s", 1.0, 4.0, limit)
    assert row.met is met
    assert "| what (s) | 1 | 4 | 0.25 |" in table([vars(row) | {"ratio": row.ratio, "met": row.met}])
