"""Faults start from the finished pico run of the workflow's tests, from a hub, and from a disk that is soon full."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_hub import hub
from workflow.conftest import commands, finished, project

__all__ = ["commands", "finished", "hub", "project"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB of its own, as the folder `disk`."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "deftx-tests", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs a small file system, and there is no mount")
    if mounted.returncode:
        pytest.skip(f"needs a small file system, and mounting one is refused ({mounted.stderr.strip()})")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
