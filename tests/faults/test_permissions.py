"""Folders that may not be written: results of somebody else, and caches that cannot keep anything.

For root there are no such folders; as root, processes run here without the right to pass over permissions.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import server
from tests.helpers.project import REPOSITORY, Project, clean_environment
from tests.workflow.test_runs import digests

DROP, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2  # linux/prctl.h, linux/capability.h
DEFTX = str(Path(sys.executable).with_name("deftx"))


def as_an_ordinary_user() -> None:
    """Before a program starts: what it may, it may by the permissions of files."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
            if libc.prctl(DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def ran(folder: Path, *command: Any, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command in a folder, with the folder's package."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=clean_environment() | own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=as_an_ordinary_user,
    )


@pytest.fixture(scope="session")
def ordinary() -> None:
    try:
        refused = ran(
            Path(), "sh", "-c", "d=$(mktemp -d); chmod 500 $d; touch $d/x; s=$?; rm -r $d; exit $s"
        ).returncode
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"needs an ordinary user, and rights cannot be given up ({error})")
    assert refused


@pytest.fixture
def closed(project: Project) -> Iterator[Project]:
    """The project, of whose results a score is gone, and in which nothing may be written."""
    for name in ("scores/lt-sft/sentiment/nolo", "predictions/lt-sft/sentiment/nolo", "logs"):
        shutil.rmtree(project.results / name)
    set_mode(project.folder / "results", 0o500)
    yield project
    set_mode(project.folder / "results", 0o700)


def set_mode(folder: Path, mode: int) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(mode)


@pytest.mark.usefixtures("ordinary")
def test_results_that_may_not_be_written(finished: Project, closed: Project) -> None:
    """A run says so before any job, a plan can be had all the same, and the run goes on once it may."""
    score = "results/pico/scores/lt-sft/sentiment/nolo/seed0.json"
    done = ran(closed.folder, "snakemake", score)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    said = "results/pico cannot be written: Permission denied. Get permission to write in"
    assert done.stdout.count(said) == 1
    assert ran(closed.folder, "snakemake", "--dry-run", score).returncode == 0
    set_mode(closed.folder / "results", 0o700)
    closed.run(score)
    assert digests(closed) == digests(finished)


@pytest.mark.usefixtures("ordinary")
def test_a_folder_where_snakemake_may_keep_no_records(project: Project) -> None:
    set_mode(project.folder / ".snakemake", 0o500)
    done = ran(project.folder, "snakemake")
    set_mode(project.folder / ".snakemake", 0o700)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert done.stdout.count(".snakemake cannot be written: Permission denied. Get permission") == 1


@pytest.mark.usefixtures("ordinary")
def test_a_command_where_it_may_not_write(project: Project) -> None:
    place = project.results / "composed"
    set_mode(place, 0o500)
    recipe = place / "lt-sft/sentiment/nolo/new.json"
    vector = project.results / "sfts/task/lt-sft/sentiment/base/seed0.safetensors"
    done = ran(project.folder, DEFTX, "compose", vector, "--base", project.results / "base.json", "--out", recipe)
    set_mode(place, 0o700)
    assert done.returncode == 1
    message = f"error: {recipe} cannot be written: Permission denied. Get permission to write in {recipe.parent}"
    assert done.stdout.startswith(message) and done.stdout.count("\n") == 1


@pytest.mark.usefixtures("ordinary")
def test_a_cache_of_the_hub_s_that_may_not_be_written(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o500)
    file = json.dumps({"hub": "somebody/rows", "commit": "a" * 40, "path": "train.csv"})
    with server.running() as hub:
        hub.commit = "a" * 40
        hub.files[f"/datasets/somebody/rows/resolve/{hub.commit}/train.csv"] = b"rows"
        closed = {"HF_HOME": str(cache), "HF_ENDPOINT": hub.address, "NO_PROXY": "127.0.0.1"}
        done = ran(REPOSITORY, DEFTX, "fetch", "--file", file, "--out", tmp_path / "out", **closed)
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    said = done.stdout.splitlines()[-1]
    assert said.startswith("error: somebody/rows/train.csv at commit aaaaaaaaaaaa cannot be had: its cache cannot be")
    assert str(cache) in said and said.endswith("or set HF_HOME to your own folder")


CACHES = "HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HF_HOME", "MPLCONFIGDIR"
AGAIN = "results/pico/sfts/language/lt-sft/nolo/seed0.safetensors", "results/pico/figures/scores.svg"


@pytest.mark.usefixtures("ordinary")
def test_caches_that_may_not_be_written(finished: Project, project: Project, tmp_path: Path) -> None:
    """The home folder with those of the libraries, and the folder of tokenised text: nothing is kept, all is made.

    Snakemake itself does not start without a cache of its own.
    """
    home, corpus = tmp_path / "home", project.results / "corpora/nolo"
    home.mkdir()
    for kept in corpus.glob(".*"):
        kept.unlink()
    for name in ("sfts/language/lt-sft/nolo", "figures"):
        shutil.rmtree(project.results / name)
    for folder in (home, corpus):
        folder.chmod(0o500)
    closed = dict.fromkeys(CACHES, str(home))
    done = ran(project.folder, "snakemake", *AGAIN, XDG_CACHE_HOME=str(tmp_path / "cache"), **closed)
    assert done.returncode == 0, done.stdout
    assert not list(home.iterdir()) and not list(corpus.glob(".*"))
    for folder in (home, corpus):
        folder.chmod(0o700)
    after = digests(finished)
    assert digests(project) == {n: d for n, d in after.items() if not n.startswith("corpora/nolo/.")}
