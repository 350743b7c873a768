"""Tables, statements and signatures of the pages are those their stored data give."""

import csv
import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from benchmarks import quickstart_seeds
from deftx.experiment import load as load_experiment
from deftx.report.tables import build as build_tables
from deftx.report.tables import costs as cost_table
from deftx.report.tables.spec import Plan
from deftx.report.tables.storage import read_table
from tests.helpers import REPOSITORY
from tests.helpers.command import run

DOCS = REPOSITORY / "docs"
DATA = DOCS / "data/nusax-cpu"
PAGES = {"nusax-cpu": "sentiment", "americasnli-cpu": "nli", "quickstart": "sentiment"}
VALIDATION = "nusax-cpu-validation"
"""By what settings were chosen; part of the page of NusaX."""


@pytest.mark.parametrize(("experiment", "task"), PAGES.items())
def test_a_page_shows_what_its_data_give(experiment: str, task: str, tmp_path: Path) -> None:
    """Every line of the table, its note, its signature, and the statements, whatever their line breaks."""
    methods, lines = written(experiment, task, tmp_path)
    page = " ".join((DOCS / f"{experiment}.md").read_text().split())
    starts = [line[0] for line in lines]
    assert starts.count("|") == 2 + methods and starts.count("-") >= 5
    for line in lines:
        assert line in page


def test_the_page_of_nusax_shows_each_seed(tmp_path: Path) -> None:
    written("nusax-cpu", "sentiment", tmp_path)
    page = (DOCS / "nusax-cpu.md").read_text()
    with (tmp_path / "seeds.csv").open() as file:
        means = [row for row in csv.DictReader(file) if row["language"] == "mean"]
    titles = dict.fromkeys(row["title"] for row in means)
    assert len(means) == 3 * len(titles) == 15
    for title in titles:
        cells = [f"{float(row['score']):.1f}" for row in means if row["title"] == title]
        assert f"\n| {title} | {' | '.join(cells)} |\n" in page


def test_settings_were_chosen_by_what_the_page_shows(tmp_path: Path) -> None:
    """Table and signature; of differences among a hundred items there is nothing to state."""
    methods, lines = written(VALIDATION, "sentiment", tmp_path)
    shown = [line for line in lines if line.startswith(("|", "Signature"))]
    page = " ".join((DOCS / "nusax-cpu.md").read_text().split())
    assert len(shown) == 2 + methods + 1
    for line in shown:
        assert line in page


def written(experiment: str, task: str, folder: Path) -> tuple[int, list[str]]:
    """How many methods there are, and what the stored data say of them, made again."""
    data = DOCS / "data" / experiment
    plan = TypeAdapter(Plan).validate_python(json.loads((data / "plan.json").read_text()))
    build_tables.build(data, plan, folder)
    return len(plan.methods), [line for line in (folder / f"{task}.md").read_text().splitlines() if line]


@pytest.mark.parametrize("experiment", ["americasnli-cpu", "nusax-cpu"])
def test_a_page_shows_what_its_methods_cost(experiment: str) -> None:
    page = " ".join((DOCS / f"{experiment}.md").read_text().split())
    lines = cost_table.markdown(read_table(DOCS / "data" / experiment / "costs.csv")).splitlines()
    assert len(lines) > 4
    for line in filter(None, lines):
        assert line in page


@pytest.mark.parametrize("experiment", [*PAGES, VALIDATION])
def test_signatures_say_what_their_score_files_hold(experiment: str) -> None:
    for path in (DOCS / "data" / experiment / "scores").rglob("*.json"):
        scores = json.loads(path.read_text())
        fields = dict(part.split(":") for part in scores["signature"].split("|")[1:])
        assert fields["base"] == scores["base"][:8] and fields["data"] == scores["dataset"][:8]
        assert (fields["n"], fields["seed"]) == (str(scores["n"]), path.stem.removeprefix("seed"))


def test_a_score_of_the_nusax_page_by_hand() -> None:
    """Macro-F1 from the confusion matrix, without the code that made the table."""
    path = DATA / "predictions/deft-x/sentiment/ace/seed0.csv"
    pairs = [tuple(line.split(",")[1:3]) for line in path.read_text().splitlines()[1:]]
    labels = {gold for gold, _ in pairs}
    scores = []
    for label in labels:
        hit = sum(gold == guess == label for gold, guess in pairs)
        scores.append(2 * hit / (sum(g == label for g, _ in pairs) + sum(p == label for _, p in pairs)))
    stored = json.loads((DATA / "scores/deft-x/sentiment/ace/seed0.json").read_text())["macro_f1"]
    assert abs(100 * sum(scores) / len(labels) - stored) < 1e-9


def test_the_seeds_of_the_quickstart_are_those_of_its_data() -> None:
    """Every line of the benchmark's report, with minus signs as typeset."""
    page = (DOCS / "quickstart.md").read_text()
    report = quickstart_seeds.report(pd.read_csv(DOCS / "data/quickstart-seeds/scores.csv")).replace("-SFT", "~")
    lines = [re.sub(r"-(?=\d)", "\N{MINUS SIGN}", line).replace("~", "-SFT") for line in report.splitlines()]
    shown = [line for line in lines if line.startswith(("| full", "| task", "| LT", "| DeFT", "DeFT", "Signature"))]
    assert len(shown) == 4 + 3 + 2
    for line in shown:
        assert line in page


