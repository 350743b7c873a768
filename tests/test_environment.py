"""The environment for conda: the locked versions, and the package of the clone; and what CI must find."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers import REPOSITORY

ENVS = REPOSITORY / "envs"


def test_conda_installs_what_is_locked() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text().splitlines()
    *_, last = yaml.safe_load((ENVS / "deftx.yaml").read_text())["dependencies"]
    assert last["pip"] == [line for line in lock if line and not line.startswith("#")]


def post_deploy(folder: Path, source: str) -> "subprocess.CompletedProcess[str]":
    """Run the script as in a new environment: one that sees the packages of this one, and stands first in the path."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", folder], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "outer.pth").write_text(f"{next(p for p in sys.path if p.endswith('site-packages'))}\n")
    environment = os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "DEFTX_SOURCE": source}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        ["bash", ENVS / "deftx.post-deploy.sh"], env=environment, text=True, capture_output=True, check=False
    )


def test_the_environment_gets_the_package_of_the_clone(tmp_path: Path) -> None:
    done = post_deploy(tmp_path / "env", str(REPOSITORY))
    assert done.returncode == 0, done.stderr
    help = subprocess.run([tmp_path / "env/bin/deftx", "--help"], text=True, capture_output=True, check=True)
    assert "deftx" in help.stdout


def test_without_a_clone_the_way_out_is_named(tmp_path: Path) -> None:
    done = post_deploy(tmp_path / "env", str(tmp_path))
    assert done.returncode == 1 and "set DEFTX_SOURCE" in done.stderr


@pytest.mark.parametrize(
    ("browser", "allowed", "runs"),
    [("", "", False), ("", "1", True), ("chromium", "", True), ("google-chrome", "", True)],
)
def test_ci_without_a_browser_fails_unless_that_is_allowed(
    tmp_path: Path, browser: str, allowed: str, runs: bool
) -> None:
    """Tests of pages are skipped without one, which nobody reads in a CI that is green."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "id", "timeout"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name in filter(None, ("make", browser)):
        (tools / name).write_text(f"#!/bin/sh\necho {name} $1\n")
        (tools / name).chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(REPOSITORY / ".ci/run", tmp_path / ".ci")
    environment = {"PATH": str(tools), "DEFTX_CI_NO_BROWSER": allowed}
    done = subprocess.run(["/bin/bash", tmp_path / ".ci/run"], env=environment, text=True, capture_output=True)
    assert done.stdout == "make lint\nmake test\nmake test\nmake test-slurm\n" * runs  # failures are tested apart
    assert (done.returncode == 0) is runs and ("set DEFTX_CI_NO_BROWSER=1" in done.stderr) is not runs
