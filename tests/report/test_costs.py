"""Costs: sums over what a method's model needs, each job once."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from deftx.core.files import write_text
from deftx.core.integrity import write_json
from deftx.report.tables import costs as cost_table

MADE = {
    "sfts/task/x/seed0": ["masks/task/x/seed0", "sfts/language/src/seed0"],
    "masks/task/x/seed0": ["deltas/task/x/seed0"],
    "deltas/task/x/seed0": ["sfts/language/src/seed0"],
    "sfts/language/src/seed0": ["deltas/language/src/seed0"],
    "sfts/language/one/seed0": ["deltas/language/one/seed0"],
    "sfts/language/two/seed0": ["deltas/language/two/seed0"],
}
MODULES = {lang: ["sfts/task/x/seed0", f"sfts/language/{lang}/seed0"] for lang in ("one", "two")}
PLAN = {
    "methods": {"lt-sft": "LT-SFT"},
    "languages": {"one": "Language one"},
    "modules": {"mood": {"lt-sft": MODULES}},
    "made": MADE,
    "stages": {"sfts": "sparse", "deltas": "full", "masks": "mask"},
}
SCORES = {"src": 90.0, "one": 60.0, "two": 70.0, "mean": 65.0}
JOBS = sorted({*MADE, *(need for needs in MADE.values() for need in needs)})


def experiment(folder: Path) -> dict[str, dict[str, float]]:
    """Records, vectors and benchmarks of every job, no two of which cost the same; returns the latter."""
    measured = {}
    for n, job in enumerate(JOBS):
        family, _, rest = job.partition("/")
        measured[job] = {"s": 2.0**n, "cpu_time": 3.0**n, "max_rss": 100.0 + n}
        stage = {"sfts": "sparse", "deltas": "full", "masks": "mask"}[family]
        write_text(folder / "benchmarks" / stage / f"{rest}.jsonl", json.dumps(measured[job]) + "\n")
        write_json(folder / f"{job}.json", {"trained_parameters": 10**n})
        write_text(folder / f"{job}.safetensors", "x" * (n + 1))
    return measured


def table(folder: Path) -> pd.DataFrame:
    rows = [("mood", "lt-sft", lang, score, score - 1, score + 1, f"of {lang}") for lang, score in SCORES.items()]
    columns = ["task", "method", "language", "score", "low", "high", "signature"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "scores.csv", index=False)
    cost_table.build(folder, cost_table.Plan.model_validate(PLAN), folder / "scores.csv", folder / "tables")
    return pd.read_csv(folder / "tables/costs.csv").set_index("language")


def test_what_a_model_needs_is_counted_once(tmp_path: Path) -> None:
    measured = experiment(tmp_path)
    found = table(tmp_path)
    for lang, other in (("one", "two"), ("two", "one")):
        needed = [job for job in JOBS if f"/{other}/" not in job]
        assert found.loc[lang, "seconds"] == sum(measured[job]["s"] for job in needed)
        assert found.loc[lang, "cpu_seconds"] == sum(measured[job]["cpu_time"] for job in needed)
        assert found.loc[lang, "peak_mb"] == max(measured[job]["max_rss"] for job in needed)
        assert found.loc[lang, "parameters"] == sum(10 ** JOBS.index(module) for module in MODULES[lang])
        assert found.loc[lang, "bytes"] == sum(JOBS.index(module) + 1 for module in MODULES[lang])
    for measure in cost_table.MEASURES:
        assert found.loc["mean", measure] == pytest.approx(found.loc[["one", "two"], measure].mean(), abs=0.1)
    assert found["score"].to_dict() == {lang: SCORES[lang] for lang in ("one", "two", "mean")}
    assert found["signature"].to_dict() == {lang: f"of {lang}" for lang in ("one", "two", "mean")}
    assert "| mood | LT-SFT | 65.0 [64.0\N{EN DASH}66.0] | " in (tmp_path / "tables/costs.md").read_text()


def test_what_was_not_measured_leaves_a_gap(tmp_path: Path) -> None:
    """Half a sum would look like a small cost."""
    experiment(tmp_path)
    (tmp_path / "benchmarks/full/language/src/seed0.jsonl").unlink()
    (tmp_path / "sfts/language/two/seed0.safetensors").unlink()
    (tmp_path / "benchmarks/full/language/one/seed0.jsonl").write_text(
        '{"s": 0.1, "max_rss": "NA", "cpu_time": "NA"}\n'
    )
    found = table(tmp_path)
    assert found[["seconds", "cpu_seconds", "peak_mb"]].isna().all().all()
    assert found.loc["one", "bytes"] > 0 and math.isnan(found.loc["two", "bytes"])
    assert found.loc["mean", "parameters"] > 0
    assert "nan" not in (tmp_path / "tables/costs.md").read_text()


def test_a_language_called_nan_keeps_its_score(tmp_path: Path) -> None:
    """The code of Min Nan, which a reader of tables may take for a missing cell."""
    plan = PLAN | {"modules": {"mood": {"lt-sft": {"nan": MODULES["one"]}}}}
    scores = "task,method,language,score,low,high,signature\nmood,lt-sft,nan,60,59,61,a\nmood,lt-sft,mean,60,59,61,b\n"
    (tmp_path / "scores.csv").write_text(scores)
    experiment(tmp_path)
    cost_table.build(tmp_path, cost_table.Plan.model_validate(plan), tmp_path / "scores.csv", tmp_path)
    assert pd.read_csv(tmp_path / "costs.csv")["score"].tolist() == [60.0, 60.0]
