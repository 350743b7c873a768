"""Tables, statements, signatures and figures of the pages are those that their stored data give."""

import csv
import gzip
import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from benchmarks import page_data, quickstart_seeds
from deftx.experiment import load as load_experiment
from deftx.report.tables import build as build_tables
from deftx.report.tables import costs as cost_table
from deftx.report.tables.spec import Plan
from deftx.report.tables.storage import read_table
from tests.helpers import REPOSITORY
from tests.helpers.command import run

DOCS = REPOSITORY / "docs"
PAGES = {
    "quickstart": DOCS / "tutorials/quickstart.md",
    "nusax-cpu": DOCS / "results/nusax-cpu.md",
    "americasnli-cpu": DOCS / "results/americasnli-cpu.md",
    "ablations": DOCS / "results/ablations.md",
}
EXPERIMENTS = {"nusax-cpu": "sentiment", "americasnli-cpu": "nli", "quickstart": "sentiment"}
"""Experiments with a page of their own name, and their task."""
VALIDATION = "nusax-cpu-validation"
"""The experiment by which settings were chosen; part of the page of NusaX."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the stored data of all pages, one folder for each experiment."""
    folder = tmp_path_factory.mktemp("stored")
    for page in PAGES:
        page_data.unpack(DOCS / "results/data" / page, folder)
    return folder


# Two files hold the data of a page


@pytest.mark.parametrize("page", PAGES)
def test_packing_what_was_unpacked_gives_the_same_two_files(page: str, stored: Path, tmp_path: Path) -> None:
    packed = DOCS / "results/data" / page
    experiments = json.loads(packed.with_name(f"{page}.json").read_text())
    page_data.pack([stored / name for name in experiments], tmp_path / page)
    assert (tmp_path / f"{page}.json").read_bytes() == packed.with_name(f"{page}.json").read_bytes()
    mine, theirs = (path.with_name(f"{page}.csv.gz").read_bytes() for path in (tmp_path / page, packed))
    assert gzip.decompress(mine) == gzip.decompress(theirs)
    assert theirs[4:8] == bytes(4)  # gzip's time: the file depends on its content alone


def test_unpacking_gives_every_byte_of_what_was_packed(tmp_path: Path) -> None:
    """Also of what a results folder could hold one day: quotes, commas, two experiments, other layouts of JSON."""
    files = {
        "a/predictions/lt-sft/mood/sen/seed0.csv": 'id,label,predicted,p_bad,p_good\n"1,2",bad,"go""od",0.5,0.500000\n',
        "a/predictions/lt-sft/mood/sen/seed10.csv": "id,label,predicted,p_bad,p_good\n1,bad,good,0.5,0.500000\n",
        "b/predictions/lt-sft/mood/sen/seed0.csv": "id,label,predicted,p_bad,p_good\nä,bad,good,1e-09,1\n",
        "a/scores/lt-sft/mood/sen/seed0.json": '{\n  "macro_f1": 81.20000000000001,\n  "name": "ä"\n}\n',
        "a/masks/language/lt-sft/sen/seed0.json": '{"small": 1e-7}',
        "b/costs.csv": "method,seconds\r\nlt-sft,1\r\n",
        "b/figures.txt": "no line end",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(text.encode())
    (tmp_path / "a/corpora").mkdir()
    (tmp_path / "a/corpora/stats.json").write_text("{}")  # no part of a page
    page_data.main(["pack", str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "page")])
    page_data.main(["unpack", str(tmp_path / "page"), str(tmp_path / "again")])
    again = {path: path.read_bytes().decode() for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path / "again").as_posix(): text for path, text in again.items()} == files


def test_predictions_of_other_classes_are_not_packed_together(tmp_path: Path) -> None:
    for task, label in (("mood", "bad"), ("nli", "neutral")):
        path = tmp_path / f"a/predictions/lt-sft/{task}/sen/seed0.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f"id,label,predicted,p_{label}\n1,{label},{label},1\n")
    with pytest.raises(ValueError, match="different columns"):
        page_data.pack([tmp_path / "a"], tmp_path / "page")


# Tables and statements


@pytest.mark.parametrize(("experiment", "task"), EXPERIMENTS.items())
def test_a_page_shows_what_its_data_give(experiment: str, task: str, stored: Path, tmp_path: Path) -> None:
    """Every line of the table, its note, its signature, and the statements, whatever their line breaks."""
    methods, lines = written(stored / experiment, task, tmp_path)
    page = " ".join(PAGES[experiment].read_text().split())
    starts = [line[0] for line in lines]
    assert starts.count("|") == 2 + methods and starts.count("-") >= 5
    for line in lines:
        assert line in page


