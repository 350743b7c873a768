"""Style and file formats of figures.

Figures are SVG, PDF and PNG, in colours that colour-blind readers can distinguish (Okabe & Ito 2008), with text of 7
points at the printed size. None is wider than a page.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deftx.core.files import publish

COLOURS = ("#999999", "#56B4E9", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#000000")
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


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, PDF and PNG, without time stamps."""
    for form, times in (("svg", {"Date": None}), ("pdf", {"CreationDate": None}), ("png", {})):
        with publish(path.with_suffix(f".{form}")) as temporary:
            figure.savefig(temporary, format=form, metadata=times)


def split_rows(names: Sequence[str], most: int) -> list[list[str]]:
    """Split names into rows of at most `most`, about equally long."""
    count = -(-len(names) // max(1, most))
    return [list(row) for row in np.array_split(np.array(names, dtype=object), count)]
