"""The report's page: tables, figures, times, configuration and versions of an experiment in one HTML file.

The page loads nothing from elsewhere and holds no time of its own, so the same results give the same bytes. Question,
answer and method of each section are those of the captions (captions/*.rst), which Snakemake's own report shows, too.
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
from deftx.report.page.sections import SUBJECTS
from deftx.report.page.tables import Table
from deftx.report.tables.storage import Row

PAGE = PACKAGE / "report" / "page" / "template"
PARTS = ("Question", "Answer", "How measured")
NAMED = 15  # methods that stand by name in the first lines
LONG = ("training",)
"""Tables that are folded away: nobody reads them from top to bottom."""


class Section(NamedTuple):
    """A subject of the page."""

    name: str
    title: str
    question: str
    answer: str
    """A sentence a line."""
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
        tables: folder with scores.csv and the other tables; those that are not there are left out.
        figures: SVG files; each belongs to the subject of its name.
        captions: captions/*.rst, by the name of their subject.
        reports: reports of masks by `selection/name`.
        benchmarks: folders of benchmark files, which are read where they are.
        description: base.json.
        configuration: the experiment, as its YAML file says it.

    Raises:
        DatasetError: there is no table of scores, or one without lines, or a table lacks a column.
        BaseModelError: `description` is none.
        ConfigError: a caption has not its three parts, or a subject no caption.
    """
    found = findings.read(tables, reports, configuration.get("sweeps", {}))
    if not found.tables["scores"]:
        raise DatasetError(f"{tables / 'scores.csv'} holds no scores; make it by `deftx tables`, or by snakemake")
    measured = runtimes.summarise(runtimes.read(benchmarks))
    shown = tabulated(found.tables, measured, {name: task["source"] for name, task in configuration["tasks"].items()})
    drawn = {figure.stem: inlined(figure.read_text(), figure.stem, SUBJECTS.get(figure.stem, "")) for figure in figures}
    said = {name: findings.answer(name, found) for name in findings.ANSWERS} | {"stages": runtimes.answer(measured)}
    texts = {caption.stem: caption.read_text() for caption in captions}
    sections = [
        section(name, texts, said[name], shown.get(name, []), drawn.get(name))
        for name in SUBJECTS
        if shown.get(name) or name in drawn
    ]
    text = render(
        title=configuration["name"],
        facts=facts(configuration, base_model.read(description), found.tables["scores"]),
        sections=sections,
        configuration=yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True, width=100),
        signatures=page_tables.signatures(found.tables["scores"]),
        versions=versions() | {"snakemake": metadata.version("snakemake"), "python": platform.python_version()},
    )
    write_text(out, text)


def tabulated(
    tables: Mapping[str, Sequence[Row]], measured: Sequence[runtimes.Stage], sources: Mapping[str, str]
) -> dict[str, list[Table]]:
    """What is shown of each subject that has tables."""
    return {
        "scores": page_tables.scores(tables["scores"], sources),
        "comparisons": page_tables.comparisons(tables["comparisons"], tables["scores"]),
        "seeds": page_tables.seeds(tables["seeds"]),
        "published": page_tables.published(tables["published"]),
        "costs": page_tables.costs(tables["costs"]),
        "training": page_tables.training(tables["training"]),
        "stages": page_tables.stages(measured),
    }


def section(
    name: str, captions: Mapping[str, str], said: str, tables: Sequence[Table], figure: Markup | None
) -> Section:
    """A subject with its caption.

    Raises:
        ConfigError: as `build`.
    """
    if name not in captions:
        raise ConfigError(f"there is no caption of {name}; name captions/{name}.rst among --captions")
    question, _, measured = paragraphs(captions[name], name, said)
    return Section(name, SUBJECTS[name], question, said, measured, tables, figure, name in LONG)


def paragraphs(caption: str, name: str, said: str) -> list[str]:
    """Question, answer and method of a caption: its paragraphs, rendered with what Snakemake's report gives it, too."""
    known = {"config": {"answers": {name: said}}}
    parts = jinja2.Environment().from_string(caption).render(snakemake=known).split("\n\n")
    texts, leads = [" ".join(part.split()) for part in parts], [f"**{part}.**" for part in PARTS]
    if len(texts) != len(leads) or not all(text.startswith(lead) for text, lead in zip(texts, leads, strict=True)):
        raise ConfigError(f"the caption of {name} needs three paragraphs, which begin with {', '.join(leads)}")
    return [text.removeprefix(lead).strip() for text, lead in zip(texts, leads, strict=True)]


def inlined(svg: str, name: str, title: str) -> Markup:
    """A figure of matplotlib to stand in a page: names of its own for its parts, nothing outside its root, a title."""
    root = svg[svg.index("<svg") :]
    root = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", root, flags=re.DOTALL)
    for before in (' id="', ' xlink:href="#', "url(#"):
        root = root.replace(before, f"{before}{name}-")
    width = float((re.search(r'<svg[^>]*?viewBox="\S+ \S+ (\S+) ', root) or ["", "300"])[1])
    head, _, rest = root.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    label = f'role="img" aria-label="{title}" style="--width: {width:.0f}pt"'
    return Markup(f"{head} {label}>{rest}")


def facts(configuration: Mapping[str, Any], model: base_model.Description, scored: Sequence[Row]) -> dict[str, str]:
    """What an experiment is about, in a few lines."""
    size = sum(math.prod(shape) for shape in model.shapes.values())
    tasks = {f"task {name}": task(name, configuration, scored) for name in configuration["tasks"]}
    methods = [method.get("title") or name for name, method in configuration["methods"].items()]
    named = ", ".join(methods) if len(methods) <= NAMED else f"{len(methods)}, by name in the table of scores"
    seeds = configuration.get("seeds", {}).get("task", [0])
    return (
        {"base model": f"{model.name}, {size:,} parameters, hash {model.hash[:DIGITS]}"}
        | tasks
        | {"methods": named, "seeds": ", ".join(map(str, seeds))}
    )


def task(name: str, configuration: Mapping[str, Any], scored: Sequence[Row]) -> str:
    """From which language a task is carried to which, and how it is scored."""
    names = {code: lang.get("name") or code for code, lang in configuration["languages"].items()}
    source, targets = (configuration["tasks"][name][key] for key in ("source", "targets"))
    rows = [row for row in scored if row["task"] == name and row["language"] != MEAN]
    items = sorted({int(row["items"]) for row in rows})
    count = " to ".join(str(n) for n in dict.fromkeys((items[0], items[-1])))
    metric = METRIC_NAMES[rows[0]["metric"]]
    return f"{names[source]} to {', '.join(names[t] for t in targets)}. {metric} on {count} test items a language"


def render(**content: Any) -> str:
    """The template filled in; style and script stand in the page."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    style, script = (Markup((PAGE / name).read_text()) for name in ("page.css", "page.js"))
    return env.get_template("page.html").render(style=style, script=script, **content) + "\n"
