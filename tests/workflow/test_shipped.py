"""The shipped experiments are planned whole without a network and without a model."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY
from tests.helpers import project as projects
from tests.helpers.project import Project

CONFIG = REPOSITORY / "config"
NOWHERE = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
"""Whoever tries the network fails."""
PLANNED = """
import sys
from deftx.cli.app import app

app(["plan", *sys.argv[1:]], standalone_mode=False)
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
"""`deftx plan`, leaving the names of the modules it has imported on stderr."""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the shipped configurations."""
    made = projects.create(tmp_path_factory.mktemp("shipped") / "project")
    shutil.copytree(CONFIG, made.folder / "config", dirs_exist_ok=True)
    return made


@pytest.fixture(scope="module")
def planned(shipped: Project) -> "subprocess.CompletedProcess[str]":
    """`deftx plan` of the paper."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": os.pathsep.join([str(shipped.folder), *sys.path])}
    return subprocess.run(
        [sys.executable, "-c", PLANNED, "config/paper.yaml", "--gpu", "a100"],
        cwd=shipped.folder,
        env=projects.clean_environment() | NOWHERE | own,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def dry_run(shipped: Project) -> list[str]:
    """Lines of the paper's dry run, with every command."""
    return shipped.run("-n", "-p", "--configfile", "config/paper.yaml", **NOWHERE).splitlines()


@pytest.mark.parametrize(
    "configs", [["paper-large.yaml"], ["paper.yaml", "overlays/paper-ablations.yaml"]], ids=["large", "ablations"]
)
def test_its_relatives_are_planned_too(shipped: Project, configs: list[str]) -> None:
    output = shipped.run("--cores", "1", "-n", "--quiet", "rules", "--configfile",
                         *(f"config/{name}" for name in configs), **NOWHERE)  # fmt: skip
    counts = dict(line.split() for line in output.splitlines() if len(line.split()) == 2 and line.split()[1].isdigit())
    assert int(counts["total"]) > 1600 and counts["tables"] == "1"


def test_the_plan_of_the_paper(dry_run: list[str], planned: "subprocess.CompletedProcess[str]") -> None:
    """Its jobs are those of the dry run; every training has the settings of its task; nothing heavy is imported."""
    assert planned.returncode == 0, planned.stderr
    stats = [line.split() for line in dry_run[dry_run.index("Job stats:") + 3 :]]
    counts = {rule: int(count) for rule, count in stats[: stats.index([])]}
    for rule, count in counts.items():
        expected = f"# paper: {count:,} jobs to run" if rule == "total" else f"{count:>7,}  {rule}"
        assert expected in planned.stdout.splitlines()
    assert "nyu-mll/multi_nli (hub): 2 files, 219 MB" in planned.stdout
    disk, hours = (next(x for x in planned.stdout.splitlines() if x.startswith(f"## {y}")).split(": ")[1] for y in
                   ("Disk at the peak", "Hours on NVIDIA A100, one job at a time"))  # fmt: skip
    readme = " ".join((CONFIG.parent / "README.md").read_text().split())
    assert f"{counts['total']:,} jobs, " in readme and f"{disk} of disk, {hours} hours on one A100" in readme
    assert not set(planned.stderr.split()) & {"torch", "transformers", "datasets", "huggingface_hub", "pandas"}

    trainings = [line for line in dry_run if line.startswith("Shell command: deftx train")]
    commands = [line for line in trainings if '"type": "dense"' in line or '"type": "sft"' in line]
    of_task = {name: [c for c in commands if f"/{name}/" in c.split("--out")[1]] for name in ("sentiment", "nli")}
    # From the base and three source vectors each: a full fine-tuning and a sparse one, with three seeds; and a full one
    # on top of the dense delta of each scored language.
    assert {name: len(some) for name, some in of_task.items()} == {"sentiment": 24 + 3 * 6, "nli": 24 + 3 * 10}
    assert all('"batch_size": 32' in command for command in of_task["nli"])
    assert all('"batch_size": 8' in command for command in of_task["sentiment"])
    # Per language and seed: a full fine-tuning, and a sparse one for each selection.
    assert len(commands) - 96 == 17 * 3 * (1 + 3)
    # LoRA of every scored language, and of each task from the base.
    of_lora = [line for line in trainings if '"type": "lora"' in line]
    assert len(of_lora) == 3 * (6 + 10) + 3 * 2
    assert not [line for line in of_lora if "--start " in line]


def test_half_of_americasnli(shipped: Project) -> None:
    names = ("americasnli-cpu.yaml", "overlays/americasnli-cpu-first.yaml")
    output = shipped.run("-n", "-p", "--configfile", *(f"config/{name}" for name in names), **NOWHERE)
    scored = {line.split("predictions/")[1].split("/")[2] for line in output.splitlines() if "deftx predict" in line}
    assert scored == {"aym", "bzd", "cni", "gn", "hch"}


def test_what_is_fetched_is_told_apart(dry_run: list[str]) -> None:
    """By repository and path: names of files repeat."""
    fetched = [line.partition(": fetch ")[2] for line in dry_run if ": fetch " in line]
    assert "IndoNLP/nusax/datasets/sentiment/madurese/valid.csv" in fetched
    assert "wikimedia/wikipedia/20231101.mad/train-00000-of-00001.parquet" in fetched
    assert len(set(fetched)) == len(fetched) > 40


def test_the_nearest_trimming_trains_no_language_anew(shipped: Project, dry_run: list[str]) -> None:
    """Its commands about languages are the paper's, word for word; its task is another, and the only one."""
    names = ("paper.yaml", "overlays/paper-nearest.yaml")
    output = shipped.run("-n", "-p", "--configfile", *(f"config/{name}" for name in names), **NOWHERE)
    verbs = ("train", "mask")
    made = {line for line in output.splitlines() if line.startswith(tuple(f"Shell command: deftx {v}" for v in verbs))}
    of_tasks = {line for line in made if "/task/" in line.split("--out ")[1].split()[0]}
    assert all("/smsa-nearest/" in line.split("--out ")[1].split()[0] for line in of_tasks)
    of_languages = made - of_tasks
    # Per language and seed: full, LoRA, adapter, and for each selection a mask and a sparse fine-tuning.
    assert len(of_languages) == 6 * 3 * (3 + 3 * 2)
    assert of_languages <= set(dry_run)
