"""The environment for conda: the locked versions, and the package of the clone."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
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
