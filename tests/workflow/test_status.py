"""`deftx status`: what has run and what is running, from files alone; and the terminal of a real run."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from deftx.cli.app import app
from deftx.experiment.load import merged
from deftx.training import progress
from deftx.training.progress import Snapshot
from deftx.workflow import status
from tests.cli.test_startup import imported
from tests.experiment.test_config import EXPERIMENT
from tests.helpers import project as projects
from tests.helpers.project import Project
from tests.helpers.terminal import output_on_terminal
from tests.workflow.test_runs import digests

NOW = 1_800_000_000.0
ACE = "full/language/ace/seed0"
SPARSE = "sparse/task/lt-sft/sentiment/base/seed0"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty results of an experiment, which pico.yaml describes."""
    monkeypatch.chdir(tmp_path)
    Path("pico.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    return tmp_path / "results/pico"


def write(results: Path, job: str, **changes: Any) -> None:
    """Write the progress file of a training, half a minute ago."""
    stated: dict[str, Any] = {
        "stage": progress.TITLES[job.split("/")[0]],
        "steps": 400,
        "step": 100,
        "loss": 2.3125,
        "tokens_per_second": 1234.0,
        "seconds_left": 180.0,
        "evaluation": {"step": 80, "loss": 2.5},
        "time": NOW - 30,
        "host": "node",
        "pid": 1,
    }
    path = results / f"logs/{job}{progress.ENDING}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(Snapshot(job=job, **stated | changes))))


def touch(results: Path, *names: str) -> None:
    for name in names:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()


def rendered(finished: bool = False) -> list[str]:
    return status.render(status.status(merged([Path("pico.yaml")])), NOW, finished).splitlines()


def test_an_experiment_without_results(results: Path) -> None:
    done = CliRunner().invoke(app, ["status", "pico.yaml"])
    assert done.exit_code == 0
    assert done.stdout == "pico: nothing has run yet (results/pico holds no results)\n"
    content = json.loads(CliRunner().invoke(app, ["status", "pico.yaml", "--json"]).stdout)
    assert content == {"name": "pico", "folder": "results/pico", "stages": [], "trainings": []}


def test_stages_and_trainings(results: Path) -> None:
    touch(results, "corpora/ace/train.txt.gz", "corpora/ind/train.txt.gz", "base.json")
    touch(results, "deltas/language/ind/seed0.safetensors", "deltas/language/.seed0.safetensors.0.checkpoint")
    touch(results, "benchmarks/base.jsonl", "benchmarks/full/language/ind/seed0.jsonl")
    (results / "benchmarks/base.jsonl").write_text('{"s": 9999.0}\n{"s": 40.2}\n')
    (results / "benchmarks/full/language/ind/seed0.jsonl").write_text('{"s": "NA"}\n')
    write(results, ACE)
    write(results, "full/language/ind/seed0", state="finished", step=400, tokens_per_second=1000.0)
    write(results, SPARSE, state="stopped", step=12, evaluation={})
    assert rendered() == [
        "pico: results/pico",
        "",
        "stage                        results  running  stopped  time  tokens/s",
        "corpus                             2",
        "base model                         1                    40 s",
        "full fine-tuning (language)        1        1                    1,117",
        "sparse fine-tuning (task)          0                 1",
        "",
        "Running",
        "  [#####...............]  25 %  full fine-tuning ace seed 0: step 100/400, loss 2.31, "
        "loss 2.5 on the validation set at step 80, 1,234 tokens/s, 3 min left, written 30 s ago",
        "",
        "Stopped; rerun to resume",
        "  sparse fine-tuning lt-sft sentiment base seed 0: step 12/400, loss 2.31, 1,234 tokens/s, 30 s ago",
    ]
    assert rendered(finished=True)[-2:] == [
        "Finished",
        "  full fine-tuning ind seed 0: step 400/400, loss 2.31, loss 2.5 on the validation set at step 80, "
        "1,000 tokens/s, 30 s ago",
    ]


def test_a_training_that_no_longer_writes_is_silent(results: Path) -> None:
    write(results, ACE, time=NOW - 119)
    assert rendered()[-1].endswith("3 min left, written 2 min ago")
    write(results, ACE, time=NOW - 3700)
    assert rendered()[-1].endswith("3 min left, silent for 1 h 02 min")
    write(results, ACE, time=NOW + 3700)  # by a clock that runs ahead
    assert rendered()[-1].endswith("written 0 s ago")


def test_a_training_that_has_failed(results: Path) -> None:
    write(results, ACE, state="failed", loss=None, tokens_per_second=None, step=0)
    assert rendered()[-4:-2] == ["Failed; see the log", "  full fine-tuning ace seed 0: step 0/400, loss 2.5 on the "
                                 "validation set at step 80, 30 s ago"]  # fmt: skip
    assert rendered()[-1] == "No training is running."


def test_files_of_others_are_passed_over(results: Path) -> None:
    """Half a file, as of a copy that goes on, and one of a stage that there is not."""
    write(results, ACE)
    path = results / f"logs/{ACE}{progress.ENDING}"
    path.with_name(f"seed1{progress.ENDING}").write_bytes(path.read_bytes()[:50])
    path.with_name(f"seed2{progress.ENDING}").write_text(path.read_text().replace("full/language", "other"))
    current = status.status(merged([Path("pico.yaml")]))
    assert [training.job for training in current.trainings] == [ACE]
    assert [(stage.folder, stage.running) for stage in current.stages] == [("full/language", 1)]


def test_programs_get_the_same_as_json(results: Path) -> None:
    write(results, ACE)
    content = status.as_content(status.status(merged([Path("pico.yaml")])), NOW)
    printed = json.loads(CliRunner().invoke(app, ["status", "pico.yaml", "--json"]).stdout)
    [training], [same] = content["trainings"], printed["trainings"]
    assert training["seconds_since_written"] == 30.0 and same.keys() == training.keys()
    assert (training["job"], training["step"], training["seconds_left"]) == (ACE, 100, 180.0)
    assert printed["stages"] == content["stages"] and content["stages"][0]["tokens_per_second"] == 1234.0


def test_status_imports_nothing_heavy(results: Path) -> None:
    write(results, ACE)
    heavy = {"torch", "transformers", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "tqdm", "snakemake"}
    assert not imported(["status", "pico.yaml"], ["status", "pico.yaml", "--json"]) & heavy


def test_a_finished_run(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training has left its progress, with the last measures of its record, and every job its result."""
    monkeypatch.chdir(finished.folder)
    done = CliRunner().invoke(app, ["status", "config/quickstart.yaml", "--json"])
    content = json.loads(done.stdout)
    trainings = {training["job"]: training for training in content["trainings"]}
    folders = {"deltas": "full", "sfts": "sparse"}
    records = {
        f"{folders[folder]}/{path.relative_to(finished.results / folder).with_suffix('')}": json.loads(path.read_text())
        for folder in folders
        for path in (finished.results / folder).rglob("*.json")
    }
    assert records and trainings.keys() == records.keys() | {"base"}
    assert {(training["state"], training["step"]) for training in trainings.values()} == {("finished", 3)}
    for job, record in records.items():
        assert trainings[job]["evaluation"] == record["history"][-1]
    stages = {stage["folder"]: stage for stage in content["stages"]}
    logs = finished.results / "logs"
    for folder, stage in stages.items():
        jobs = [path for path in logs.rglob("*.log") if path.relative_to(logs).with_suffix("").is_relative_to(folder)]
        assert stage["results"] == len(jobs) > 0, folder
        assert stage["running"] == stage["stopped"] == 0
    assert sum(stage["seconds"] for stage in stages.values()) > 0
    assert {"base", "corpus", "full/task", "sparse/language", "compose", "evaluate", "tables"} <= stages.keys()


def test_a_run_on_a_terminal_shows_its_trainings(finished: Project, project: Project) -> None:
    """Jobs of Snakemake, whose standard error goes to their logs. How progress is shown makes no job run again."""
    project.edit("deftx/training/progress.py", "TERMINAL_SECONDS = 10.0, 60.0", "TERMINAL_SECONDS = 0.0, 0.0")
    assert project.planned() == set()
    target = "results/pico/deltas/language/nolo/seed0.safetensors"
    (project.folder / target).unlink()
    output = on_terminal(project, target, "--cores", "1")
    lines = [line for line in output.splitlines() if "full fine-tuning nolo seed 0: " in line]
    assert [line.partition(", loss ")[0] for line in lines] == [
        f"full fine-tuning nolo seed 0: step {step}/3" for step in (1, 2, 3)
    ]
    (project.folder / target).unlink()
    assert "step 1/3" not in on_terminal(project, target, "--cores", "1", DEFTX_TERMINAL="0")
    assert digests(project) == digests(finished)


def on_terminal(project: Project, *arguments: str, **environment: str) -> str:
    """What a terminal shows of a run that succeeds."""
    path = [str(project.commands), str(Path(sys.executable).parent), os.environ["PATH"]]
    own = {"PATH": os.pathsep.join(path), "PYTHONPATH": str(project.folder)} | environment
    environment = projects.clean_environment() | own
    return output_on_terminal(["snakemake", *arguments], cwd=project.folder, env=environment)
