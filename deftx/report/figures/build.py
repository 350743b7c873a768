"""Figures for a paper, drawn from tables and reports alone, without a model."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

from deftx.core.integrity import read_json
from deftx.report.figures.scores import draw_gains, draw_published, draw_scores
from deftx.report.figures.style import STYLE, save
from deftx.report.figures.vectors import draw_density, draw_overlap, draw_spectra
from deftx.report.tables.storage import read_table


def build(tables: Path, reports: Mapping[str, Path], overlaps: Mapping[str, Path], out: Path) -> None:
    """Draw every figure for which the inputs suffice.

    Args:
        tables: folder with scores.csv, gains.csv and published.csv.
        reports: reports of masks by `selection/name`.
        overlaps: overlap tables by selection.
        out: folder of the figures.
    """
    with mpl.rc_context(STYLE):
        table = read_table(tables / "scores.csv")
        save(draw_scores(table), out / "scores")
        gain_table = read_table(tables / "gains.csv")
        if len(gain_table):
            save(draw_gains(gain_table, list(table["method"].unique())), out / "gains")
        published = read_table(tables / "published.csv")
        if len(published):
            save(draw_published(published), out / "published")
        contents = {name: read_json(path) for name, path in reports.items()}
        if contents:
            save(draw_spectra(contents), out / "spectra")
            save(draw_density(contents), out / "density")
        if overlaps:
            save(draw_overlap({name: read_table(path) for name, path in overlaps.items()}), out / "overlap")
