"""Methods beyond the four of the pico experiment: what each trains, what it adds, and what it only shares."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deftx.modules import lora, vectors
from tests.helpers.project import SHORT, Project, each
from tests.workflow.test_mad_x import add_mad_x

Config = dict[str, Any]
METHODS = {
    "full-arithmetic": {"task": "dense", "language": "dense", "source_adaptation": False},
    "mlm-then-task": {"task": "dense", "language": "dense", "target_adaptation": True},
    "source-kept": {"selection": "lt-sft", "swap": False},
    "ties": {"selection": "lt-sft", "conflicts": "ties"},
    "drop-overlap": {"selection": "lt-sft", "conflicts": "drop-overlap", "weights": {"language": 0.5}},
    "random": {"selection": "random", "start_selection": "lt-sft"},
    "pruned": {"task": "pruned", "language": "pruned", "selection": "lt-sft"},
    "lora-arithmetic": {"task": "lora", "language": "lora"},
    "lora-on-source": {"task": "lora", "language": "lora", "source_adaptation": True, "weights": {"language": 0.5}},
    "mad-x": {"task": "adapter", "language": "adapter"},
}
LORA = {
    "language": {"rank": 2, "phase": SHORT | {"learning_rate": 0.05}},
    "task": {"rank": 1, "targets": ["query", "value"], "phase": SHORT | {"learning_rate": 0.05}},
}
SWEEP = {"title": "rule", "at": ["sum", "ties"], "series": {"LT-SFT": ["lt-sft", "ties"]}, "beside": ["random"]}


def ablate(config: Config) -> None:
    """An experiment of its own that shares the results of the first."""
    config["name"], config["root"] = "ablation", "results/pico"
    config["selections"]["random"] = {"select": "random", "k": {"language": 0.2, "task": 0.1}}
    config["recipe"]["lora"] = LORA
    add_mad_x(config)
    config["methods"] |= METHODS
    config["sweeps"] = {"conflicts": SWEEP}


def test_ablations_share_all_that_does_not_depend_on_them(project: Project) -> None:
    """No delta is trained but those of the task on top of each target's own, and each LoRA and adapter once."""
    project.configure(ablate)
    assert project.planned() == each(
        "deltas/task/sentiment/mlm-{suma,nolo}/seed0",
        "{masks,sfts}/language/random/{suma,nolo}/seed0",
        "{masks,sfts}/task/random/sentiment/lt-sft-sumi/seed0",
        "pruned/language/lt-sft/{suma,nolo}/seed0",
        "pruned/task/lt-sft/sentiment/lt-sft-sumi/seed0",
        "loras/language/{sumi,suma,nolo}/seed0",
        "loras/task/sentiment/{base,lora-sumi}/seed0",
        "adapters/language/{sumi,suma,nolo}/seed0",
        "adapters/task/sentiment/sumi/seed0",
        f"{{composed,scores}}/{{{','.join(METHODS)}}}/sentiment/{{suma,nolo}}/seed0",
        "tables",
        "figures",
    )


def textless(config: Config) -> None:
    del config["languages"]["nolo"]["corpus"]


def test_a_target_without_text_goes_without_a_language_vector(project: Project) -> None:
    """Only what had its vector is composed again; the table says so."""
    project.configure(textless)
    lacking = each("{composed,scores}/{lt-sft,deft-x}/sentiment/nolo/seed0")
    assert project.planned() == lacking | each("tables/overlap-{lt-sft,deft-x}") | {"tables", "figures"}


