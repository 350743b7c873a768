"""Each rule alone, in a folder that holds nothing but the inputs it states: it makes again what it made before."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from deftx.core.integrity import sha256_of
from tests.helpers import project as projects
from tests.helpers.project import SHORT, Project

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
    "score": "scores/deft-x/sentiment/suma/seed0.json",
    "overlap": "tables/overlap-deft-x.csv",
    "tables": "tables/scores.csv",
    "costs": "tables/costs.csv",
    "figures": "figures/scores.svg",
}
"""One result of every rule that the pico experiment runs."""
OTHERS = {
    "fetch": "raw/{pin}/nolo.txt",
    "gradients_language": "gradients/language/suma/seed0.safetensors",
    "gradients_task": "gradients/task/sentiment/base/seed0.safetensors",
    "random_mask_language": "masks/language/random/suma/seed0.safetensors",
    "random_mask_task": "masks/task/random/sentiment/lt-sft-sumi/seed0.safetensors",
    "prune_language": "pruned/language/lt-sft/suma/seed0.safetensors",
    "prune_task": "pruned/task/lt-sft/sentiment/lt-sft-sumi/seed0.safetensors",
    "adapter_language": "adapters/language/sumi/seed0.safetensors",
    "adapter_task": "adapters/task/sentiment/sumi/seed0.safetensors",
    "lora_language": "loras/language/suma/seed0.safetensors",
    "lora_task": "loras/task/sentiment/base/seed0.safetensors",
    "sweeps": "figures/sweeps.svg",
    "report": "report.html",
}
"""One result of every rule that it does not run."""
GIVEN = (
    *("base.json", "base", "corpora/suma", "corpora/sumi", "datasets/reviews", "tables"),
    *("deltas/language/suma", "deltas/task/sentiment/lt-sft-sumi"),
    *("masks/language/lt-sft/suma", "masks/task/lt-sft/sentiment/lt-sft-sumi"),
)
"""What those need of its results."""
VARYING = {"costs", "figures"}
"""Rules whose results hold times, or pictures."""


@pytest.fixture(scope="session")
def summary(finished: Project) -> list[dict[str, str]]:
    """What Snakemake says of every result: its rule, its inputs."""
    lines = finished.run("--detailed-summary").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("output_file\t"))
    return list(csv.DictReader(lines[start:], delimiter="\t"))


def test_every_rule_is_here(finished: Project, summary: list[dict[str, str]]) -> None:
    assert {row["rule"] for row in summary} == set(RULES)
    rules = {line for line in finished.run("--list-rules").splitlines() if line.isidentifier()}
    assert rules == {*RULES, *OTHERS, "view", "all"}, "tests of registries run the rule `view`"


def test_the_other_rules(finished: Project, tmp_path: Path) -> None:
    """All at once, since their results have no others to be compared with."""
    project = projects.create(tmp_path / "project", finished.commands)
    for name in GIVEN:
        there = project.results / name
        there.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (finished.results / name).is_dir() else shutil.copy2)(finished.results / name, there)
    (tmp_path / "mirror/texts").mkdir(parents=True)
    text = shutil.copy2(project.folder / "texts/nolo.txt", tmp_path / "mirror/texts/nolo.txt")
    pin = sha256_of(text)

    def extend(config: dict[str, Any]) -> None:
        file = {"repository": "owner/texts", "commit": "0" * 40, "path": "nolo.txt", "sha256": pin}
        config["languages"]["nolo"]["corpus"]["files"] = [file]
        config["selections"]["random"] = {"select": "random", "k": {"language": 0.2, "task": 0.1}}
        for kind in ("language", "task"):
            config["recipe"][kind]["gradients"] = SHORT
        task = {"reduction": 4, "leave_out_last": False, "phase": SHORT}
        config["recipe"]["adapters"] = {"language": {"phase": SHORT}, "task": task}
        config["recipe"]["lora"] = {kind: {"rank": 1, "phase": SHORT} for kind in ("language", "task")}
        series = {"DeFT-X": ["lt-sft", "deft-x"]}
        config["sweeps"] = {"rank": {"title": "rank", "at": ["none", "90 %"], "series": series}}

    project.configure(extend)
    targets = [f"results/pico/{name.format(pin=pin)}" for name in OTHERS.values()]
    project.run("--allowed-rules", *OTHERS, "--", *targets, DEFTX_MIRROR=str(tmp_path / "mirror"))
    assert all((project.folder / target).stat().st_size for target in targets)


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
