"""Faults start from the finished pico run of the workflow's tests, from a hub, and from a disk that is soon full."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.test_hub import hub
from tests.workflow.conftest import commands, finished, project

__all__ = ["commands", "finished", "hub", "project"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB of its own, as the folder `disk`."""
    place = tmp_path / "disk"
    place.mkdir()
    mount(place)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def mount(place: Path) -> None:
    """Mount a file system of 8 MB; where that cannot be done, skip: for one reason, which pytest says once."""
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "deftx-tests", str(place)]
    try:
        refused = subprocess.run(command, capture_output=True).returncode
    except FileNotFoundError:
        refused = 1
    if refused:
        pytest.skip("needs a small file system, and mounting one is refused")
