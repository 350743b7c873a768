"""Figures of sweeps: the score against each hyper-parameter, for methods that differ in nothing else.

They are drawn from the table of scores alone: the mean over the targets with its bootstrap interval.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deftx.config.report import Sweep
from deftx.core.errors import DatasetError
from deftx.evaluation.names import MEAN, in_text
from deftx.report.figures.style import COLOURS, COLUMN, STYLE, save
from deftx.report.tables.storage import read_table

PANELS = 3  # in a row
LINES = (COLOURS[3], COLOURS[5], COLOURS[4], COLOURS[6])  # for series
ACROSS = (COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[7])  # for methods without the hyper-parameter
DASHES = ("--", ":", "-.", (0, (1, 1)))
SPAN = 5.0  # points that a panel shows at least
TOP = 100.3
APART = 0.12  # of the distance between two values, so that series do not hide each other


def build(scores: Path, sweeps: Mapping[str, Sweep], out: Path) -> None:
    """Draw a panel per sweep, in a group per task, into one figure: `out`.svg, .pdf and .png.

    Raises:
        DatasetError: the table contains no score of a method that a sweep names.
    """
    table = read_table(scores)
    means = table[table["language"] == MEAN]
    for name, sweep in sweeps.items():
        for method in (*sweep.beside, *(m for methods in sweep.series.values() for m in methods)):
            if method not in set(means["method"]):
                raise DatasetError(f"{scores} contains no score of {method}, named in sweep {name}. Run snakemake")
    with mpl.rc_context(STYLE):
        save(draw(means, sweeps), out)


def draw(means: pd.DataFrame, sweeps: Mapping[str, Sweep]) -> Figure:
    """Return the figure. Values of a hyper-parameter are at equal distances, in the configuration's order.

    Args:
        means: columns task, method, title, score, low, high, metric; a row per task and method.
        sweeps: sweeps to draw, by name.
    """
    tasks = list(means["task"].unique())
    columns = min(PANELS, len(sweeps))
    lines = -(-len(sweeps) // columns)
    figure = Figure(figsize=(0.68 * COLUMN * columns, 1.9 * lines * len(tasks)))
    grid = figure.subplots(lines * len(tasks), columns, squeeze=False)
    for group, task in enumerate(tasks):
        panels = list(grid[group * lines : (group + 1) * lines].flat)
        rows = means[means["task"] == task].set_index("method")
        for axes, sweep in zip(panels, sweeps.values(), strict=False):
            _panel(axes, rows, sweep)
        for axes in panels[len(sweeps) :]:
            axes.set_visible(False)
        name = f"{task}, " if len(tasks) > 1 else ""
        for axes in panels[::columns]:
            axes.set_ylabel(f"{name}mean of targets\n{in_text(rows['metric'].iloc[0])} (%)")
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, sweep: Sweep) -> None:
    positions = range(len(sweep.at))
    ordered = not any(isinstance(value, str) for value in sweep.at)
    for n, method in enumerate(sweep.beside):
        row: Any = rows.loc[method]
        axes.axhspan(row["low"], row["high"], color=ACROSS[n % len(ACROSS)], alpha=0.12, linewidth=0)
        axes.axhline(row["score"], color=ACROSS[n % len(ACROSS)], linestyle=DASHES[n % len(DASHES)], linewidth=0.8,
                     label=row["title"])  # fmt: skip
    for n, (title, methods) in enumerate(sweep.series.items()):
        points = rows.loc[list(methods)]
        x = [position + APART * (n - (len(sweep.series) - 1) / 2) for position in positions]
        # Absolute, as a rare label can put a score outside of its percentile interval.
        error = np.abs(points[["low", "high"]].to_numpy().T - points["score"].to_numpy())
        axes.errorbar(x, points["score"], yerr=error, fmt="osD^"[n % 4], markersize=3,
                      linestyle="-" if ordered else "none", elinewidth=0.8, linewidth=0.8,
                      color=LINES[n % len(LINES)], label=title)  # fmt: skip
    labels = [f"{value:g}" if isinstance(value, float) else str(value) for value in sweep.at]
    axes.set_xticks(list(positions), labels, fontsize=None if ordered else 5.5)
    axes.set_xlim(-0.4, len(sweep.at) - 0.6)
    axes.set_xlabel(sweep.title)
    axes.grid(axis="y", linewidth=0.3, alpha=0.6)
    _widen(axes)
    axes.legend(fontsize=5.5, handlelength=1.6, borderaxespad=0.2, loc="lower left", bbox_to_anchor=(0, 1))


def _widen(axes: Axes) -> None:
    """Widen the range to at least `SPAN` points, so that noise does not look like an effect; no score exceeds 100."""
    low, high = axes.get_ylim()
    margin = max(0.0, SPAN - (high - low)) / 2
    excess = max(0.0, high + margin - TOP)
    axes.set_ylim(low - margin - excess, high + margin - excess)
