"""Page of the report: tables, figures, times, configuration and versions of an experiment in one HTML file.

The page loads nothing from elsewhere and contains no time stamp, so the same results give the same bytes. Question,
finding and method of each section are those of the captions (captions/*.rst), which Snakemake's own report also shows.
"""

import math
import platform
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml
from markupsafe import Markup

from deftx.core.errors import ConfigError, DatasetError
from deftx.core.files import write_text
from deftx.core.hashing import PACKAGE
from deftx.core.provenance import versions
from deftx.evaluation.names import MEAN, METRIC_NAMES
from deftx.evaluation.signature import DIGITS
from deftx.models import base_model
from deftx.report.page import findings, runtimes
from deftx.report.page import tables as page_tables
from deftx.report.page.sections import SECTIONS
from deftx.report.page.tables import Table
from deftx.report.tables.storage import Row

PAGE = PACKAGE / "report" / "page" / "template"
PARTS = ("Question", "Answer", "How measured")
MOST_NAMED = 15  # methods that the first lines list by name
LONG = ("training",)
"""Sections whose tables are folded: nobody reads them from top to bottom."""


class Section(NamedTuple):
    """Section of the page."""

    name: str
    title: str
    question: str
    finding: str
    """One sentence per line."""
    measured: str
    tables: Sequence[Table]
    figure: Markup | None
    folded: bool


def build(
    tables: Path,
    figures: Sequence[Path],
    captions: Sequence[Path],
    reports: Mapping[str, Path],
    benchmarks: Sequence[Path],
    description: Path,
    configuration: Mapping[str, Any],
    out: Path,
) -> None:
    """Write the page.

    Args:
        tables: folder with scores.csv and the other tables; missing ones are left out.
        figures: SVG files, named after their sections.
        captions: captions/*.rst, named after their sections.
        reports: reports of masks by `selection/name`.
        benchmarks: folders of benchmark files.
        description: base.json.
        configuration: the experiment, as in its YAML file.

    Raises:
        DatasetError: the table of scores is missing or has no rows, or a table lacks a column.
        BaseModelError: `description` is not a description of a base model.
        ConfigError: a caption does not have its three parts, or a section has no caption.
    """
    results = findings.read(tables, reports, configuration.get("sweeps", {}))
    if not results.tables["scores"]:
        raise DatasetError(f"{tables / 'scores.csv'} contains no scores. Build it: `deftx tables`, or snakemake")
    stages = runtimes.summarise(runtimes.read(benchmarks))
    sources = {name: task["source"] for name, task in configuration["tasks"].items()}
    tables_of = tabulate(results.tables, stages, sources)
    drawings = {
        figure.stem: inline(figure.read_text(), figure.stem, SECTIONS.get(figure.stem, "")) for figure in figures
    }
    sentences = {name: findings.write_finding(name, results) for name in findings.WRITERS}
    sentences["stages"] = runtimes.write_finding(stages)
    texts = {caption.stem: caption.read_text() for caption in captions}
    sections = [
        build_section(name, texts, sentences[name], tables_of.get(name, []), drawings.get(name))
        for name in SECTIONS
        if tables_of.get(name) or name in drawings
    ]
    text = render(
        title=configuration["name"],
        facts=summarise(configuration, base_model.read(description), results.tables["scores"]),
        sections=sections,
        configuration=yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True, width=100),
        signatures=page_tables.tabulate_signatures(results.tables["scores"]),
        versions=versions() | {"snakemake": metadata.version("snakemake"), "python": platform.python_version()},
    )
    write_text(out, text)


def tabulate(
    tables: Mapping[str, Sequence[Row]], stages: Sequence[runtimes.Stage], sources: Mapping[str, str]
) -> dict[str, list[Table]]:
    """Return the tables of each section that has any."""
    return {
        "scores": page_tables.tabulate_scores(tables["scores"], sources),
        "comparisons": page_tables.tabulate_comparisons(tables["comparisons"], tables["scores"]),
        "seeds": page_tables.tabulate_seeds(tables["seeds"]),
        "published": page_tables.tabulate_published(tables["published"]),
        "costs": page_tables.tabulate_costs(tables["costs"]),
        "training": page_tables.tabulate_training(tables["training"]),
        "stages": page_tables.tabulate_stages(stages),
    }