ABLATIONS = ["ablations", "ablations-minangkabau"]
"""The data of docs/ablations.md, part by part."""


@pytest.mark.parametrize("data", ABLATIONS)
def test_the_page_of_ablations_shows_what_its_data_hold(data: str) -> None:
    page = (DOCS / "ablations.md").read_text().split("\n## Minangkabau\n")[ABLATIONS.index(data)]
    with (DOCS / "data" / data / "scores.csv").open() as file:
        means = [row for row in csv.DictReader(file) if row["language"] == "mean"]
    for row in means:
        star = "*" if row["p_holm"] and float(row["p_holm"]) < 0.05 else ""
        score, low, high = (float(row[name]) for name in ("score", "low", "high"))
        assert f"| {row['title']} | {score:.1f}{star} | [{low:.1f}\N{EN DASH}{high:.1f}] |" in page
    assert page.count("\n| ") == 1 + len(means)


@pytest.mark.parametrize("data", ABLATIONS)
def test_equal_signatures_mean_equal_scores(data: str) -> None:
    with (DOCS / "data" / data / "scores.csv").open() as file:
        rows = [(row["language"], row["signature"], row["score"]) for row in csv.DictReader(file)]
    assert len({row[:2] for row in rows}) == len({*rows})


def test_scores_of_minangkabau_are_those_of_its_predictions(tmp_path: Path) -> None:
    data = DOCS / "data/ablations-minangkabau"
    written(data.name, "sentiment", tmp_path)
    for name in ("scores.csv", "comparisons.csv"):
        assert (tmp_path / name).read_bytes() == (data / name).read_bytes()


def test_all_of_the_residual_is_the_plain_mask() -> None:
    one, other = ({r["language"]: r["score"] for r in rows} for rows in map(_rows_of, ("lt-sft", "keep-1")))
    assert one == other  # the same mask, and so the same training


def _rows_of(method: str) -> list[dict[str, str]]:
    with (DOCS / "data/ablations/scores.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["method"] == method]


# Figures, and what they are drawn from


@pytest.mark.parametrize(
    ("page", "drawn"),
    [
        ("quickstart", {name: f"quickstart-{name}" for name in ("scores", "gains", "spectra", "density", "overlap")}),
        ("nusax-cpu", {name: f"nusax-cpu-{name}" for name in ("scores", "gains", "spectra", "density", "overlap")}),
        ("americasnli-cpu", {name: f"americasnli-cpu-{name}" for name in ("scores", "gains", "overlap")}),
        ("ablations", {name: f"{name}-ablations" for name in ("quickstart", "minangkabau")}),
    ],
    ids=["quickstart", "nusax-cpu", "americasnli-cpu", "ablations"],
)
def test_the_commands_of_a_page_draw_its_figures(
    page: str, drawn: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DOCS.parent)
    for command in commands(page):
        run(*(word.replace("DIR", str(tmp_path)) for word in command))
    for name, stored in drawn.items():
        assert words_of(tmp_path / f"{name}.svg") == words_of(DOCS / f"figures/{stored}.svg")
        assert f"figures/{stored}.svg" in (DOCS / f"{page}.md").read_text() + (DOCS.parent / "README.md").read_text()
    if page == "quickstart":
        readme = (DOCS.parent / "README.md").read_text()
        for line in plain_table(tmp_path / "scores.csv"):
            assert line in readme


def commands(page: str) -> list[list[str]]:
    """The words after `deftx` in the commands of a page, `$(cat FILE)` filled in as a shell does."""
    found = re.findall(r"^    deftx (.*)$", (DOCS / f"{page}.md").read_text(), re.MULTILINE)
    quoted = [re.sub(r'"\$\(cat (\S+)\)"', lambda m: shlex.quote(Path(m[1]).read_text()), line) for line in found]
    return [shlex.split(re.sub(r"\$\(cat (\S+)\)", lambda m: Path(m[1]).read_text(), line)) for line in quoted]


def words_of(figure: Path) -> list[str]:
    """All that is written in a figure."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", figure.read_text())


def plain_table(scores: Path) -> list[str]:
    """Scores without intervals, methods in lines."""
    with scores.open() as file:
        rows = list(csv.DictReader(file))
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(row["title"], []).append(f"{float(row['score']):.1f}")
    return [f"| {title} | {' | '.join(some)} |" for title, some in cells.items()]


@pytest.mark.parametrize(
    ("data", "files"),
    [
        ("ablations", ["ablations.yaml"]),
        ("ablations-minangkabau", ["nusax-cpu.yaml", "overlays/nusax-cpu-ablations.yaml"]),
    ],
)
def test_the_stored_sweeps_are_those_of_the_configuration(data: str, files: list[str]) -> None:
    stored = json.loads((DOCS / "data" / data / "sweeps.json").read_text())
    sweeps = load_experiment.merged(DOCS.parent / "config" / file for file in files).sweeps
    assert stored == {name: sweep.model_dump(mode="json") for name, sweep in sweeps.items()}
