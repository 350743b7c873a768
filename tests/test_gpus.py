"""One of several GPUs for each process; the GPUs are files in a folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deftx import gpus

CODE = """
import os, sys
from pathlib import Path
from deftx import gpus
gpus.DEVICES = Path(sys.argv[1])
gpus.take(int(sys.argv[2]))
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder of devices, two of which are GPUs."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


@contextmanager
def holding(devices: Path, locks: Path, count: int = 1, **more: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process that has taken a GPU, and its name."""
    hidden = ("CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    locks.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", CODE, str(devices), str(count)],
        env=environment | {"TMPDIR": str(locks)} | more,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(None, ["0", "1"]), ("1", ["1"]), ("3, 2", ["3", "2"]), ("", []), ("-1", []), ("NoDevFiles", [])],
)
def test_visible_is_what_cuda_would_see(
    two: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None, expected: list[str]
) -> None:
    monkeypatch.setattr(gpus, "DEVICES", two)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus.visible() == expected


def test_without_a_gpu_none_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert gpus.visible() == []


def test_each_process_takes_a_gpu_of_its_own_and_a_third_one_waits(two: Path, tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    with holding(two, locks) as (first, one), holding(two, locks) as (_, other):
        assert {one, other} == {"0", "1"}
        waiting = subprocess.Popen(
            [sys.executable, "-c", CODE, str(two), "1"],
            env=os.environ | {"TMPDIR": str(locks)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None and waiting.stdout is not None
        assert waiting.stderr.readline() == "too many of 2 GPUs are taken; waits for 1\n"
        first.kill()
        assert waiting.stdout.readline().strip() == one
        waiting.communicate("")


def test_who_needs_several_takes_all_at_once(two: Path, tmp_path: Path) -> None:
    (two / "nvidia2").touch()
    locks = tmp_path / "locks"
    with holding(two, locks, count=2) as (_, both), holding(two, locks) as (_, one):
        assert both == "0,1" and one == "2"


def test_who_needs_more_than_there_are_takes_none(two: Path, tmp_path: Path) -> None:
    with holding(two, tmp_path / "locks", count=3) as (_, taken):
        assert taken == "None"


@pytest.mark.parametrize("name", ["SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "LOCAL_RANK"])
def test_gpus_that_others_give_out_are_left_to_them(two: Path, tmp_path: Path, name: str) -> None:
    with holding(two, tmp_path / "locks", **{name: "0"}) as (_, taken):
        assert taken == "None"


def test_a_single_gpu_is_not_locked(two: Path, tmp_path: Path) -> None:
    (two / "nvidia1").unlink()
    locks = tmp_path / "locks"
    with holding(two, locks) as (_, taken):
        assert taken == "None" and not list(locks.iterdir())
