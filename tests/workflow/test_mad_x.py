"""MAD-X beside the other methods: what it plans, what it leaves, and that it retrains nothing of theirs."""

import hashlib
import json
from pathlib import Path
from typing import Any

from deftx.modules import adapters
from tests.helpers.project import SHORT, Project, each
from tests.workflow.test_reruns import REPORT, Config
from tests.workflow.test_runs import digests

ADAPTERS = each("adapters/language/{sumi,suma,nolo}/seed0", "adapters/task/sentiment/sumi/seed0")
SCORED = each("{composed,scores}/mad-x/sentiment/{suma,nolo}/seed0")


def add_mad_x(config: Config, **method: Any) -> None:
    fast = SHORT | {"learning_rate": 0.05}
    config["recipe"]["adapters"] = {
        "language": {"phase": fast},
        "task": {"reduction": 4, "leave_out_last": False, "phase": fast},
    }
    config["methods"]["mad-x"] = {"task": "adapter", "language": "adapter"} | method


def test_mad_x_end_to_end(project: Project) -> None:
    """Planned, run, and unplanned again; both targets take their own language adapter."""
    before = digests(project)
    project.configure(add_mad_x)
    assert project.planned() == ADAPTERS | SCORED | REPORT
    project.run()
    assert project.planned() == set()
    after = digests(project)
    assert {name: after[name] for name in before if "tables/" not in name} == {
        name: digest for name, digest in before.items() if "tables/" not in name
    }

    folder = project.results / "adapters"
    source, task = folder / "language/sumi/seed0.safetensors", folder / "task/sentiment/sumi/seed0.safetensors"
    assert adapters.load(task).metadata.start == [hashlib.sha256(source.read_bytes()).hexdigest()]
    scores = {}
    for lang in ("suma", "nolo"):
        recipe = project.results / f"composed/mad-x/sentiment/{lang}/seed0.json"
        terms = json.loads(recipe.read_text())["terms"]
        target = folder / f"language/{lang}/seed0.safetensors"
        assert [(recipe.parent / term["path"]).resolve() for term in terms] == [task, target]
        scores[lang] = json.loads((project.results / f"scores/mad-x/sentiment/{lang}/seed0.json").read_text())
        assert scores[lang]["entries"] == [adapters.load(path).entries for path in (task, target)]
        other = json.loads((project.results / f"scores/lt-sft/sentiment/{lang}/seed0.json").read_text())
        assert scores[lang].keys() == other.keys() and scores[lang]["dataset"] == other["dataset"]
    table = (project.results / "tables/sentiment.md").read_text()
    assert "| mad-x | " in table
    vectors = [line.split(",")[0] for line in (project.results / "tables/training.csv").read_text().splitlines()]
    assert set(vectors) >= ADAPTERS

    # Code of adapters is theirs alone: nothing else is trained or scored again.
    project.edit("deftx/modules/adapters.py", "DEVIATION = 0.02", "DEVIATION = 0.01")
    assert project.planned() == ADAPTERS | SCORED | REPORT
    project.edit("deftx/modules/adapters.py", "DEVIATION = 0.01", "DEVIATION = 0.02")

    # What only encoders that move go by changes no adapter; sizes of task adapters do.
    def change(config: Config) -> None:
        config["recipe"]["task"]["l1"] = config["recipe"]["language"]["l1"] = 0.5
        config["recipe"]["adapters"]["task"]["reduction"] = 8

    project.configure(change)
    trained = {name for name in project.planned() if Path(name).parts[0] == "adapters"}
    assert trained == {"adapters/task/sentiment/sumi/seed0"}


def test_a_task_adapter_without_language_adapters(project: Project) -> None:
    project.configure(lambda config: add_mad_x(config, language="none"))
    assert project.planned() == {"adapters/task/sentiment/base/seed0"} | SCORED | REPORT
    project.configure(lambda config: config["methods"]["mad-x"].update(source_adaptation=True))
    of_source = each("adapters/language/sumi/seed0", "adapters/task/sentiment/sumi/seed0")
    assert project.planned() == of_source | SCORED | REPORT


def test_code_of_the_adapters_edited(project: Project) -> None:
    """Code of a type of module is the business of the methods that use it alone."""
    project.edit("deftx/modules/adapters.py", "DEVIATION = 0.02", "DEVIATION = 0.01")
    project.edit("deftx/finetuning/adapters.py", "job.start is None", "not job.start")
    assert project.planned() == set()


def test_a_new_type_of_module_reruns_nothing(project: Project) -> None:
    project.edit(
        "deftx/modules/registry.py",
        "_ENTRIES = (\n",
        '_ENTRIES = (\n    ModuleType("toy", "-", "toys", "toy", "toy", "deftx.modules.toy", "deftx.masks.prune"),\n',
    )
    assert project.planned() == set()
