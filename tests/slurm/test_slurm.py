"""The workflow on a real SLURM of one node: `make test-slurm` installs and runs it; where there is none, skipped."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import project as projects
from tests.helpers.project import Project
from tests.slurm import cluster

HERE = Path(__file__).parent
PROFILE = ("--profile", "profiles/slurm", "--latency-wait", "5")
STATUS_EVERY = ("--slurm-init-seconds-before-status-checks",)
LACKING = [
    *cluster.missing(),
    *([] if importlib.util.find_spec("snakemake_executor_plugin_slurm") else ["snakemake-executor-plugin-slurm"]),
]
if LACKING or "PYTEST_XDIST_WORKER" in os.environ:
    why = f"not installed: {', '.join(LACKING)}" if LACKING else "one SLURM cannot serve several processes of pytest"
    pytest.skip(f"tests on SLURM are run by `make test-slurm` ({why})", allow_module_level=True)
DELTA = "deltas/language/suma/seed0.safetensors"
WANTED = (f"results/pico/{DELTA}",)


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SLURM of one node, for the time of the tests; an error where it cannot be, since it was asked for."""
    folder = tmp_path_factory.mktemp("slurm")
    try:
        cluster.start(folder)
        yield folder
    finally:
        cluster.stop(folder)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a `deftx` that starts at once."""
    folder = tmp_path_factory.mktemp("commands")
    with projects.serving(folder):
        yield folder


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, commands: Path) -> Project:
    """A language's delta, made without SLURM. Not to be changed."""
    project = projects.create(tmp_path_factory.mktemp("local") / "project", commands)
    project.configure(small)
    project.run(*WANTED)
    return project


def small(content: dict[str, Any]) -> None:
    """One target and two methods that differ in their selection."""
    content["tasks"]["sentiment"]["targets"] = ["suma"]
    del content["languages"]["nolo"], content["datasets"]["trial"]["files"]["nolo"]
    content["datasets"]["trial"]["languages"] = ["suma"]
    content["methods"] = {name: content["methods"][name] for name in ("lt-sft", "deft-x")}