def test_every_method_adds_what_it_says(project: Project) -> None:
    project.configure(ablate)
    project.configure(textless)
    project.run()
    results = project.results

    def recipe(method: str, lang: str = "suma") -> Config:
        return dict(json.loads((results / f"composed/{method}/sentiment/{lang}/seed0.json").read_text()))

    def added(method: str, lang: str = "suma") -> list[str]:
        folder = results / f"composed/{method}/sentiment/{lang}"
        paths = [
            (folder / term["path"]).resolve().relative_to(results.resolve()) for term in recipe(method, lang)["terms"]
        ]
        return [str(path.with_suffix("")) for path in paths]

    def vector(name: str) -> vectors.Vector:
        return vectors.load(results / f"{name}.safetensors")

    assert added("full-arithmetic") == ["deltas/task/sentiment/base/seed0", "deltas/language/suma/seed0"]
    assert added("mlm-then-task") == ["deltas/task/sentiment/mlm-suma/seed0", "deltas/language/suma/seed0"]
    own = (results / "deltas/language/suma/seed0.safetensors").read_bytes()
    assert vector("deltas/task/sentiment/mlm-suma/seed0").metadata.start == [hashlib.sha256(own).hexdigest()]
    assert added("source-kept") == ["sfts/task/lt-sft/sentiment/lt-sft-sumi/seed0", "sfts/language/lt-sft/sumi/seed0"]
    assert added("random") == ["sfts/task/random/sentiment/lt-sft-sumi/seed0", "sfts/language/random/suma/seed0"]
    assert added("pruned") == ["pruned/task/lt-sft/sentiment/lt-sft-sumi/seed0", "pruned/language/lt-sft/suma/seed0"]

    assert added("lora-arithmetic") == ["loras/task/sentiment/base/seed0", "loras/language/suma/seed0"]
    assert added("lora-on-source") == ["loras/task/sentiment/lora-sumi/seed0", "loras/language/suma/seed0"]
    assert [term["weight"] for term in recipe("lora-on-source")["terms"]] == [1.0, 0.5]
    source = (results / "loras/language/sumi/seed0.safetensors").read_bytes()
    starts = {start: lora.load(results / f"loras/task/sentiment/{start}/seed0.safetensors").metadata.start for start in
              ("base", "lora-sumi")}  # fmt: skip
    assert starts == {"base": [], "lora-sumi": [hashlib.sha256(source).hexdigest()]}

    drawn, chosen = vector("masks/language/random/suma/seed0"), vector("masks/language/lt-sft/suma/seed0")
    assert drawn.entries == chosen.entries
    assert any(not np.array_equal(drawn.positions[name], chosen.positions[name]) for name in chosen.positions)
    pruned, delta = vector("pruned/language/lt-sft/suma/seed0"), vector("deltas/language/suma/seed0")
    for name, positions in chosen.positions.items():
        assert np.array_equal(pruned.positions[name], positions)
        assert np.array_equal(pruned.values[name], delta.full(name).ravel()[positions])
    task = "task/lt-sft/sentiment/lt-sft-sumi/seed0"
    assert vector(f"pruned/{task}").head.keys() == vector(f"sfts/{task}").head.keys()

    assert [recipe(method)["conflicts"] for method in ("lt-sft", "ties", "drop-overlap")] == [
        "sum",
        "ties",
        "drop-overlap",
    ]
    plain, ties, disjoint = recipe("lt-sft"), recipe("ties"), recipe("drop-overlap")
    assert ties["entries"] == disjoint["entries"] == plain["entries"]
    assert disjoint["added"] == [n - plain["overlap"]["shared"] for n in plain["added"]]
    assert sum(disjoint["added"]) < sum(ties["added"]) < sum(plain["added"])

    assert added("ties", "nolo") == ["sfts/task/lt-sft/sentiment/lt-sft-sumi/seed0"]
    assert added("mlm-then-task", "nolo") == ["deltas/task/sentiment/base/seed0"]
    assert added("mad-x", "nolo") == ["adapters/task/sentiment/sumi/seed0"]
    assert added("mad-x", "suma") == [*added("mad-x", "nolo"), "adapters/language/suma/seed0"]
    assert not (results / "adapters/language/nolo").exists()
    assert len(added("source-kept", "nolo")) == 2
    noted = ("full-ft", "source-kept", "ties", "mad-x")
    notes = {(m, lang): recipe(m, lang)["note"] for m in noted for lang in ("suma", "nolo")}
    assert {key for key, note in notes.items() if note} == {("ties", "nolo"), ("mad-x", "nolo")}
    assert notes["ties", "nolo"] == notes["mad-x", "nolo"] == "no language vector"

    report = project.folder / "results/ablation"
    assert sorted(path.name for path in (report / "figures").iterdir()) == ["sweeps.pdf", "sweeps.png", "sweeps.svg"]
    scores = pd.read_csv(report / "tables/scores.csv", keep_default_na=False).set_index(["method", "language"])
    marked = {key for key, note in scores["note"].items() if note == "no language vector"}
    assert marked == {(m, "nolo") for m in ("lt-sft", "deft-x", *METHODS) if m != "source-kept"}
    lines = (report / "tables/sentiment.md").read_text().splitlines()
    cells = {title.strip(): row for title, *row in (line.strip("| ").split("|") for line in lines if "|" in line)}
    daggers = {method: ["\N{DAGGER}" in cell for cell in cells[method]] for method in ("mad-x", "source-kept")}
    assert [name.strip() for name in cells["method"][:2]] == ["suma", "nolo"]
    assert daggers["mad-x"][:2] == [False, True] and not any(daggers["source-kept"])
    assert "no language vector" in "".join(lines)
    trained = pd.read_csv(report / "tables/training.csv").set_index("vector")["trained_parameters"]
    costs = pd.read_csv(report / "tables/costs.csv").set_index(["method", "language"])
    modules = ["loras/task/sentiment/base/seed0", "loras/language/suma/seed0"]
    assert costs.loc[("lora-arithmetic", "suma"), "parameters"] == trained[modules].sum()
    assert costs.loc[("lora-on-source", "suma"), "seconds"] > 0
    assert Path(results / "tables/scores.csv").read_text().count("ties") == 0
