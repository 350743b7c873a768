"""Verbs that tabulate and draw what has been scored and stored."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deftx.cli.options import Base, Out, Results, Settings, named, parsed


def overlap(
    vectors: Annotated[list[str], typer.Argument(help="NAME=FILE for each vector.")],
    out: Out,
) -> None:
    """Compare vectors pair by pair: Jaccard of their masks, cosine of their values."""
    from deftx.core import integrity
    from deftx.merging import overlap as overlaps

    overlaps.build(dict(named(v) for v in vectors), out)
    integrity.write_checksums(out)


def tables(
    results: Results,
    plan: Annotated[str, typer.Option(help="Task, methods, languages and seeds to tabulate, as JSON.")],
    out: Out,
) -> None:
    """Make tables of scores and gains in CSV, Markdown and LaTeX."""
    from deftx.core import integrity
    from deftx.report.tables import build as table_stage
    from deftx.report.tables.spec import TABLES, Plan

    table_stage.build(results, parsed(Plan, plan), out)
    integrity.write_checksums(*(out / f"{name}.csv" for name in TABLES))


def costs(
    results: Results,
    plan: Annotated[str, typer.Option(help="Methods, their modules, and what these were made from, as JSON.")],
    scores: Annotated[Path, typer.Option(help="The table of scores, scores.csv.")],
    out: Out,
) -> None:
    """Tabulate what each method trains, stores and takes beside its scores, from training records and benchmarks."""
    from deftx.core import integrity
    from deftx.report.tables import costs as cost_stage

    cost_stage.build(results, parsed(cost_stage.Plan, plan), scores, out)
    integrity.write_checksums(out / "costs.csv")


def figures(
    tables: Annotated[Path, typer.Argument(help="Folder of the tables.")],
    out: Out,
    reports: Annotated[list[str] | None, typer.Option(help="SELECTION/NAME=FILE: reports of masks.")] = None,
    overlaps: Annotated[list[str] | None, typer.Option(help="SELECTION=FILE: overlap tables.")] = None,
) -> None:
    """Draw figures from tables, reports of masks, and overlaps."""
    from deftx.report.figures import build as figure_stage

    figure_stage.build(tables, dict(map(named, reports or [])), dict(map(named, overlaps or [])), out)


def sweeps(
    scores: Annotated[Path, typer.Argument(help="The table scores.csv.")],
    settings: Settings,
    out: Annotated[Path, typer.Option(help="Figure to write, without its ending.")],
) -> None:
    """Draw scores against the knobs that methods differ in."""
    from deftx.config.report import Sweep
    from deftx.report.figures import sweeps as sweep_stage

    sweep_stage.build(scores, parsed(dict[str, Sweep], settings), out)


def report(
    tables: Annotated[Path, typer.Argument(help="Folder of the tables.")],
    config: Annotated[str, typer.Option(help="The experiment, as JSON or the name of a YAML file.")],
    base: Base,
    captions: Annotated[list[Path], typer.Option(help="captions/*.rst: what each table and figure asks.")],
    out: Out,
    figures: Annotated[list[Path] | None, typer.Option(help="Figures (SVG).")] = None,
    reports: Annotated[list[str] | None, typer.Option(help="SELECTION/NAME=FILE: reports of masks.")] = None,
    benchmarks: Annotated[list[Path] | None, typer.Option(help="Folders of benchmark files.")] = None,
) -> None:
    """Put tables, figures, times, configuration and versions on one HTML page that loads nothing."""
    from deftx.report.page import build as report_stage

    mask_reports = dict(map(named, reports or []))
    content = parsed(dict[str, Any], config)
    report_stage.build(tables, figures or [], captions, mask_reports, benchmarks or [], base, content, out)
