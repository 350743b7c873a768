"""Figures of scores: by language and method, gains over the control, and compared with published ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from deftx.evaluation.names import MEAN, in_text
from deftx.report.figures.method_styles import styles_of
from deftx.report.figures.style import COLOURS, COLUMN, PAGE, STYLE, split_rows

LEGEND_LINE = 0.14  # inches


def draw_scores(table: pd.DataFrame) -> Figure:
    """Return grouped bars: the score of each method in each language, with bootstrap intervals.

    Languages that do not fit into a row follow in further rows.
    """
    methods = list(table["method"].unique())
    styles = styles_of(methods)
    group = max(0.62, 0.085 * len(methods))  # inches for a language
    parts = [
        (task, part[part["language"].isin(languages)])
        for task, part in table.groupby("task", sort=False)
        for languages in split_rows(list(part["language"].unique()), int(PAGE / group))
    ]
    longest = max(part["language"].nunique() for _, part in parts)
    figure = Figure(figsize=(max(COLUMN, group * longest), 2.3 * len(parts)))
    panels = figure.subplots(len(parts), squeeze=False)[:, 0]
    width = 0.84 / len(methods)
    titled = set()
    for axes, (task, part) in zip(panels, parts, strict=True):
        for n, method in enumerate(methods):
            rows = part[part["method"] == method]
            x = _positions(rows) - 0.42 + width * (n + 0.5)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
            axes.bar(x, rows["score"], width, label=rows["title"].iloc[0], color=styles[method].face,
                     hatch=styles[method].hatch, edgecolor=styles[method].colour, linewidth=0,
                     yerr=error, error_kw={"elinewidth": 0.6, "capsize": 1.2, "capthick": 0.6})  # fmt: skip
        rows = part[part["method"] == methods[0]]
        axes.set_xticks(_positions(rows), _labels(rows))
        axes.set_ylabel(f"{in_text(rows['metric'].iloc[0])} (%)")
        axes.set_ylim(0, 100)
        axes.set_title(task if table["task"].nunique() > 1 and task not in titled else "", loc="left")
        titled.add(task)
        axes.grid(axis="y", linewidth=0.3, alpha=0.6)
        axes.set_axisbelow(True)
    widest = max((axes.get_xlim() for axes in panels), key=lambda limits: limits[1])
    for axes in panels:
        axes.set_xlim(widest)
    _add_legend(figure, panels[0], handlelength=1.0)
    return figure


def draw_gains(table: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Return the gain of each method over the control, by language, with bootstrap intervals; tasks in columns.

    Args:
        table: gains.csv.
        methods: all methods in their order, the control included.
    """
    tasks = list(table["task"].unique())
    styles = styles_of(methods)
    with_gains = [method for method in methods if method in set(table["method"])]
    languages = int(table.groupby("task")["language"].nunique().max())
    apart = min(0.24, 0.8 / len(with_gains))  # of the distance between two languages
    figure = Figure(figsize=(COLUMN * len(tasks), 0.6 + max(0.34, 0.062 * len(with_gains)) * languages))
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        part = table[table["task"] == task]
        for n, method in enumerate(with_gains):
            rows = part[part["method"] == method]
            y = _positions(rows) + apart * (n - (len(with_gains) - 1) / 2)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["gain"].to_numpy())
            face = "white" if styles[method].hatch else styles[method].colour
            axes.errorbar(rows["gain"], y, xerr=error, fmt=styles[method].marker, markersize=3, elinewidth=0.8,
                          color=styles[method].colour, markerfacecolor=face,
                          label=rows["title"].iloc[0])  # fmt: skip
        rows = part[part["method"] == with_gains[0]]
        axes.axvline(0, color="black", linewidth=0.6)
        axes.set_yticks(_positions(rows), _labels(rows, "\n"))
        axes.invert_yaxis()
        metric = f"{in_text(rows['metric'].iloc[0])} points"
        axes.set_xlabel(f"gain over {rows['over'].iloc[0]}, {metric}")
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        axes.grid(axis="x", linewidth=0.3, alpha=0.6)
    _add_legend(figure, panels[0])
    return figure


def draw_published(table: pd.DataFrame) -> Figure:
    """Return our scores with bootstrap intervals, and the published ones.

    One row per system and language, one panel per task. Diamonds are published scores; they are filled if they lie
    outside our interval.
    """
    tasks = list(table["task"].unique())
    heights = [0.55 + 0.16 * int((table["task"] == task).sum()) for task in tasks]
    figure = Figure(figsize=(COLUMN, sum(heights) + 0.3))
    panels = figure.subplots(len(tasks), squeeze=False, height_ratios=heights)[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task]
        # Each system is a block, a little apart from the one above.
        y = np.arange(len(rows)) + 0.6 * (rows["system"].to_numpy() != np.roll(rows["system"], 1))[:].cumsum()
        error = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
        axes.errorbar(rows["score"], y, xerr=error, fmt="o", markersize=3, elinewidth=0.8, color=COLOURS[3],
                      label="ours")  # fmt: skip
        for outside, face in ((False, "white"), (True, COLOURS[5])):
            selected = (rows["outside"] == outside).to_numpy()
            label = "published, outside our interval" if outside else "published"
            axes.plot(rows["published"][selected], y[selected], "D", markersize=3.5, markeredgewidth=0.8,
                      markeredgecolor=COLOURS[5], markerfacecolor=face, label=label)  # fmt: skip
        labels = ["mean" if code == MEAN else code for code in rows["language"]]
        axes.set_yticks(y, [f"{system}: {label}" for system, label in zip(rows["system"], labels, strict=True)])
        axes.invert_yaxis()
        axes.set_xlabel(f"{in_text(rows['metric'].iloc[0])} (%)")
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        axes.grid(axis="x", linewidth=0.3, alpha=0.6)
        axes.set_axisbelow(True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, loc="outside upper center", columnspacing=1.0, handletextpad=0.3)
    return figure


def _positions(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the positions of languages on an axis, the mean a little apart."""
    positions = np.arange(len(rows), dtype=float)
    return positions + 0.35 * (rows["language"] == MEAN).to_numpy()


def _labels(rows: pd.DataFrame, gap: str = "\n") -> list[str]:
    return ["mean of" + gap + "targets" if c == MEAN else c for c in rows["language"]]


def _add_legend(figure: Figure, axes: Axes, **style: Any) -> None:
    """Add a legend above the figure, in as many columns as fit, at most four; further lines make the figure higher."""
    handles, labels = axes.get_legend_handles_labels()
    size = STYLE["legend.fontsize"]
    widths = [TextPath((0, 0), label, size=size).get_extents().width for label in labels]
    padding = size * (style.get("handlelength", 2.0) + 0.8 + 1.0)  # handle, its gap, the gap between columns
    room = 72 * figure.get_figwidth()
    columns = max(
        n
        for n in range(1, min(len(labels), 4) + 1)
        if n == 1 or sum(max(column) + padding for column in np.array_split(widths, n)) <= room
    )
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * (-(-len(labels) // columns) - 1))
    figure.legend(handles, labels, ncols=columns, loc="outside upper center", columnspacing=1.0, **style)
