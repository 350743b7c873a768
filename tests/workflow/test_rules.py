"""Each rule alone, in a folder that holds nothing but the inputs it states: it makes again what it made before."""

import csv
import shutil
from pathlib import Path

import project as projects
import pytest
from project import Project

RULES = {
    "dataset": "datasets/trial/suma/test.csv",
    "corpus": "corpora/suma/train.txt.gz",
    "base": "base.json",
    "full_language": "deltas/language/suma/seed0.safetensors",
    "full_task": "deltas/task/sentiment/lt-sft-sumi/seed0.safetensors",
    "mask_language": "masks/language/deft-x/suma/seed0.safetensors",
    "mask_task": "masks/task/deft-x/sentiment/deft-x-sumi/seed0.safetensors",
    "sparse_language": "sfts/language/deft-x/suma/seed0.safetensors",
    "sparse_task": "sfts/task/deft-x/sentiment/deft-x-sumi/seed0.safetensors",
    "compose": "composed/deft-x/sentiment/suma/seed0.json",
    "evaluate": "predictions/deft-x/sentiment/suma/seed0.csv",
    "overlap": "tables/overlap-deft-x.csv",
    "tables": "tables/scores.csv",
    "costs": "tables/costs.csv",
    "figures": "figures/scores.svg",
}
"""One result of every rule that the pico experiment runs."""
VARYING = {"costs", "figures"}
"""Rules whose results hold times, or pictures."""


@pytest.fixture(scope="session")
def summary(finished: Project) -> list[dict[str, str]]:
    """What Snakemake says of every result: its rule, its inputs."""
    lines = finished.run("--detailed-summary").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("output_file\t"))
    return list(csv.DictReader(lines[start:], delimiter="\t"))


def test_every_rule_is_here(summary: list[dict[str, str]]) -> None:
    assert {row["rule"] for row in summary} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_alone(rule: str, finished: Project, summary: list[dict[str, str]], tmp_path: Path) -> None:
    alone = projects.create(tmp_path / "alone", finished.commands)
    target = f"results/pico/{RULES[rule]}"
    inputs = next(row["input-file(s)"] for row in summary if row["output_file"] == target)
    for name in filter(None, inputs.split(",")):
        (alone.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(finished.folder / name, alone.folder / name)
    if "results/pico/base.json" in inputs:
        shutil.copytree(finished.results / "base", alone.results / "base")  # what base.json describes
    alone.run("--allowed-rules", rule, "--", target)
    made = [
        row["output_file"] for row in summary if row["rule"] == rule and (alone.folder / row["output_file"]).is_file()
    ]
    assert target in made
    if rule not in VARYING:
        for name in made:
            assert (alone.folder / name).read_bytes() == (finished.folder / name).read_bytes()
