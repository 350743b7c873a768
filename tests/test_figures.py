"""Figures: every one the inputs allow is written in three formats."""

from pathlib import Path

import pandas as pd
import pytest
import vectors

import results
from deftx import figures, overlap, sft, tables
from deftx.masks import build
from deftx.settings import Denoising, Rank, VarianceRank
from deftx.table_plan import Plan

NAMES = ("density", "gains", "overlap", "scores", "spectra")
LAYERS = {
    "embeddings.word_embeddings.weight": [20, 8],
    "encoder.layer.0.attention.self.query.weight": [8, 8],
    "encoder.layer.0.attention.self.query.bias": [8],
    "encoder.layer.1.output.dense.weight": [8, 16],
}


def make(folder: Path, languages: tuple[str, ...], **plan: object) -> tuple[dict[str, Path], dict[str, Path]]:
    """Tables, and reports and overlaps of two selections."""
    results.predictions(folder, languages, [0])
    made = Plan.model_validate(results.plan(languages, [0], **plan))
    tables.build(folder, made, folder / "tables")
    reports, overlaps = {}, {}
    for selection, rank in {"lt-sft": "none", "deft-x": VarianceRank(variance=0.9)}.items():
        vector_of = {}
        for n, name in enumerate([*languages, "task:mood"]):
            delta = vectors.dense(n, shapes=vectors.SHAPES)
            described = vectors.metadata("delta", shapes=LAYERS)
            arrays = {
                key: delta.dense["embeddings.word_embeddings.weight"].flat[: _size(s)].reshape(s)
                for key, s in LAYERS.items()
            }
            vector_of[name] = folder / f"{n}.delta"
            sft.save(sft.Vector(described, dense=arrays), vector_of[name])
            chosen: Rank = rank
            reports[f"{selection}/{name}"] = folder / f"{selection}-{n}.json"
            build(vector_of[name], Denoising(rank=chosen), 0.2, folder / "mask", reports[f"{selection}/{name}"])
        overlaps[selection] = folder / f"{selection}.csv"
        overlap.build(vector_of, overlaps[selection])
    return reports, overlaps


def _size(shape: list[int]) -> int:
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


@pytest.mark.parametrize("languages", [("src", "one", "two"), ("src", "nan", "null")], ids=["plain", "nan is Min Nan"])
def test_all_figures_are_written(tmp_path: Path, languages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append((figure, path)))
    reports, overlaps = make(tmp_path, languages)
    figures.build(tmp_path / "tables", reports, overlaps, tmp_path / "figures")
    assert sorted(path.name for _, path in drawn) == list(NAMES)
    by_name = {path.name: figure for figure, path in drawn}
    ticks = [label.get_text() for label in by_name["scores"].axes[0].get_xticklabels()]
    assert ticks[:3] == list(languages)
    names = [label.get_text() for label in by_name["overlap"].axes[0].get_yticklabels()]
    assert names == [*languages, "task:mood"]


def test_published_scores_are_drawn_where_there_are_any(tmp_path: Path) -> None:
    results.predictions(tmp_path, ("src", "one"), [0])
    plan = results.plan(("src", "one"), [0], control=None)
    scores = {"one": 1.0, "mean": 2.0}
    system = {"method": "lt-sft", "title": "LT-SFT", "base": "X", "source": "a paper", "scores": scores}
    plan["tasks"]["mood"]["published"] = [system]
    tables.build(tmp_path, Plan.model_validate(plan), tmp_path / "tables")
    figures.build(tmp_path / "tables", {}, {}, tmp_path / "figures")
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"scores", "published"}
    axes = figures.published(pd.read_csv(tmp_path / "tables" / "published.csv")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["LT-SFT: one", "LT-SFT: mean"]
    drawn = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert drawn["published, outside our interval"] == [1.0, 2.0] and drawn["published"] == []


def test_figures_of_the_tables_alone(tmp_path: Path) -> None:
    make(tmp_path, ("src", "one"), control=None)
    figures.build(tmp_path / "tables", {}, {}, tmp_path / "figures")
    written = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in written] == ["scores.pdf", "scores.png", "scores.svg"]
    starts = [path.read_bytes()[:5] for path in written]
    assert starts[0] == b"%PDF-" and starts[1] == b"\x89PNG\r" and starts[2] == b"<?xml"