def test_the_page_of_nusax_shows_each_seed(stored: Path, tmp_path: Path) -> None:
    written(stored / "nusax-cpu", "sentiment", tmp_path)
    page = PAGES["nusax-cpu"].read_text()
    with (tmp_path / "seeds.csv").open() as file:
        means = [row for row in csv.DictReader(file) if row["language"] == "mean"]
    titles = dict.fromkeys(row["title"] for row in means)
    assert len(means) == 3 * len(titles) == 15
    for title in titles:
        cells = [f"{float(row['score']):.1f}" for row in means if row["title"] == title]
        assert f"\n| {title} | {' | '.join(cells)} |\n" in page


def test_settings_were_chosen_by_what_the_page_shows(stored: Path, tmp_path: Path) -> None:
    """Table and signature; of differences among a hundred items there is nothing to state."""
    methods, lines = written(stored / VALIDATION, "sentiment", tmp_path)
    expected = [line for line in lines if line.startswith(("|", "Signature"))]
    page = " ".join(PAGES["nusax-cpu"].read_text().split())
    assert len(expected) == 2 + methods + 1
    for line in expected:
        assert line in page


def written(data: Path, task: str, folder: Path) -> tuple[int, list[str]]:
    """Return the number of methods, and the lines of the table that the stored data give."""
    plan = TypeAdapter(Plan).validate_python(json.loads((data / "plan.json").read_text()))
    build_tables.build(data, plan, folder)
    return len(plan.methods), [line for line in (folder / f"{task}.md").read_text().splitlines() if line]


@pytest.mark.parametrize("experiment", ["americasnli-cpu", "nusax-cpu"])
def test_a_page_shows_what_its_methods_cost(experiment: str, stored: Path) -> None:
    page = " ".join(PAGES[experiment].read_text().split())
    lines = cost_table.markdown(read_table(stored / experiment / "costs.csv")).splitlines()
    assert len(lines) > 4
    for line in filter(None, lines):
        assert line in page


@pytest.mark.parametrize("experiment", [*EXPERIMENTS, VALIDATION])
def test_signatures_say_what_their_score_files_hold(experiment: str, stored: Path) -> None:
    paths = [*(stored / experiment / "scores").rglob("*.json")]
    assert len(paths) >= 20
    for path in paths:
        scores = json.loads(path.read_text())
        fields = dict(part.split(":") for part in scores["signature"].split("|")[1:])
        assert fields["base"] == scores["base"][:8] and fields["data"] == scores["dataset"][:8]
        assert (fields["n"], fields["seed"]) == (str(scores["n"]), path.stem.removeprefix("seed"))


def test_a_score_of_the_nusax_page_by_hand(stored: Path) -> None:
    """Macro-F1 from the confusion matrix, without the code that made the table."""
    data = stored / "nusax-cpu"
    path = data / "predictions/deft-x/sentiment/ace/seed0.csv"
    pairs = [tuple(line.split(",")[1:3]) for line in path.read_text().splitlines()[1:]]
    labels = {gold for gold, _ in pairs}
    scores = []
    for label in labels:
        hit = sum(gold == guess == label for gold, guess in pairs)
        scores.append(2 * hit / (sum(g == label for g, _ in pairs) + sum(p == label for _, p in pairs)))
    macro_f1 = json.loads((data / "scores/deft-x/sentiment/ace/seed0.json").read_text())["macro_f1"]
    assert abs(100 * sum(scores) / len(labels) - macro_f1) < 1e-9


def test_the_seeds_of_the_quickstart_are_those_of_its_data(stored: Path) -> None:
    """Every line of the benchmark's report, with minus signs as typeset."""
    page = PAGES["quickstart"].read_text()
    report = quickstart_seeds.report(pd.read_csv(stored / "quickstart-seeds/scores.csv")).replace("-SFT", "~")
    lines = [re.sub(r"-(?=\d)", "\N{MINUS SIGN}", line).replace("~", "-SFT") for line in report.splitlines()]
    starts = ("| full", "| task", "| LT", "| DeFT", "DeFT", "Signature")
    expected = [line for line in lines if line.startswith(starts)]
    assert len(expected) == 4 + 3 + 2
    for line in expected:
        assert line in page


ABLATIONS = ["ablations", "ablations-minangkabau"]
"""The experiments of docs/results/ablations.md, part by part."""


