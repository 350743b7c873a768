"""Tables: the numbers of the stored predictions, in three formats."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from deftx.core.errors import DatasetError
from deftx.evaluation.signature import pooled
from deftx.evaluation.significance import holm
from deftx.report.tables import build as build_tables
from deftx.report.tables.spec import Plan
from tests.helpers import results

LANGUAGES, SEEDS = ("src", "one", "two"), (0, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    results.predictions(folder, LANGUAGES, SEEDS)
    results.record(folder, "sfts/task/x/seed0")
    plan = results.plan(LANGUAGES, SEEDS, vectors=["sfts/task/x/seed0"])
    build_tables.build(folder, Plan.model_validate(plan), folder / "tables")
    return folder


def score(folder: Path, method: str, language: str, seed: int) -> float:
    frame = pd.read_csv(folder / "predictions" / method / "mood" / language / f"seed{seed}.csv")
    return 100 * float(f1_score(frame["label"], frame["predicted"], average="macro"))


def test_scores_are_means_over_seeds(made: Path) -> None:
    table = pd.read_csv(made / "tables" / "scores.csv").set_index(["method", "language"])
    assert len(table) == len(results.METHODS) * (len(LANGUAGES) + 1)
    for method in results.METHODS:
        for language in LANGUAGES:
            by_seed = [score(made, method, language, seed) for seed in SEEDS]
            row = table.loc[method, language]
            assert row["score"] == pytest.approx(np.mean(by_seed), abs=1e-3)
            assert row["sd"] == pytest.approx(np.std(by_seed, ddof=1), abs=1e-3)
            assert row["low"] <= row["score"] <= row["high"]
        targets = [table.loc[method, language]["score"] for language in LANGUAGES[1:]]
        assert table.loc[method, "mean"]["score"] == pytest.approx(np.mean(targets), abs=1e-3)


def test_methods_are_tested_against_the_reference(made: Path) -> None:
    table = pd.read_csv(made / "tables" / "scores.csv").set_index(["method", "language"])
    assert table.loc["lt-sft"]["p"].isna().all()
    assert table.loc["task-sft", "mean"]["p"] < 0.05


def test_stars_are_for_corrected_p_values(made: Path) -> None:
    """Over the targets: the smallest of their p-values is multiplied by their number."""
    table = pd.read_csv(made / "tables" / "scores.csv").set_index(["method", "language"])
    for method in ("task-sft", "deft-x"):
        raw, corrected = (table.loc[[(method, t) for t in LANGUAGES[1:]], column] for column in ("p", "p_holm"))
        assert list(corrected) == pytest.approx(holm(list(raw)), abs=1e-4)
        for alone in ("src", "mean"):
            assert table.loc[(method, alone), "p_holm"] == table.loc[(method, alone), "p"]
    line = next(x for x in (made / "tables" / "mood.md").read_text().splitlines() if x.startswith("| DeFT-X"))
    cells = [cell.strip() for cell in line.strip("| ").split(" | ")[1:]]
    starred = ["*" in cell for cell in cells]
    assert starred == [table.loc[("deft-x", c), "p_holm"] < 0.05 for c in (*LANGUAGES, "mean")]


def test_seeds_are_told_apart(made: Path) -> None:
    seeds = pd.read_csv(made / "tables" / "seeds.csv").set_index(["method", "language", "seed"])
    assert len(seeds) == len(results.METHODS) * (len(LANGUAGES) + 1) * len(SEEDS)
    for method in results.METHODS:
        for seed in SEEDS:
            by_language = [score(made, method, language, seed) for language in LANGUAGES]
            for language, value in zip(LANGUAGES, by_language, strict=True):
                row = seeds.loc[method, language, seed]
                assert row["score"] == pytest.approx(value, abs=1e-3)
                assert row["low"] <= row["score"] <= row["high"]
            assert seeds.loc[(method, "mean", seed), "score"] == pytest.approx(np.mean(by_language[1:]), abs=1e-3)
            assert f"|seed:{seed}|" in seeds.loc[(method, "one", seed), "signature"]


def test_comparisons_and_their_statements(made: Path) -> None:
    table = pd.read_csv(made / "tables" / "comparisons.csv", keep_default_na=False)
    scores = pd.read_csv(made / "tables" / "scores.csv").set_index(["method", "language"])["score"]
    pairs = list(dict.fromkeys(zip(table["method"], table["other"], strict=True)))
    assert pairs == [("task-sft", "lt-sft"), ("deft-x", "lt-sft"), ("deft-x", "task-sft")]
    for _, row in table.iterrows():
        expected = scores[row["method"], row["language"]] - scores[row["other"], row["language"]]
        assert row["difference"] == pytest.approx(expected, abs=1e-3)
        assert row["low"] <= row["difference"] <= row["high"]
        assert bool(row["statement"]) is (row["language"] == "mean")
    text = (made / "tables" / "mood.md").read_text()
    said = [statement for statement in table["statement"] if statement]
    assert [line for line in text.splitlines() if line.startswith("- ")] == [f"- {one}." for one in said]
    assert said[1].startswith("DeFT-X & co beats LT-SFT on 2 of 2 languages, significantly on")


def test_every_score_has_a_signature(made: Path) -> None:
    table = pd.read_csv(made / "tables" / "scores.csv")
    assert all(line.startswith("macro_f1|n:40|seed:0,1|base:aaaaaaaa|data:") for line in table["signature"])
    cells = table[table["language"] != "mean"]
    assert cells["signature"].str.contains("data:0000000").all()
    whole = pooled(table["signature"])
    assert f"Signature: `{whole}`" in (made / "tables" / "mood.md").read_text()
    assert f"% Signature: {whole}" in (made / "tables" / "mood.tex").read_text()


def test_scores_without_signature_or_of_another_metric_are_refused(tmp_path: Path) -> None:
    results.predictions(tmp_path, LANGUAGES, [0])
    plan = results.plan(LANGUAGES, [0])
    plan["tasks"]["mood"]["metric"] = "accuracy"
    path = tmp_path / "scores" / "task-sft" / "mood" / "src" / "seed0.json"
    for content in (path.read_text(), "{}"):
        path.write_text(content)
        with pytest.raises(DatasetError, match=r"src/seed0\.json has no signature, or one of another metric"):
            build_tables.build(tmp_path, Plan.model_validate(plan), tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


def test_accuracy_beside_published_scores(tmp_path: Path) -> None:
    results.predictions(tmp_path, LANGUAGES, [0], metric="accuracy")
    plan = results.plan(LANGUAGES, [0])
    published = {"method": "deft-x", "title": "DeFT-X", "base": "X", "source": "a paper", "scores": {"mean": 50.0}}
    plan["tasks"]["mood"] |= {"metric": "accuracy", "published": [published]}
    build_tables.build(tmp_path, Plan.model_validate(plan), tmp_path / "tables")
    frames = [pd.read_csv(tmp_path / f"predictions/deft-x/mood/{c}/seed0.csv") for c in LANGUAGES[1:]]
    mean = 100 * np.mean([(frame["label"] == frame["predicted"]).mean() for frame in frames])
    row = pd.read_csv(tmp_path / "tables/published.csv").iloc[0]
    assert row["score"] == pytest.approx(mean, abs=1e-3) and row["difference"] == pytest.approx(mean - 50, abs=1e-3)
    assert bool(row["outside"]) and row["signature"].startswith("accuracy|")
    assert "DeFT-X, X: a paper." in (tmp_path / "tables/published.md").read_text()
    assert "\nAccuracy in percent" in (tmp_path / "tables/mood.md").read_text()


def test_gains_are_counted_from_the_control(made: Path) -> None:
    gains = pd.read_csv(made / "tables" / "gains.csv").set_index(["method", "language"])
    scores = pd.read_csv(made / "tables" / "scores.csv").set_index(["method", "language"])["score"]
    assert set(gains.index) == {(m, c) for m in ("lt-sft", "deft-x") for c in ("one", "two", "mean")}
    for (method, language), row in gains.iterrows():
        assert row["gain"] == pytest.approx(scores[method, language] - scores["task-sft", language], abs=1e-3)


def test_markdown_and_latex_hold_the_same_scores(made: Path) -> None:
    scores = pd.read_csv(made / "tables" / "scores.csv")
    markdown, latex = ((made / "tables" / f"mood.{form}").read_text() for form in ("md", "tex"))
    for value in scores["score"]:
        assert f"{value:.1f}" in markdown and f"{value:.1f}" in latex
    lines = markdown.splitlines()
    assert lines[0] == "| method | Language src (source) | Language one | Language two | mean of targets |"
    assert {line.count("|") for line in lines[:5]} == {6}
    assert r"DeFT-X \& co" in latex and latex.count(r"\\") == 4
    assert r"\begin{tabular}{lrrrr}" in latex


def test_training_records_are_tabulated(made: Path) -> None:
    row = pd.read_csv(made / "tables" / "training.csv").iloc[0]
    assert (row["vector"], row["kept_step"], row["measure"]) == ("sfts/task/x/seed0", 5, "macro_f1")
    assert (row["before"], row["after"]) == (0.2, 0.6)


def test_one_seed_and_no_control(tmp_path: Path) -> None:
    results.predictions(tmp_path, LANGUAGES, [0])
    plan = results.plan(LANGUAGES, [0], control=None, reference=None)
    build_tables.build(tmp_path, Plan.model_validate(plan), tmp_path / "tables")
    assert "one seed" in (tmp_path / "tables" / "mood.md").read_text()
    assert pd.read_csv(tmp_path / "tables" / "gains.csv").empty
    assert pd.read_csv(tmp_path / "tables" / "published.csv").empty
    assert not (tmp_path / "tables" / "published.md").exists()


def test_test_sets_of_several_sizes_are_named_so(tmp_path: Path) -> None:
    results.predictions(tmp_path, LANGUAGES, SEEDS)
    files = sorted(tmp_path.glob("predictions/*/mood/two/*.csv"))
    for file in files:
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-5]))
    build_tables.build(tmp_path, Plan.model_validate(results.plan(LANGUAGES, SEEDS)), tmp_path / "tables")
    most = len(files[0].parents[1].joinpath("one/seed0.csv").read_text().splitlines()) - 1
    assert f"over {most - 5} to {most} test items" in (tmp_path / "tables/mood.md").read_text()


def test_predictions_of_other_items_are_refused(tmp_path: Path) -> None:
    results.predictions(tmp_path, LANGUAGES, SEEDS)
    path = tmp_path / "predictions" / "lt-sft" / "mood" / "one" / "seed1.csv"
    path.write_text(path.read_text().replace("0,bad,", "x,bad,", 1))
    with pytest.raises(DatasetError, match=r"lt-sft/mood/one/seed1\.csv has other items"):
        build_tables.build(tmp_path, Plan.model_validate(results.plan(LANGUAGES, SEEDS)), tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


def test_methods_scored_on_other_items_are_refused(tmp_path: Path) -> None:
    """A method's predictions that are older than its test set."""
    results.predictions(tmp_path, LANGUAGES, [0])
    path = tmp_path / "predictions" / "lt-sft" / "mood" / "one" / "seed0.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    with pytest.raises(DatasetError, match=r"lt-sft.* has other items"):
        build_tables.build(tmp_path, Plan.model_validate(results.plan(LANGUAGES, [0])), tmp_path / "tables")


def test_a_language_without_a_vector_is_marked(tmp_path: Path) -> None:
    results.predictions(tmp_path, LANGUAGES, [0])
    plan = results.plan(LANGUAGES, [0], lacking={"lt-sft": {"mood": ["two"]}, "deft-x": {"mood": []}})
    build_tables.build(tmp_path, Plan.model_validate(plan), tmp_path / "tables")
    table = pd.read_csv(tmp_path / "tables" / "scores.csv", keep_default_na=False).set_index(["method", "language"])
    assert [key for key, note in table["note"].items() if note] == [("lt-sft", "two")]
    for form in ("md", "tex"):
        text = (tmp_path / "tables" / f"mood.{form}").read_text()
        assert text.count("\N{DAGGER}") == 2 and "\N{DAGGER}: no language vector" in text
