"""Sweeps: every value of a hyper-parameter at its position, with its score and interval."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deftx.config.report import Sweep
from deftx.core.errors import DatasetError
from deftx.report.figures import sweeps
from tests.helpers.command import refused

SWEEPS = {
    "weight": Sweep(title="weight", at=(0.0, 0.5, 1), series={"A": ("a0", "a1", "a2")}, beside=("b",)),
    "rule": Sweep(title="rule", at=("sum", "ties"), series={"A": ("a0", "a1"), "B": ("a2", "b")}),
}
SCORES = {"a0": 50.0, "a1": 60.0, "a2": 55.0, "b": 58.0}


def table(tasks: tuple[str, ...] = ("mood",)) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {"task": task, "method": m, "title": f"the {m}", "language": lang, "score": s, "low": s - 2, "high": s + 3,
         "metric": "macro_f1"}
        for task in tasks for m, s in SCORES.items() for lang in ("nan", "mean")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_points_and_intervals_are_those_of_the_table() -> None:
    means = table()[lambda rows: rows["language"] == "mean"]
    weight, rule = sweeps.draw(means, SWEEPS).axes
    (points,) = weight.containers
    assert list(points[0].get_ydata()) == [50.0, 60.0, 55.0]
    ends = [segment[:, 1].tolist() for segment in points[2][0].get_segments()]
    assert ends == [[48.0, 53.0], [58.0, 63.0], [53.0, 58.0]]
    assert [label.get_text() for label in weight.get_xticklabels()] == ["0", "0.5", "1"]
    assert "the b" in [text.get_text() for text in weight.get_legend().get_texts()]
    assert [list(c[0].get_ydata()) for c in rule.containers] == [[50.0, 60.0], [55.0, 58.0]]
    assert {c[0].get_linestyle() for c in rule.containers} == {"None"}, "nothing lies between two rules"


def test_tasks_are_drawn_apart() -> None:
    rows = table(("mood", "topic"))
    figure = sweeps.draw(rows[rows["language"] == "mean"], SWEEPS)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert len(labels) == 4 and labels[0].startswith("mood,") and labels[2].startswith("topic,")


def test_a_small_difference_does_not_fill_a_panel() -> None:
    rows = table().assign(score=50.0, low=49.9, high=50.1)
    for axes in sweeps.draw(rows[rows["language"] == "mean"], SWEEPS).axes:
        low, high = axes.get_ylim()
        assert high - low >= sweeps.SPAN - 1e-9


def test_a_score_outside_of_its_interval_is_drawn() -> None:
    """A percentile interval may leave its score out, where a label is rare."""
    rows = table().assign(low=61.0, high=62.0)
    weight, _ = sweeps.draw(rows[rows["language"] == "mean"], SWEEPS).axes
    assert list(weight.containers[0][0].get_ydata()) == [50.0, 60.0, 55.0]


def test_figures_are_written_in_three_formats(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "scores.csv", index=False)
    sweeps.build(tmp_path / "scores.csv", SWEEPS, tmp_path / "figures" / "sweeps")
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["sweeps.pdf", "sweeps.png", "sweeps.svg"]


def test_a_method_without_scores(tmp_path: Path) -> None:
    table().query("method != 'b'").to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(DatasetError, match=r"scores\.csv contains no score of b, named in sweep weight"):
        sweeps.build(tmp_path / "scores.csv", SWEEPS, tmp_path / "sweeps")


def test_a_series_of_another_length(tmp_path: Path) -> None:
    settings = '{"x": {"title": "x", "at": [1, 2], "series": {"A": ["a"]}}}'
    message = refused("sweeps", tmp_path / "scores.csv", "--settings", settings, "--out", tmp_path / "sweeps")
    assert "the series 'A' has 1 methods for 2 values" in message
