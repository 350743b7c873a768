"""Figures of masks and vectors: spectra of deltas, the distribution of a mask's elements, and overlaps of vectors."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deftx.report.figures.style import COLOURS, COLUMN, PAGE, split_rows

KINDS = ("query", "key", "value", "attention out", "ffn in", "ffn out", "bias")

Report = dict[str, dict[str, Any]]
"""Report of a mask, by parameter."""


def draw_spectra(reports: Mapping[str, Report]) -> Figure:
    """Return the share of a delta's squared singular values in its first directions; a dot marks the chosen rank.

    One panel per vector. A line is the median over layers of one kind of matrix, a dot is one matrix.
    """
    with_spectra = {name: report for name, report in reports.items() if _has_spectra(report)}
    names = _names_of_first_selection(with_spectra)
    columns = min(3 if len(names) <= 9 else 4, max(1, len(names)))
    lines = -(-max(1, len(names)) // columns)
    figure = Figure(figsize=(min(PAGE, 1.15 * COLUMN / 2 * columns), 1.35 * lines + 0.45))
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, name in zip(grid.flat, names, strict=False):
        _draw_spectrum(axes, with_spectra[names[name]])
        axes.set_title(name.removeprefix("task:"), loc="left")
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    _label_bottoms(grid)
    figure.supxlabel("share of the matrix's rank that is kept", fontsize=7)
    figure.supylabel("share of squared singular values", fontsize=7)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=4, loc="outside upper center", columnspacing=1.0, handlelength=1.2)
    return figure


def _draw_spectrum(axes: Axes, report: Report) -> None:
    grid = np.linspace(0, 1, 101)
    for n, kind in enumerate((*KINDS[:-1], "word embeddings")):
        curves = []
        for name, counts in report.items():
            if _kind_of(name) != kind or not counts["singular_values"]:
                continue
            energy = np.square(counts["singular_values"])
            if not energy.sum():
                continue
            cumulative = np.concatenate([[0], np.cumsum(energy) / energy.sum()])
            ranks = np.linspace(0, 1, len(cumulative))
            curves.append(np.interp(grid, ranks, cumulative))
            rank = min(counts["rank"], len(energy))
            axes.plot(rank / len(energy), cumulative[rank], ".", markersize=2.5, color=COLOURS[n], alpha=0.8)
        if curves:
            axes.plot(grid, np.median(curves, axis=0), color=COLOURS[n], label=kind)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)


def draw_density(reports: Mapping[str, Report]) -> Figure:
    """Return the share of the elements in a mask, by layer and kind of parameter, with selections in columns.

    The upper row is the mean over language masks, the lower row over task masks.
    """
    selections = sorted(dict.fromkeys(name.partition("/")[0] for name in reports), key=lambda s: s != "lt-sft")
    groups = {"language": _masks_of(reports, task=False), "task": _masks_of(reports, task=True)}
    groups = {kind: group for kind, group in groups.items() if group}
    maps = {
        (kind, s): np.mean(densities, axis=0)
        for kind, group in groups.items()
        for s in selections
        if (densities := [_densities(r) for name, r in group.items() if name.startswith(f"{s}/")])
    }
    layers = len(next(iter(maps.values()))) - 1
    lines = [(kind, row) for kind in groups for row in split_rows(selections, int(2 * PAGE / COLUMN))]
    columns = max(len(row) for _, row in lines)
    gap = "\n" if max(map(len, selections)) > 9 else " "  # long names would run into the next panel's
    figure = Figure(figsize=(COLUMN * max(1.0, columns / 2), (0.75 + 0.09 * layers) * len(lines) + 0.6))
    grid = figure.subplots(len(lines), columns, squeeze=False, sharex=True, sharey=True)
    for line, (kind, row) in enumerate(lines):
        top = max(float(np.nanmax(maps[kind, s])) for s in selections if (kind, s) in maps)
        for axes, s in zip(grid[line], [*row, *[""] * (columns - len(row))], strict=True):
            if (kind, s) not in maps:
                axes.set_visible(False)
                continue
            image = axes.imshow(maps[kind, s], cmap="cividis", vmin=0, vmax=top, aspect="auto")
            axes.set_title(f"{s}:{gap}{kind} vectors", loc="left")
            axes.set_xticks(range(len(KINDS)), KINDS, rotation=45, ha="right", rotation_mode="anchor")
            step = max(1, layers // 6)
            axes.set_yticks([0, *range(1, layers + 1, step)], ["emb.", *map(str, range(1, layers + 1, step))])
            for n, part in enumerate(("word", "pos", "type")):
                is_light = maps[kind, s][0, n] > 0.6 * top
                axes.text(n, 0, part, ha="center", va="center", fontsize=4.5, color="black" if is_light else "white")
        bar = figure.colorbar(image, ax=grid[line].tolist(), shrink=0.9, pad=0.01)
        bar.set_label("in the mask (%)")
    grid[0, 0].set_ylabel("layer")
    _label_bottoms(grid)
    return figure


def draw_overlap(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Return heat maps by selection: Jaccard index of the masks and cosine of the vectors, for all pairs."""
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
        bar = figure.colorbar(image, ax=grid[:, column].tolist(), location="bottom", shrink=0.8, pad=0.02)
        bar.locator = MaxNLocator(4)  # more numbers run into one another
    return figure


def _label_bottoms(grid: np.ndarray[Any, Any]) -> None:
    """Label the last visible panel of every column, where panels share an axis."""
    for column in grid.T:
        visible = [axes for axes in column if axes.get_visible()]
        visible[-1].tick_params(labelbottom=True)


def _square(table: pd.DataFrame, names: list[str], measure: str) -> np.ndarray[Any, Any]:
    """Return a symmetric matrix of a measure; its diagonal is NaN."""
    values = np.full((len(names), len(names)), np.nan)
    for _, row in table.iterrows():
        i, j = names.index(row["one"]), names.index(row["other"])
        values[i, j] = values[j, i] = row[measure]
    return values


def _has_spectra(report: Report) -> bool:
    return any(counts["singular_values"] for counts in report.values())


def _names_of_first_selection(reports: Mapping[str, Report]) -> dict[str, str]:
    """Return the vectors of the first selection with spectra: full key by short name."""
    first = next(iter(reports), "").partition("/")[0]
    return {name.partition("/")[2]: name for name in reports if name.partition("/")[0] == first}


def _masks_of(reports: Mapping[str, Report], task: bool) -> dict[str, Report]:
    """Return the reports of task masks, whose names begin with `task:`, or those of language masks."""
    return {name: r for name, r in reports.items() if ("/task:" in name) == task}


def _kind_of(name: str) -> str:
    """Return the kind of a parameter for figures, from its name in BERT and RoBERTa encoders."""
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
    """Return the percentage of chosen elements: (1 + layers) x kinds; row 0 is word, position and type embeddings."""
    layers = [int(m.group(1)) for name in report if (m := re.search(r"layer\.(\d+)\.", name))]
    size = np.zeros((max(layers, default=-1) + 2, len(KINDS)))
    chosen = np.zeros_like(size)
    embeddings = ("word embeddings", "position embeddings", "token type embeddings")
    for name, counts in report.items():
        kind = _kind_of(name)
        layer = re.search(r"layer\.(\d+)\.", name)
        if kind in embeddings:
            cell = (0, embeddings.index(kind))
        elif layer and kind in KINDS:
            cell = (int(layer.group(1)) + 1, KINDS.index(kind))
        else:
            continue
        size[cell] += counts["entries"]
        chosen[cell] += counts["chosen"]
    return np.where(size > 0, 100 * chosen / np.maximum(size, 1), np.nan)