Run = tuple[Project, "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def runs(local: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Three runs at once, since most of the time each waits: for its queue, for a time limit, for Snakemake to look."""
    folder = tmp_path_factory.mktemp("runs")
    begun = {"limited": limited(local, folder), "hungry": hungry(local, folder), "whole": whole(local, folder)}
    yield begun
    for _, process in begun.values():
        if process.poll() is None:
            projects.kill_when(process, lambda: True)


def whole(local: Project, folder: Path) -> Run:
    """The experiment to its tables."""
    project = projects.create(folder / "whole", local.commands)
    project.configure(small)
    return project, project.started("tables", *PROFILE, *STATUS_EVERY, "8")


def limited(local: Project, folder: Path) -> Run:
    """A training that takes longer than it may in its first attempt."""
    _, there = long_training(local, folder)
    limits = ("full_language:runtime=attempt*attempt", "full_language:slurm_extra='--signal=TERM@1'")
    return there, there.started(*WANTED, *PROFILE, *STATUS_EVERY, "15", "--set-resources", *limits)


def hungry(local: Project, folder: Path) -> Run:
    """A training that needs more memory than it gets in its first attempt."""
    project = replace(local.copy(folder / "hungry"), commands=None)
    (project.results / DELTA).unlink()
    limits = ("full_language:mem_mb=attempt*attempt*300",)
    return project, project.started(*WANTED, *PROFILE, *STATUS_EVERY, "10", "--set-resources", *limits)


def end_of(process: "subprocess.Popen[str]") -> str:
    """What a run has printed when it is done, with success."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def test_a_training_that_meets_its_time_limit_goes_on_in_the_next_attempt(runs: dict[str, Run]) -> None:
    there, process = runs["limited"]
    wait(lambda: "Stopped by SIGTERM at step" in log_of(there), process)
    (there.folder / "slow").unlink()
    output = end_of(process)
    assert "checkpoint saved" in output and "Trying to restart job" in output
    assert "Resuming from step" in log_of(there)
    assert delta(there) == delta(replace(there, folder=there.folder.with_name("here")))


def test_a_job_that_needs_more_memory_gets_it(local: Project, runs: dict[str, Run]) -> None:
    project, process = runs["hungry"]
    assert end_of(process).count("Trying to restart job") == 1
    logs = [path.read_text() for path in (project.folder / ".snakemake/slurm_logs").rglob("*.log")]
    assert any("exceeded memory limit" in log for log in logs)  # kept, as the job failed
    assert delta(project) == delta(local)


def test_a_cluster_gives_the_bytes_of_a_local_run(local: Project, runs: dict[str, Run], tmp_path: Path) -> None:
    local = local.copy(tmp_path / "local")
    local.run("tables")
    project, process = runs["whole"]
    end_of(process)
    assert files(project.results) == files(local.results)
    mine = f"WorkDir={project.folder} "
    jobs = [line for line in scontrol("show", "jobs", "--oneliner").splitlines() if mine in line]
    asked = {rule: {"gres:gpu:1" in line for line in jobs if f"Comment=rule_{rule}_" in line}
             for rule in ("full_language", "sparse_task", "mask_language", "corpus")}  # fmt: skip
    assert asked == {"full_language": {True}, "sparse_task": {True}, "mask_language": {True}, "corpus": {False}}
    (scores,) = [line for line in jobs if "Comment=rule_score_" in line]  # one job, of two methods
    assert all(part in scores for part in ("gres:gpu:1", "NumCPUs=1", "MinMemoryNode=2000M", "TimeLimit=00:40:00"))


def test_nothing_but_unsaved_steps_is_lost(local: Project, tmp_path: Path, slurm: Path) -> None:
    here, there = long_training(local, tmp_path)
    first = there.started(*WANTED, *PROFILE, *STATUS_EVERY, "3")
    wait(lambda: "begins step 3" in log_of(there), first)
    scancel(running())  # by the user, or the cluster's administrator
    wait(lambda: "Resuming from step" in log_of(there), first)
    cluster.stop_controller(slurm)
    time.sleep(3)
    at = steps_done(there)
    cluster.start_controller(slurm)
    wait(lambda: steps_done(there) > at + 2, first)
    projects.kill_when(first, lambda: True)
    (orphan,) = running()  # SLURM knows nothing of Snakemake
    scancel([orphan])
    done = last_step(there)
    (there.folder / "slow").unlink()
    there.run("--unlock")
    there.run(*WANTED, *PROFILE, *STATUS_EVERY, "8")
    assert f"Resuming from step {done + 1}/" in log_of(there)
    assert delta(there) == delta(here)


def test_another_slurm_is_left_alone(slurm: Path, tmp_path: Path) -> None:
    ours = (cluster.ETC / "slurm.conf").read_text()
    (cluster.ETC / "slurm.conf").write_text("ClusterName=theirs\n")
    try:
        with pytest.raises(cluster.NotStartedError, match="of another SLURM, and is left alone"):
            cluster.start(tmp_path)
        assert (cluster.ETC / "slurm.conf").read_text() == "ClusterName=theirs\n"
    finally:
        (cluster.ETC / "slurm.conf").write_text(ours)


def long_training(local: Project, folder: Path) -> tuple[Project, Project]:
    """A project in which a language is trained for long, and one in which it will be, slowly."""

    def longer(content: dict[str, Any]) -> None:
        content["recipe"]["language"]["full"] = content["recipe"]["language"]["full"] | {"max_steps": 200}

    here = local.copy(folder / "here")
    here.configure(longer)
    there = here.copy(folder / "there")
    here.run(*WANTED)
    (there.folder / "slow").touch()
    commands = folder / "commands"
    commands.mkdir()
    (commands / "deftx").write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(HERE / "slow.py")])} "$@"\n')
    (commands / "deftx").chmod(0o755)
    return here, replace(there, commands=commands)


def files(folder: Path) -> dict[str, bytes]:
    """All results that must not depend on where they were made: no logs, and no times of jobs."""
    kept = ("deltas", "masks", "sfts", "composed", "scores", "predictions", "tables")
    paths = sorted(path for part in kept for path in (folder / part).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def log_of(project: Project) -> str:
    log = project.results / "logs/full/language/suma/seed0.log"
    return log.read_text() if log.is_file() else ""


def steps_done(project: Project) -> int:
    return log_of(project).count("begins step")


def last_step(project: Project) -> int:
    """The step that was done last, counted from 0."""
    return int(re.findall(r"begins step (\d+)", log_of(project))[-1])


def delta(project: Project) -> bytes:
    return (project.results / DELTA).read_bytes()


def running() -> list[str]:
    """Jobs that wait or run."""
    return subprocess.check_output(["squeue", "-h", "-o", "%i"], text=True).split()


def scancel(jobs: list[str]) -> None:
    """Cancel jobs, and wait for their end."""
    subprocess.run(["scancel", *jobs], check=True)
    wait(lambda: not set(jobs) & set(running()))


def scontrol(*arguments: str) -> str:
    return subprocess.check_output(["scontrol", *arguments], text=True)


def wait(ready: Callable[[], bool], process: "subprocess.Popen[str] | None" = None, seconds: float = 300) -> None:
    """Wait until something is so, while a process runs."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process and process.poll() is not None:
            pytest.fail(f"ended too early: {process.communicate()[0]}")
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
