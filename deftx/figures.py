"""Figures for a paper, drawn from tables and reports alone: nothing here is computed from a model.

Every figure is written as SVG, PDF and PNG, in colours that colour-blind readers can tell apart (Okabe & Ito 2008; for
methods beyond the fourth also Tol 2021) and letters of 7 points at the printed size. None is wider than a page.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from deftx.files import publish

COLOURS = ("#999999", "#56B4E9", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#000000")
# Of methods, in their order. The nearest two differ by 18 in CIELAB also where red or green is not seen.
METHOD_COLOURS = (*COLOURS[:4], "#D55E00", "#332288", "#DDCC77", "#882255", "#661100", "#000000")
MARKERS = "o^sDvPp<X>"
# Methods that share a colour: how much white is in it, and what is drawn across.
SHADES = ((0.0, ""), (0.5, "//////"), (0.75, "......"), (0.25, "xxxxxx"))
STYLE: Any = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "hatch.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "deftx",
    "pdf.fonttype": 42,
    "figure.dpi": 300,
    "figure.constrained_layout.use": True,
}
COLUMN = 3.35  # inches: one column of a two-column page
PAGE = 7.0  # inches: both
LEGEND_LINE = 0.14  # inches
KINDS = ("query", "key", "value", "attention out", "ffn in", "ffn out", "bias")
MEAN = "mean"
METRIC_NAMES = {"macro_f1": "macro-F1 (%)", "accuracy": "accuracy (%)"}

Report = dict[str, dict[str, Any]]


def build(tables: Path, reports: Mapping[str, Path], overlaps: Mapping[str, Path], out: Path) -> None:
    """Draw every figure the inputs allow.

    Args:
        tables: folder with scores.csv, gains.csv and published.csv.
        reports: report of a mask by `selection/name`.
        overlaps: overlap table by selection.
        out: folder of the figures.
    """
    with mpl.rc_context(STYLE):
        table = _table(tables / "scores.csv")
        save(scores(table), out / "scores")
        gain_table = _table(tables / "gains.csv")
        if len(gain_table):
            save(gains(gain_table, list(table["method"].unique())), out / "gains")
        beside = _table(tables / "published.csv")
        if len(beside):
            save(published(beside), out / "published")
        read = {name: json.loads(path.read_text()) for name, path in reports.items()}
        if read:
            save(spectra(read), out / "spectra")
            save(density(read), out / "density")
        if overlaps:
            save(overlap({name: _table(path) for name, path in overlaps.items()}), out / "overlap")


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])  # "nan" is the code of a language, Min Nan


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, PDF and PNG; none holds the time."""
    for form, times in (("svg", {"Date": None}), ("pdf", {"CreationDate": None}), ("png", {})):
        with publish(path.with_suffix(f".{form}")) as temporary:
            figure.savefig(temporary, format=form, metadata=times)


@dataclass(frozen=True)
class Look:
    """How a method is drawn, the same in every figure."""

    colour: str
    """Of lines and edges."""
    face: tuple[float, ...]
    """Of bars."""
    hatch: str
    marker: str
    """Hollow where there is a hatch."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method, by its place; related methods have one colour in several shades.

    Methods are related where the name of one begins with another's and a hyphen, as `deft-x` and `deft-x-uniform`. Up
    to 40 differ from one another: a colour that all four shades are taken of gives way to the next.
    """
    methods = list(methods)
    places: dict[str, int] = {}
    used: Counter[int] = Counter()
    found = {}
    for n, method in enumerate(methods):
        head = next((other for other in methods if method.startswith(f"{other}-")), method)
        place = places.get(head)
        if place is None or used[place] == len(SHADES):
            place = min(range(len(METHOD_COLOURS)), key=lambda p: used[p])
        places.setdefault(head, place)
        white, hatch = SHADES[used[place] % len(SHADES)]
        used[place] += 1
        face = tuple(white + (1 - white) * part for part in to_rgb(METHOD_COLOURS[place]))
        found[method] = Look(METHOD_COLOURS[place], face, hatch, MARKERS[n % len(MARKERS)])
    return found


