"""Figures for a paper, drawn from tables and reports alone: nothing here is computed from a model."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

from deftx.core.integrity import read_json
from deftx.report.figures.scores import gains, published, scores
from deftx.report.figures.style import STYLE, save
from deftx.report.figures.vectors import density, overlap, spectra
from deftx.report.tables.storage import read_table


def build(tables: Path, reports: Mapping[str, Path], overlaps: Mapping[str, Path], out: Path) -> None:
    """Draw every figure the inputs allow.

    Args:
        tables: folder with scores.csv, gains.csv and published.csv.
        reports: report of a mask by `selection/name`.
        overlaps: overlap table by selection.
        out: folder of the figures.
    """
    with mpl.rc_context(STYLE):
        table = read_table(tables / "scores.csv")
        save(scores(table), out / "scores")
        gain_table = read_table(tables / "gains.csv")
        if len(gain_table):
            save(gains(gain_table, list(table["method"].unique())), out / "gains")
        beside = read_table(tables / "published.csv")
        if len(beside):
            save(published(beside), out / "published")
        read = {name: read_json(path) for name, path in reports.items()}
        if read:
            save(spectra(read), out / "spectra")
            save(density(read), out / "density")
        if overlaps:
            save(overlap({name: read_table(path) for name, path in overlaps.items()}), out / "overlap")