def build_section(
    name: str, captions: Mapping[str, str], finding: str, tables: Sequence[Table], figure: Markup | None
) -> Section:
    """Return a section with its caption.

    Raises:
        ConfigError: as `build`.
    """
    if name not in captions:
        raise ConfigError(f"the caption of {name} is missing; pass captions/{name}.rst to --captions")
    question, _, measured = split_caption(captions[name], name, finding)
    return Section(name, SECTIONS[name], question, finding, measured, tables, figure, name in LONG)


def split_caption(caption: str, name: str, finding: str) -> list[str]:
    """Return question, finding and method of a caption: its paragraphs, rendered as Snakemake's report does.

    Raises:
        ConfigError: the caption does not have these three paragraphs.
    """
    variables = {"config": {"answers": {name: finding}}}
    parts = jinja2.Environment().from_string(caption).render(snakemake=variables).split("\n\n")
    texts, leads = [" ".join(part.split()) for part in parts], [f"**{part}.**" for part in PARTS]
    if len(texts) != len(leads) or not all(text.startswith(lead) for text, lead in zip(texts, leads, strict=True)):
        raise ConfigError(f"the caption of {name} needs three paragraphs, which begin with {', '.join(leads)}")
    return [text.removeprefix(lead).strip() for text, lead in zip(texts, leads, strict=True)]


def inline(svg: str, name: str, title: str) -> Markup:
    """Return a figure of matplotlib for embedding in a page: with unique identifiers and a title, no preamble."""
    root = svg[svg.index("<svg") :]
    root = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", root, flags=re.DOTALL)
    for before in (' id="', ' xlink:href="#', "url(#"):
        root = root.replace(before, f"{before}{name}-")
    width = float((re.search(r'<svg[^>]*?viewBox="\S+ \S+ (\S+) ', root) or ["", "300"])[1])
    head, _, rest = root.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    label = f'role="img" aria-label="{title}" style="--width: {width:.0f}pt"'
    return Markup(f"{head} {label}>{rest}")


def summarise(configuration: Mapping[str, Any], model: base_model.Description, scores: Sequence[Row]) -> dict[str, str]:
    """Return base model, tasks, methods and seeds of an experiment, each in one line."""
    size = sum(math.prod(shape) for shape in model.shapes.values())
    tasks = {f"task {name}": describe_task(name, configuration, scores) for name in configuration["tasks"]}
    methods = [method.get("title") or name for name, method in configuration["methods"].items()]
    titles = ", ".join(methods) if len(methods) <= MOST_NAMED else f"{len(methods)}, listed in the table of scores"
    seeds = configuration.get("seeds", {}).get("task", [0])
    return (
        {"base model": f"{model.name}, {size:,} parameters, hash {model.hash[:DIGITS]}"}
        | tasks
        | {"methods": titles, "seeds": ", ".join(map(str, seeds))}
    )


def describe_task(name: str, configuration: Mapping[str, Any], scores: Sequence[Row]) -> str:
    """Return source and target languages of a task, its metric and the size of its test sets."""
    names = {code: lang.get("name") or code for code, lang in configuration["languages"].items()}
    source, targets = (configuration["tasks"][name][key] for key in ("source", "targets"))
    rows = [row for row in scores if row["task"] == name and row["language"] != MEAN]
    items = sorted({int(row["items"]) for row in rows})
    count = " to ".join(str(n) for n in dict.fromkeys((items[0], items[-1])))
    metric = METRIC_NAMES[rows[0]["metric"]]
    return f"{names[source]} to {', '.join(names[t] for t in targets)}. {metric} on {count} test items per language"


def render(**content: Any) -> str:
    """Return the filled template, with style and script inside."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    style, script = (Markup((PAGE / name).read_text()) for name in ("page.css", "page.js"))
    return env.get_template("page.html").render(style=style, script=script, **content) + "\n"