def scores(table: pd.DataFrame) -> Figure:
    """Grouped bars: score of each method in each language, with bootstrap intervals.

    Languages for which a line has no room stand in further lines.
    """
    methods = list(table["method"].unique())
    look = looks(methods)
    group = max(0.62, 0.085 * len(methods))  # inches for a language
    lines = [
        (task, part[part["language"].isin(some)])
        for task, part in table.groupby("task", sort=False)
        for some in _lines(list(part["language"].unique()), int(PAGE / group))
    ]
    longest = max(part["language"].nunique() for _, part in lines)
    figure = Figure(figsize=(max(COLUMN, group * longest), 2.3 * len(lines)))
    panels = figure.subplots(len(lines), squeeze=False)[:, 0]
    width = 0.84 / len(methods)
    titled = set()
    for axes, (task, part) in zip(panels, lines, strict=True):
        for n, method in enumerate(methods):
            rows = part[part["method"] == method]
            at = _places(rows) - 0.42 + width * (n + 0.5)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
            axes.bar(at, rows["score"], width, label=rows["title"].iloc[0], color=look[method].face,
                     hatch=look[method].hatch, edgecolor=look[method].colour, linewidth=0,
                     yerr=error, error_kw={"elinewidth": 0.6, "capsize": 1.2, "capthick": 0.6})  # fmt: skip
        rows = part[part["method"] == methods[0]]
        axes.set_xticks(_places(rows), _labels(rows))
        axes.set_ylabel(METRIC_NAMES[rows["metric"].iloc[0]])
        axes.set_ylim(0, 100)
        axes.set_title(task if table["task"].nunique() > 1 and task not in titled else "", loc="left")
        titled.add(task)
        axes.grid(axis="y", linewidth=0.3, alpha=0.6)
        axes.set_axisbelow(True)
    widest = max((axes.get_xlim() for axes in panels), key=lambda limits: limits[1])
    for axes in panels:
        axes.set_xlim(widest)
    _legend(figure, panels[0], handlelength=1.0)
    return figure


