"""One finished pico run, which every test copies and changes."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import project as projects
from tests.helpers.project import Project


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a `deftx` and a `snakemake` that start at once, served as long as the tests live."""
    folder = tmp_path_factory.mktemp("commands")
    with projects.serving(folder, "deftx", "snakemake"):
        yield folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, commands: Path) -> Project:
    """The project after its run; processes of pytest-xdist share it. Not to be changed: take `project`."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    done = shared / "finished.done"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = shared / "finished"
        if not done.exists():
            projects.create(folder, commands).run()
            done.touch()
    return Project(folder, commands)


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to be changed."""
    return finished.copy(tmp_path / "project")