@pytest.mark.parametrize("data", ABLATIONS)
def test_the_page_of_ablations_shows_what_its_data_hold(data: str, stored: Path) -> None:
    page = PAGES["ablations"].read_text().split("\n## Minangkabau\n")[ABLATIONS.index(data)]
    with (stored / data / "scores.csv").open() as file:
        means = [row for row in csv.DictReader(file) if row["language"] == "mean"]
    for row in means:
        star = "*" if row["p_holm"] and float(row["p_holm"]) < 0.05 else ""
        score, low, high = (float(row[name]) for name in ("score", "low", "high"))
        assert f"| {row['title']} | {score:.1f}{star} | [{low:.1f}\N{EN DASH}{high:.1f}] |" in page
    assert page.count("\n| ") == 1 + len(means)


@pytest.mark.parametrize("data", ABLATIONS)
def test_equal_signatures_mean_equal_scores(data: str, stored: Path) -> None:
    with (stored / data / "scores.csv").open() as file:
        rows = [(row["language"], row["signature"], row["score"]) for row in csv.DictReader(file)]
    assert len({row[:2] for row in rows}) == len({*rows})


def test_scores_of_minangkabau_are_those_of_its_predictions(stored: Path, tmp_path: Path) -> None:
    data = stored / "ablations-minangkabau"
    written(data, "sentiment", tmp_path)
    for name in ("scores.csv", "comparisons.csv"):
        assert (tmp_path / name).read_bytes() == (data / name).read_bytes()


def test_all_of_the_residual_is_the_plain_mask(stored: Path) -> None:
    with (stored / "ablations/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    scores = [{row["language"]: row["score"] for row in rows if row["method"] == name} for name in ("lt-sft", "keep-1")]
    assert len(scores[0]) == 6 and scores[0] == scores[1]  # the same mask, and so the same training


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
    monkeypatch.chdir(REPOSITORY)
    ran = [run_as_typed(line.replace("DIR", str(tmp_path)), monkeypatch) for line in commands(page)]
    assert "unpack" in ran[0]
    readme = (REPOSITORY / "README.md").read_text()
    for name, figure in drawn.items():
        (mine,) = tmp_path.rglob(f"{name}.svg")
        assert words_of(mine) == words_of(DOCS / f"figures/{figure}.svg")
        assert f"figures/{figure}.svg" in PAGES[page].read_text() + readme
    if page == "quickstart":
        for line in plain_table(tmp_path / "quickstart/tables/scores.csv"):
            assert line in readme


COMMANDS = ("python -m benchmarks.page_data ", "cd DIR/", "deftx tables ", "deftx figures ", "deftx sweeps ")
"""How the commands of a page begin that draw its figures from stored data."""


def commands(page: str) -> list[str]:
    """Return the commands of a page that draw its figures, in order."""
    lines = (line.removeprefix("    ") for line in PAGES[page].read_text().splitlines() if line.startswith("    "))
    return [line for line in lines if line.startswith(COMMANDS)]


def run_as_typed(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a command of a page as a shell would, but in this process; return its words."""
    line = re.sub(r'"\$\(cat (\S+)\)"', lambda m: shlex.quote(Path(m[1]).read_text()), line)
    words = shlex.split(re.sub(r"\$\(cat (\S+)\)", lambda m: Path(m[1]).read_text(), line))
    match words:
        case ["python", "-m", "benchmarks.page_data", *arguments]:
            page_data.main(arguments)
        case ["cd", folder]:
            monkeypatch.chdir(folder)
        case ["deftx", *arguments]:
            run(*arguments)
    return words


def words_of(figure: Path) -> list[str]:
    """Return all that is written in a figure."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", figure.read_text())


def plain_table(table: Path) -> list[str]:
    """Return the lines of a table of scores without intervals, a method a line."""
    with table.open() as file:
        rows = list(csv.DictReader(file))
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(row["title"], []).append(f"{float(row['score']):.1f}")
    return [f"| {title} | {' | '.join(scores)} |" for title, scores in cells.items()]


@pytest.mark.parametrize(
    ("data", "files"),
    [
        ("ablations", ["ablations.yaml"]),
        ("ablations-minangkabau", ["nusax-cpu.yaml", "overlays/nusax-cpu-ablations.yaml"]),
    ],
)
def test_the_stored_sweeps_are_those_of_the_configuration(data: str, files: list[str], stored: Path) -> None:
    sweeps = load_experiment.merged(REPOSITORY / "config" / file for file in files).sweeps
    assert json.loads((stored / data / "sweeps.json").read_text()) == {
        name: sweep.model_dump(mode="json") for name, sweep in sweeps.items()
    }