def gains(table: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Gain of each method over the control, by language, with bootstrap intervals; tasks side by side.

    Args:
        table: gains.csv.
        methods: all methods in their order, the control included.
    """
    tasks = list(table["task"].unique())
    look = looks(methods)
    drawn = [method for method in methods if method in set(table["method"])]
    languages = int(table.groupby("task")["language"].nunique().max())
    apart = min(0.24, 0.8 / len(drawn))  # of the distance between two languages
    figure = Figure(figsize=(COLUMN * len(tasks), 0.6 + max(0.34, 0.062 * len(drawn)) * languages))
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        part = table[table["task"] == task]
        for n, method in enumerate(drawn):
            rows = part[part["method"] == method]
            at = _places(rows) + apart * (n - (len(drawn) - 1) / 2)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["gain"].to_numpy())
            face = "white" if look[method].hatch else look[method].colour
            axes.errorbar(rows["gain"], at, xerr=error, fmt=look[method].marker, markersize=3, elinewidth=0.8,
                          color=look[method].colour, markerfacecolor=face,
                          label=rows["title"].iloc[0])  # fmt: skip
        rows = part[part["method"] == drawn[0]]
        axes.axvline(0, color="black", linewidth=0.6)
        axes.set_yticks(_places(rows), _labels(rows, "\n"))
        axes.invert_yaxis()
        metric = METRIC_NAMES[rows["metric"].iloc[0]].replace("(%)", "points")
        axes.set_xlabel(f"gain over {rows['over'].iloc[0]}, {metric}")
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        axes.grid(axis="x", linewidth=0.3, alpha=0.6)
    _legend(figure, panels[0])
    return figure


def _lines(names: Sequence[str], most: int) -> list[list[str]]:
    """Names in lines of at most `most`, about equally long."""
    count = -(-len(names) // max(1, most))
    return [list(line) for line in np.array_split(np.array(names, dtype=object), count)]


def _legend(figure: Figure, axes: Axes, **style: Any) -> None:
    """A legend above the figure, in as many columns as fit, four at most; further lines make the figure higher."""
    handles, labels = axes.get_legend_handles_labels()
    size = STYLE["legend.fontsize"]
    widths = [TextPath((0, 0), label, size=size).get_extents().width for label in labels]
    beside = size * (style.get("handlelength", 2.0) + 0.8 + 1.0)  # handle, its gap, the gap between columns
    room = 72 * figure.get_figwidth()
    columns = max(
        n
        for n in range(1, min(len(labels), 4) + 1)
        if n == 1 or sum(max(column) + beside for column in np.array_split(widths, n)) <= room
    )
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * (-(-len(labels) // columns) - 1))
    figure.legend(handles, labels, ncols=columns, loc="outside upper center", columnspacing=1.0, **style)


def published(table: pd.DataFrame) -> Figure:
    """Our scores with bootstrap intervals, and the published ones: one line per system and language, a panel per task.

    Diamonds are published scores, filled where they lie outside our interval.
    """
    tasks = list(table["task"].unique())
    heights = [0.55 + 0.16 * int((table["task"] == task).sum()) for task in tasks]
    figure = Figure(figsize=(COLUMN, sum(heights) + 0.3))
    panels = figure.subplots(len(tasks), squeeze=False, height_ratios=heights)[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task]
        # A system is a block of its own, a little apart from the one above.
        at = np.arange(len(rows)) + 0.6 * (rows["system"].to_numpy() != np.roll(rows["system"], 1))[:].cumsum()
        error = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
        axes.errorbar(rows["score"], at, xerr=error, fmt="o", markersize=3, elinewidth=0.8, color=COLOURS[3],
                      label="ours")  # fmt: skip
        for outside, face in ((False, "white"), (True, COLOURS[5])):
            these = (rows["outside"] == outside).to_numpy()
            label = "published, outside our interval" if outside else "published"
            axes.plot(rows["published"][these], at[these], "D", markersize=3.5, markeredgewidth=0.8,
                      markeredgecolor=COLOURS[5], markerfacecolor=face, label=label)  # fmt: skip
        places = ["mean" if code == MEAN else code for code in rows["language"]]
        axes.set_yticks(at, [f"{system}: {place}" for system, place in zip(rows["system"], places, strict=True)])
        axes.invert_yaxis()
        axes.set_xlabel(METRIC_NAMES[rows["metric"].iloc[0]])
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        axes.grid(axis="x", linewidth=0.3, alpha=0.6)
        axes.set_axisbelow(True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, loc="outside upper center", columnspacing=1.0, handletextpad=0.3)
    return figure


def spectra(reports: Mapping[str, Report]) -> Figure:
    """Share of a delta's squared singular values that its first directions hold; a dot marks the chosen rank.

    One panel per vector; a line is the median over layers of one kind of matrix, a dot one matrix.
    """
    shown = {name: report for name, report in reports.items() if _has_spectra(report)}
    names = _one_selection(shown)
    columns = min(3 if len(names) <= 9 else 4, max(1, len(names)))
    lines = -(-max(1, len(names)) // columns)
    figure = Figure(figsize=(min(PAGE, 1.15 * COLUMN / 2 * columns), 1.35 * lines + 0.45))
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, name in zip(grid.flat, names, strict=False):
        _spectrum(axes, shown[names[name]])
        axes.set_title(name.removeprefix("task:"), loc="left")
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    _label_bottoms(grid)
    figure.supxlabel("share of the matrix' rank that is kept", fontsize=7)
    figure.supylabel("share of squared singular values", fontsize=7)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=4, loc="outside upper center", columnspacing=1.0, handlelength=1.2)
    return figure


def _spectrum(axes: Axes, report: Report) -> None:
    grid = np.linspace(0, 1, 101)
    for n, kind in enumerate((*KINDS[:-1], "word embeddings")):
        curves = []
        for name, seen in report.items():
            if _kind(name) != kind or not seen["singular_values"]:
                continue
            energy = np.square(seen["singular_values"])
            if not energy.sum():
                continue
            cumulative = np.concatenate([[0], np.cumsum(energy) / energy.sum()])
            at = np.linspace(0, 1, len(cumulative))
            curves.append(np.interp(grid, at, cumulative))
            rank = min(seen["rank"], len(energy))
            axes.plot(rank / len(energy), cumulative[rank], ".", markersize=2.5, color=COLOURS[n], alpha=0.8)
        if curves:
            axes.plot(grid, np.median(curves, axis=0), color=COLOURS[n], label=kind)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)


def density(reports: Mapping[str, Report]) -> Figure:
    """Share of the entries a mask holds, by layer and kind of parameter: selections side by side.

    The upper row is the mean over language masks, the lower one over task masks.
    """
    selections = sorted(dict.fromkeys(name.partition("/")[0] for name in reports), key=lambda s: s != "lt-sft")
    groups = {"language": _masks_of(reports, task=False), "task": _masks_of(reports, task=True)}
    groups = {kind: found for kind, found in groups.items() if found}
    maps = {
        (kind, s): np.mean(some, axis=0)
        for kind, found in groups.items()
        for s in selections
        if (some := [_densities(r) for name, r in found.items() if name.startswith(f"{s}/")])
    }
    layers = len(next(iter(maps.values()))) - 1
    lines = [(kind, shown) for kind in groups for shown in _lines(selections, int(2 * PAGE / COLUMN))]
    columns = max(len(shown) for _, shown in lines)
    gap = "\n" if max(map(len, selections)) > 9 else " "  # long names would run into the next panel's
    figure = Figure(figsize=(COLUMN * max(1.0, columns / 2), (0.75 + 0.09 * layers) * len(lines) + 0.6))
    grid = figure.subplots(len(lines), columns, squeeze=False, sharex=True, sharey=True)
    for line, (kind, shown) in enumerate(lines):
        top = max(float(np.nanmax(maps[kind, s])) for s in selections if (kind, s) in maps)
        for axes, s in zip(grid[line], [*shown, *[""] * (columns - len(shown))], strict=True):
            if (kind, s) not in maps:
                axes.set_visible(False)
                continue
            image = axes.imshow(maps[kind, s], cmap="cividis", vmin=0, vmax=top, aspect="auto")
            axes.set_title(f"{s}:{gap}{kind} vectors", loc="left")
            axes.set_xticks(range(len(KINDS)), KINDS, rotation=45, ha="right", rotation_mode="anchor")
            step = max(1, layers // 6)
            axes.set_yticks([0, *range(1, layers + 1, step)], ["emb.", *map(str, range(1, layers + 1, step))])
            for n, part in enumerate(("word", "pos", "type")):
                light = maps[kind, s][0, n] > 0.6 * top
                axes.text(n, 0, part, ha="center", va="center", fontsize=4.5, color="black" if light else "white")
        bar = figure.colorbar(image, ax=grid[line].tolist(), shrink=0.9, pad=0.01)
        bar.set_label("in the mask (%)")
    grid[0, 0].set_ylabel("layer")
    _label_bottoms(grid)
    return figure


def overlap(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Heat maps by selection: Jaccard index of the masks, cosine of the vectors, between all vectors."""
    selections = sorted(tables, key=lambda s: s != "lt-sft")
    names = list(dict.fromkeys(name for s in selections for c in ("one", "other") for name in tables[s][c]))
    side = min(COLUMN / 2 * max(1.0, len(names) / 7), PAGE / 2 - 0.3)
    figure = Figure(figsize=(2 * side + 0.6, (side + 0.1) * len(selections)))
    grid = figure.subplots(len(selections), 2, squeeze=False, sharex=True, sharey=True)
    limits = {m: max(float(t[m].abs().max()) for t in tables.values()) or 1.0 for m in ("jaccard", "cosine")}
    for column, (measure, name) in enumerate({"jaccard": "Jaccard of masks", "cosine": "cosine of vectors"}.items()):
        top = limits[measure]
        style: dict[str, Any] = (
            {"cmap": "cividis", "vmin": 0} if measure == "jaccard" else {"cmap": "PuOr", "vmin": -top}
        )
        for line, selection in enumerate(selections):
            axes = grid[line, column]
            image = axes.imshow(_square(tables[selection], names, measure), vmax=top, **style)
            axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(names)), names)
            axes.set_title(f"{selection}: {name}", loc="left", fontsize=6.5)
        figure.colorbar(image, ax=grid[:, column].tolist(), location="bottom", shrink=0.8, pad=0.02)
    return figure


