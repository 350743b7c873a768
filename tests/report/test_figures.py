"""Figures: every one the inputs allow is written in three formats, and methods can be told apart in it."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from deftx.config.masks import Denoising, Rank, VarianceRank
from deftx.masks.select import build
from deftx.merging import overlap as overlap_table
from deftx.modules import vectors as vector_files
from deftx.report.figures import build as build_figures
from deftx.report.figures import style
from deftx.report.figures.method_styles import MARKERS, METHOD_COLOURS, styles_of
from deftx.report.tables import build as build_tables
from deftx.report.tables.spec import Plan
from tests.helpers import REPOSITORY, results, vectors

PAPER: Any = yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text())
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
    build_tables.build(folder, made, folder / "tables")
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
            vector_files.save(vector_files.Vector(described, dense=arrays), vector_of[name])
            chosen: Rank = rank
            reports[f"{selection}/{name}"] = folder / f"{selection}-{n}.json"
            build(vector_of[name], Denoising(rank=chosen), 0.2, folder / "mask", reports[f"{selection}/{name}"])
        overlaps[selection] = folder / f"{selection}.csv"
        overlap_table.build(vector_of, overlaps[selection])
    return reports, overlaps


def _size(shape: list[int]) -> int:
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


@pytest.mark.parametrize("languages", [("src", "one", "two"), ("src", "nan", "null")], ids=["plain", "nan is Min Nan"])
def test_all_figures_are_written(tmp_path: Path, languages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(build_figures, "save", lambda figure, path: drawn.append((figure, path)))
    reports, overlaps = make(tmp_path, languages)
    build_figures.build(tmp_path / "tables", reports, overlaps, tmp_path / "figures")
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
    plan["tasks"]["mood"] |= {"published": [system], "note": "the data are others."}
    build_tables.build(tmp_path, Plan.model_validate(plan), tmp_path / "tables")
    build_figures.build(tmp_path / "tables", {}, {}, tmp_path / "figures")
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"scores", "published"}
    assert "Differences in mood: the data are others." in (tmp_path / "tables" / "published.md").read_text()
    axes = build_figures.draw_published(pd.read_csv(tmp_path / "tables" / "published.csv")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["LT-SFT: one", "LT-SFT: mean"]
    drawn = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert drawn["published, outside our interval"] == [1.0, 2.0] and drawn["published"] == []


def test_figures_of_the_tables_alone(tmp_path: Path) -> None:
    make(tmp_path, ("src", "one"), control=None)
    build_figures.build(tmp_path / "tables", {}, {}, tmp_path / "figures")
    written = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in written] == ["scores.pdf", "scores.png", "scores.svg"]
    starts = [path.read_bytes()[:5] for path in written]
    assert starts[0] == b"%PDF-" and starts[1] == b"\x89PNG\r" and starts[2] == b"<?xml"


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        table = grid(("a", "b"), 2)
        table.assign(gain=1.0).to_csv(tmp_path / "scores.csv", index=False)
        for name in ("gains", "published"):
            table.head(0).to_csv(tmp_path / f"{name}.csv", index=False)
        build_figures.build(tmp_path, {}, {}, tmp_path / folder)
    one, other = ({p.name: p.read_bytes() for p in (tmp_path / f).iterdir()} for f in ("one", "other"))
    assert one == other


# Many methods


def grid(methods: tuple[str, ...], languages: int, titles: tuple[str, ...] = ()) -> pd.DataFrame:
    """A row for every method in every language and on the mean."""
    rows: list[dict[str, Any]] = [
        {"task": "nli", "method": method, "title": title, "language": code, "name": code, "score": 50.0, "gain": 1.0,
         "low": 49.0, "high": 51.0, "metric": "accuracy", "over": "nothing"}
        for method, title in zip(methods, titles or methods, strict=True)
        for code in (*(f"l{n}" for n in range(languages)), "mean")
    ]  # fmt: skip
    return pd.DataFrame(rows)


@given(st.lists(st.from_regex(r"\A[ab](-[ab]){0,4}\Z"), unique=True, max_size=40))
def test_every_method_has_a_style_of_its_own(methods: list[str]) -> None:
    """However many of them are related."""
    styles = list(styles_of(methods).values())
    assert len({(s.face, s.hatch) for s in styles}) == len(methods), "bars"
    assert len({(s.colour, bool(s.hatch), s.marker) for s in styles[:10]}) == len(methods[:10]), "points"


def test_related_methods_have_one_colour() -> None:
    styles = styles_of(PAPER["methods"])
    assert styles["deft-x"].colour == styles["deft-x-uniform"].colour
    assert (styles["deft-x"].hatch, styles["deft-x-uniform"].hatch) == ("", "//////")
    others = [s.colour for name, s in styles.items() if name != "deft-x-uniform"]
    assert len(set(others)) == len(others)


# What eyes without red cones, and eyes without green cones, see of a colour (Machado, Oliveira & Fernandes 2009), in
# linear RGB.
SEEN = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def lab(colour: str, eyes: str) -> Any:
    """A colour in CIELAB, as such eyes see it."""
    code = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(SEEN[eyes] @ linear, 0, 1) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_of_methods_differ_for_all_eyes(eyes: str) -> None:
    seen = [lab(colour, eyes) for colour in (*METHOD_COLOURS, "#FFFFFF")]
    apart = [np.linalg.norm(one - other) for n, one in enumerate(seen) for other in seen[:n]]
    assert min(apart) > 18  # about 2 can just be told apart side by side


def test_bars_of_the_paper_have_colours_of_their_own() -> None:
    axes = build_figures.draw_scores(grid(tuple(PAPER["methods"]), 10)).axes
    assert len(axes) == 2, "languages in two lines"
    ticks = [label.get_text() for one in axes for label in one.get_xticklabels()]
    assert ticks == [*(f"l{n}" for n in range(10)), "mean of\ntargets"]
    for one in axes:
        colours = [bar.patches[0].get_facecolor() for bar in one.containers if hasattr(bar, "patches")]
        assert len(set(colours)) == len(colours) == len(PAPER["methods"])


@pytest.mark.parametrize("count", [2, 4, 10, 25])
def test_gains_stand_nearer_to_their_own_language_than_to_the_next(count: int) -> None:
    methods = tuple(f"method {n}" for n in range(count))
    axes = build_figures.draw_gains(grid(methods, 2), methods).axes[0]
    points = [line.get_ydata() for line in axes.get_lines() if line.get_marker() in MARKERS]
    assert len(points) == count
    first, second, mean = (np.array([place[n] for place in points]) for n in range(3))
    assert np.ptp(first) < (second - first).min() and second.max() < mean.min()


def test_a_method_has_one_style_in_scores_and_gains() -> None:
    """The control has no gains, and the others keep their styles."""
    methods = tuple(PAPER["methods"])
    table = grid(methods, 2)
    drawn = build_figures.draw_gains(table[table["method"] != "task-sft"], methods).axes[0].get_legend_handles_labels()
    colours = {label: handle[0].get_color() for handle, label in zip(*drawn, strict=True)}
    assert "task-sft" not in colours
    assert colours == {name: s.colour for name, s in styles_of(methods).items() if name in colours}


@pytest.mark.parametrize("count", [3, 4, 10, 13])
def test_no_legend_is_cut_off(count: int) -> None:
    methods = tuple(f"m{n}" for n in range(count))
    table = grid(methods, 4, tuple(f"a method with a title of its own, {n}" for n in range(count)))
    with mpl.rc_context(build_figures.STYLE):
        for figure in (build_figures.draw_scores(table), build_figures.draw_gains(table, methods)):
            inside(figure)


def inside(figure: Figure) -> None:
    """The legend lies within the figure."""
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_figures_of_many_languages_fit_a_page() -> None:
    names = [f"l{n}" for n in range(20)]
    pairs = [{"one": a, "other": b, "jaccard": 0.1, "cosine": 0.2} for n, a in enumerate(names) for b in names[:n]]
    seen = {"entries": 64, "chosen": 6, "singular_values": [2.0, 1.0], "rank": 1}
    report = {"encoder.layer.0.attention.self.query.weight": seen}
    reports = {f"{s}/{name}": report for s in ("b", "a", "lt-sft", "c", "d") for name in names}
    drawn = [
        build_figures.draw_scores(grid(tuple(PAPER["methods"]), 20)),
        build_figures.draw_overlap({s: pd.DataFrame(pairs) for s in ("lt-sft", "deft-x")}),
        build_figures.draw_spectra(reports),
        build_figures.draw_density(reports),
    ]
    assert all(figure.get_figwidth() <= style.PAGE for figure in drawn)
    titles = [axes.get_title(loc="left") for axes in drawn[-1].axes if axes.get_visible()]
    assert [title.partition(":")[0] for title in titles if title] == ["lt-sft", "b", "a", "c", "d"]
