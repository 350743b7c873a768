"""Runs that are killed: whatever was under way is made again, and the end is that of an undisturbed run."""

import os
import random
import shutil
import signal
import time

from tests.helpers.project import Project
from tests.workflow.test_runs import digests

KILLS = 10
SEED = 20261


def killed(project: Project, chance: random.Random) -> bool:
    """Start a run and kill all of it at a random moment after a random number of jobs; False if it ended before."""
    logs = project.results / "logs"
    shutil.rmtree(logs, ignore_errors=True)  # a job begins with its log
    jobs, seconds = chance.randrange(5), chance.uniform(0, 1)
    with project.started() as process:
        while sum(path.is_file() for path in logs.rglob("*.log")) < jobs:
            if process.poll() is not None:
                assert process.returncode == 0, process.communicate()[0]
                return False
            time.sleep(0.02)
        time.sleep(seconds)
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), output
    return not ended


def cleared(project: Project) -> None:
    """Only data, base and language deltas are left."""
    for name in ("deltas/task", "masks", "sfts", "composed", "predictions", "scores", "tables", "figures"):
        shutil.rmtree(project.results / name, ignore_errors=True)


def test_ten_kills_at_random_moments(finished: Project, project: Project) -> None:
    """From finished data, base and language deltas on; trainings save their state after every step."""
    saving = "CHECKPOINT_SECONDS = 120.0", "CHECKPOINT_SECONDS = -1.0"
    project.edit("deftx/training/loop.py", *saving)
    project.run("--touch")
    cleared(project)
    chance, kills = random.Random(SEED), 0
    while kills < KILLS:
        if killed(project, chance):
            kills += 1
            project.run("--unlock")  # Snakemake asks for it
        else:  # a fast machine has finished, and begins again
            cleared(project)
    project.run()
    assert digests(project) == digests(finished)
    assert not [path for path in project.results.rglob(".*") if path.suffix in (".part", ".checkpoint")]
    assert project.planned() == set()


def test_what_killed_processes_left_is_swept(project: Project) -> None:
    """Of this machine; another's may be at work on the same file."""
    from deftx.core.files import write_text

    place, machine = project.results / "new.txt", os.uname().nodename
    mine = [place.with_name(f".new.txt.{machine}.{number}.part") for number in (2**30, 2**30 + 1)]
    others = [
        place.with_name(name)
        for name in (
            f".new.txt.{machine}.{os.getppid()}.part",
            ".new.txt.elsewhere.1.part",
            f".a.new.txt.{machine}.7.part",
        )
    ]
    for path in (*mine, *others):
        path.write_text("half")
    write_text(place, "whole")
    assert not any(path.exists() for path in mine) and all(path.exists() for path in others)
