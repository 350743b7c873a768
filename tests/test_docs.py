"""Tables, statements and signatures of the pages are those their stored data give."""

import csv
import json
from pathlib import Path

from pydantic import TypeAdapter

from deftx import tables
from deftx.table_plan import Plan

DOCS = Path(__file__).parent.parent / "docs"
DATA = DOCS / "data/nusax-cpu"


def test_the_nusax_page_shows_what_its_data_give(tmp_path: Path) -> None:
    plan = TypeAdapter(Plan).validate_python(json.loads((DATA / "plan.json").read_text()))
    tables.build(DATA, plan, tmp_path)
    page = " ".join((DOCS / "nusax-cpu.md").read_text().split())
    lines = [line for line in (tmp_path / "sentiment.md").read_text().splitlines() if line]
    starts = [line[0] for line in lines]
    assert starts.count("|") == 2 + len(plan.methods) and starts.count("-") == 5
    for line in lines:
        assert line in page


def test_the_signatures_of_the_nusax_page_say_what_its_score_files_hold() -> None:
    for path in (DATA / "scores").rglob("*.json"):
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


def test_the_page_of_ablations_shows_what_its_data_hold() -> None:
    page = (DOCS / "ablations.md").read_text()
    with (DOCS / "data/ablations/scores.csv").open() as file:
        means = [row for row in csv.DictReader(file) if row["language"] == "mean"]
    for row in means:
        star = "*" if row["p_holm"] and float(row["p_holm"]) < 0.05 else ""
        score, low, high = (float(row[name]) for name in ("score", "low", "high"))
        assert f"| {row['title']} | {score:.1f}{star} | [{low:.1f}\N{EN DASH}{high:.1f}] |" in page
    assert page.count("\n| ") == 1 + len(means)
    one, other = ({r["language"]: r["score"] for r in rows} for rows in map(_rows_of, ("lt-sft", "keep-1")))
    assert one == other  # the same mask, and so the same training


def _rows_of(method: str) -> list[dict[str, str]]:
    with (DOCS / "data/ablations/scores.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["method"] == method]
