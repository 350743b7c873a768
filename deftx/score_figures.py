"""Figures of scores: by language and method, gains over the control, and beside the published ones."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deftx.drawing import COLOURS, COLUMN, MEAN, METRIC_NAMES


def scores(table: pd.DataFrame) -> Figure:
    """Grouped bars: score of each method in each language, with bootstrap intervals."""
    tasks = list(table["task"].unique())
    languages = table["language"].nunique()
    figure = Figure(figsize=(max(COLUMN, 0.62 * languages), 2.3 * len(tasks)))
    for axes, task in zip(figure.subplots(len(tasks), squeeze=False)[:, 0], tasks, strict=True):
        part = table[table["task"] == task]
        methods = list(part["method"].unique())
        width = 0.84 / len(methods)
        for n, method in enumerate(methods):
            rows = part[part["method"] == method]
            at = _places(rows) - 0.42 + width * (n + 0.5)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
            axes.bar(at, rows["score"], width, label=rows["title"].iloc[0], color=COLOURS[n % len(COLOURS)],
                     yerr=error, error_kw={"elinewidth": 0.6, "capsize": 1.2, "capthick": 0.6})  # fmt: skip
        rows = part[part["method"] == methods[0]]
        axes.set_xticks(_places(rows), _labels(rows))
        axes.set_ylabel(METRIC_NAMES[rows["metric"].iloc[0]])
        axes.set_ylim(0, 100)
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        axes.grid(axis="y", linewidth=0.3, alpha=0.6)
        axes.set_axisbelow(True)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=min(len(labels), 4), loc="outside upper center", columnspacing=1.0,
                  handlelength=1.0)  # fmt: skip
    return figure


def gains(table: pd.DataFrame) -> Figure:
    """Gain of each method over the control, by language, with bootstrap intervals."""
    tasks = list(table["task"].unique())
    languages = table["language"].nunique()
    figure = Figure(figsize=(COLUMN, (0.6 + 0.34 * languages) * len(tasks)))
    for axes, task in zip(figure.subplots(len(tasks), squeeze=False)[:, 0], tasks, strict=True):
        part = table[table["task"] == task]
        methods = list(part["method"].unique())
        for n, method in enumerate(methods):
            rows = part[part["method"] == method]
            at = _places(rows) + 0.24 * (n - (len(methods) - 1) / 2)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["gain"].to_numpy())
            axes.errorbar(rows["gain"], at, xerr=error, fmt="osD^v"[n % 5], markersize=3, elinewidth=0.8,
                          color=(COLOURS[0], *COLOURS[2:])[n % 7], label=rows["title"].iloc[0])  # fmt: skip
        rows = part[part["method"] == methods[0]]
        axes.axvline(0, color="black", linewidth=0.6)
        axes.set_yticks(_places(rows), _labels(rows, "\n"))
        axes.invert_yaxis()
        metric = METRIC_NAMES[rows["metric"].iloc[0]].replace("(%)", "points")
        axes.set_xlabel(f"gain over the task vector alone, {metric}")
        axes.grid(axis="x", linewidth=0.3, alpha=0.6)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=min(len(labels), 4), loc="outside upper center", columnspacing=1.0)
    return figure


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


def _places(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Positions of languages on an axis, the mean a little apart."""
    at = np.arange(len(rows), dtype=float)
    return at + 0.35 * (rows["language"] == MEAN).to_numpy()


def _labels(rows: pd.DataFrame, gap: str = "\n") -> list[str]:
    return ["mean of" + gap + "targets" if c == MEAN else c for c in rows["language"]]