def _label_bottoms(grid: np.ndarray[Any, Any]) -> None:
    """Numbers or names below the last panel of every column, where panels share an axis."""
    for column in grid.T:
        shown = [axes for axes in column if axes.get_visible()]
        shown[-1].tick_params(labelbottom=True)


def _square(table: pd.DataFrame, names: list[str], measure: str) -> np.ndarray[Any, Any]:
    """A symmetric matrix of a measure; the diagonal is left empty."""
    values = np.full((len(names), len(names)), np.nan)
    for _, row in table.iterrows():
        i, j = names.index(row["one"]), names.index(row["other"])
        values[i, j] = values[j, i] = row[measure]
    return values


def _places(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Positions of languages on an axis, the mean a little apart."""
    at = np.arange(len(rows), dtype=float)
    return at + 0.35 * (rows["language"] == MEAN).to_numpy()


def _labels(rows: pd.DataFrame, gap: str = "\n") -> list[str]:
    return ["mean of" + gap + "targets" if c == MEAN else c for c in rows["language"]]


def _has_spectra(report: Report) -> bool:
    return any(seen["singular_values"] for seen in report.values())


def _one_selection(reports: Mapping[str, Report]) -> dict[str, str]:
    """Vectors of the first selection with spectra: full key by short name."""
    first = next(iter(reports), "").partition("/")[0]
    return {name.partition("/")[2]: name for name in reports if name.partition("/")[0] == first}


def _masks_of(reports: Mapping[str, Report], task: bool) -> dict[str, Report]:
    """Reports of task masks or of language masks; a task's are marked by a name that begins with `task:`."""
    return {name: r for name, r in reports.items() if ("/task:" in name) == task}


def _kind(name: str) -> str:
    """The kind of a parameter, as figures call it, from its name in BERT and RoBERTa encoders."""
    if "embeddings" in name:
        return name.split(".")[1].replace("_", " ")
    if name.endswith("bias"):
        return "bias"
    for part, kind in (("query", "query"), ("key", "key"), ("value", "value"), ("attention.output", "attention out"),
                       ("intermediate", "ffn in"), ("output.dense", "ffn out")):  # fmt: skip
        if part in name:
            return kind
    return "other"


def _densities(report: Report) -> np.ndarray[Any, Any]:
    """Percent of entries chosen: (1 + layers) x kinds; line 0 holds word, position and type embeddings."""
    layers = [int(m.group(1)) for name in report if (m := re.search(r"layer\.(\d+)\.", name))]
    size = np.zeros((max(layers, default=-1) + 2, len(KINDS)))
    chosen = np.zeros_like(size)
    embeddings = ("word embeddings", "position embeddings", "token type embeddings")
    for name, seen in report.items():
        kind = _kind(name)
        layer = re.search(r"layer\.(\d+)\.", name)
        if kind in embeddings:
            place = (0, embeddings.index(kind))
        elif layer and kind in KINDS:
            place = (int(layer.group(1)) + 1, KINDS.index(kind))
        else:
            continue
        size[place] += seen["entries"]
        chosen[place] += seen["chosen"]
    return np.where(size > 0, 100 * chosen / np.maximum(size, 1), np.nan)
