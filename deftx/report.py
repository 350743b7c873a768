"""The report's page: tables, figures, times, configuration and versions of an experiment in one HTML file.

The page loads nothing from elsewhere and holds no time of its own, so the same results give the same bytes. Question,
answer and method of each section are those of the captions (captions/*.rst), which Snakemake's own report shows, too.
"""

import csv
import json
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml
from markupsafe import Markup

from deftx import answers, page_tables, stages
from deftx.errors import ConfigError, DatasetError
from deftx.files import write_text
from deftx.page_tables import Table
from deftx.provenance import PACKAGE, versions
from deftx.subjects import SUBJECTS

PAGE = PACKAGE / "page"
PARTS = ("Question", "Answer", "How measured")
Row = Mapping[str, str]


class Found(NamedTuple):
    """What an experiment has left, read."""

    tables: Mapping[str, Sequence[Row]]
    """Rows by the name of their file without ending; none where there is no such table."""
    overlaps: Mapping[str, Sequence[Row]]
    """Overlaps of vectors by selection."""
    reports: Mapping[str, Any]
    """Reports of masks by `selection/name`."""
    sweeps: Mapping[str, Any]
    """The configuration's sweeps."""


ANSWERS: Mapping[str, Callable[[Found], str]] = {
    "scores": lambda found: answers.scores(found.tables["scores"]),
    "comparisons": lambda found: answers.comparisons(found.tables["comparisons"]),
    "seeds": lambda found: answers.seeds(found.tables["scores"]),
    "gains": lambda found: answers.gains(found.tables["gains"]),
    "published": lambda found: answers.published(found.tables["published"]),
    "sweeps": lambda found: answers.sweeps(found.tables["scores"], found.sweeps),
    "spectra": lambda found: answers.spectra(found.reports),
    "density": lambda found: answers.density(found.reports),
    "overlap": lambda found: answers.overlap(found.overlaps),
    "costs": lambda found: answers.costs(found.tables["costs"]),
    "training": lambda found: answers.training(found.tables["training"]),
}
"""What each subject of the report says."""
TABLES: Mapping[str, Callable[[Mapping[str, Sequence[Row]]], list[Table]]] = {
    "scores": lambda tables: page_tables.scores(tables["scores"]),
    "comparisons": lambda tables: page_tables.comparisons(tables["comparisons"], tables["scores"]),
    "seeds": lambda tables: page_tables.seeds(tables["seeds"]),
    "published": lambda tables: page_tables.published(tables["published"]),
    "costs": lambda tables: page_tables.costs(tables["costs"]),
    "training": lambda tables: page_tables.training(tables["training"]),
}
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
        configuration: the experiment, as its YAML file says it.

    Raises:
        DatasetError: there is no table of scores.
        ConfigError: a caption has not its three parts, or a subject no caption.
    """
    found = read(tables, reports, configuration.get("sweeps", {}))
    shown = {figure.stem: inlined(figure.read_text(), figure.stem, SUBJECTS.get(figure.stem, "")) for figure in figures}
    said = {caption.stem: caption.read_text() for caption in captions}
    measured = stages.summarise(stages.read(benchmarks))
    drawn = {name: make(found.tables) for name, make in TABLES.items()} | {"stages": page_tables.stages(measured)}
    said_of = {name: answer(name, found) for name in ANSWERS} | {"stages": stages.answer(measured)}
    sections = [
        section(name, said, said_of[name], drawn.get(name, []), shown.get(name))
        for name in SUBJECTS
        if drawn.get(name) or name in shown
    ]
    text = render(
        title=configuration["name"],
        facts=facts(configuration),
        sections=sections,
        configuration=yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True, width=100),
        signatures=page_tables.signatures(found.tables["scores"]),
        versions=versions() | {"snakemake": metadata.version("snakemake"), "python": platform.python_version()},
    )
    write_text(out, text)


def read(tables: Path, reports: Mapping[str, Path], sweeps: Mapping[str, Any]) -> Found:
    """Tables, overlaps and reports of masks.

    Raises:
        DatasetError: there is no table of scores, or one without rows.
    """
    names = ("scores", "comparisons", "seeds", "gains", "published", "costs", "training")
    found = {name: _rows(tables / f"{name}.csv") for name in names}
    if not found["scores"]:
        raise DatasetError(f"{tables / 'scores.csv'} holds no scores; make it by `deftx tables`, or by snakemake")
    overlaps = {file.stem.removeprefix("overlap-"): _rows(file) for file in sorted(tables.glob("overlap-*.csv"))}
    return Found(found, overlaps, {name: json.loads(path.read_text()) for name, path in reports.items()}, sweeps)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def answer(name: str, found: Found) -> str:
    """What a subject says; nothing where there is no such table."""
    return ANSWERS[name](found)


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


def facts(configuration: Mapping[str, Any]) -> dict[str, str]:
    """What an experiment is about, in a few lines."""
    names = {code: lang.get("name") or code for code, lang in configuration["languages"].items()}
    base = configuration["base"].get("model") or "trained here"
    tasks = {
        f"task {name}": f"{names[task['source']]} to {', '.join(names[lang] for lang in task['targets'])}"
        for name, task in configuration["tasks"].items()
    }
    methods = [method.get("title") or name for name, method in configuration["methods"].items()]
    seeds = configuration.get("seeds", {}).get("task", [0])
    return {"base model": base, **tasks, "methods": ", ".join(methods), "seeds": ", ".join(map(str, seeds))}


def render(**content: Any) -> str:
    """The template filled in; style and script stand in the page."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    style, script = (Markup((PAGE / name).read_text()) for name in ("page.css", "page.js"))
    return env.get_template("page.html").render(style=style, script=script, **content) + "\n"
