"""One of several GPUs for each process; the GPUs are files in a folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deftx.core import gpus

CODE = """
import logging, os, sys
from pathlib import Path
from deftx.core import gpus
logging.basicConfig(format="%(message)s", level=logging.INFO)
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


def alone() -> dict[str, str]:
    """The environment without what somebody says of GPUs."""
    hidden = ("CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")
    return {name: value for name, value in os.environ.items() if name not in hidden}


@pytest.fixture
def list_devices(tmp_path: Path) -> dict[str, str]:
    """An environment in which nvidia-smi lists two GPUs."""
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text(
        '#!/bin/sh\n[ "$1" = -L ] || exit 1\necho "GPU 0: NVIDIA A100 (40 GB) (UUID: GPU-aaaa-1)"\n'
        'echo "  MIG 1g.5gb     Device  0: (UUID: MIG-cccc-3)"\necho "GPU 1: NVIDIA H200 (UUID: GPU-bbbb-2)"\n'
    )
    command.chmod(0o755)
    return {"PATH": str(command.parent)}


@contextmanager
def taking(devices: Path, locks: Path, count: int, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that takes GPUs, for as long as it is looked at."""
    with subprocess.Popen(
        [sys.executable, "-c", CODE, str(devices), str(count)],
        env=alone() | {"TMPDIR": str(locks)} | more,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def holding(devices: Path, locks: Path, count: int = 1, **more: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process that has taken a GPU, and its name."""
    locks.mkdir(exist_ok=True)
    with taking(devices, locks, count, **more) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


@contextmanager
def waiting(devices: Path, locks: Path, **more: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process that has to wait for a GPU, and what it says of it."""
    with taking(devices, locks, 1, **more) as process:
        assert process.stderr is not None
        yield process, process.stderr.readline()


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
        with waiting(two, locks) as (third, said):
            assert said == "Too many of 2 GPUs are in use; waiting for 1\n"
            first.kill()
            assert third.communicate()[0].strip() == one


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


def test_who_finds_the_only_gpu_taken_says_so_once_and_waits(two: Path, tmp_path: Path) -> None:
    (two / "nvidia1").unlink()
    locks = tmp_path / "locks"
    with holding(two, locks) as (first, taken), waiting(two, locks) as (second, said):
        assert taken == "0" and said == "GPU 0 is in use; waiting for it\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1.5)
        first.kill()
        assert second.communicate() == ("0\n", "Using GPU 0\n")


def test_no_gpu_no_lock(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    with holding(tmp_path, locks) as (_, taken):
        assert taken == "None" and not list(locks.iterdir())


@pytest.mark.parametrize("restricted", ["0", "GPU-aaaa-1", "GPU-aa"])
def test_a_gpu_has_one_lock_by_whatever_name_it_is_visible(
    two: Path, tmp_path: Path, list_devices: dict[str, str], restricted: str
) -> None:
    locks = tmp_path / "locks"
    with holding(two, locks, CUDA_VISIBLE_DEVICES=restricted, **list_devices) as (_, mine):
        with holding(two, locks, **list_devices) as (_, other):
            assert (mine, other) == (restricted, "1")
        with waiting(two, locks, CUDA_VISIBLE_DEVICES="0", **list_devices) as (_, said):
            assert said == "GPU 0 is in use; waiting for it\n"


def test_without_nvidia_smi_its_number_is_a_gpu_s_name(two: Path, tmp_path: Path) -> None:
    locks, empty = tmp_path / "locks", tmp_path / "empty"
    empty.mkdir()
    restricted = {"CUDA_VISIBLE_DEVICES": "0", "PATH": str(empty)}
    with holding(two, locks, **restricted) as (_, one), holding(two, locks, PATH=str(empty)) as (_, other):
        assert (one, other) == ("0", "1")


def test_gpus_are_listed_with_their_models(monkeypatch: pytest.MonkeyPatch, list_devices: dict[str, str]) -> None:
    """Parts of a GPU that share it (MIG) stand below it, and are none of their own."""
    monkeypatch.setenv("PATH", list_devices["PATH"])
    assert gpus.list_devices() == [("NVIDIA A100 (40 GB)", "GPU-aaaa-1"), ("NVIDIA H200", "GPU-bbbb-2")]
    monkeypatch.setenv("PATH", "")
    assert gpus.list_devices() == []
