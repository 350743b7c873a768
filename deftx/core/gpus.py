"""GPUs of this machine: how many there are, and free ones for each process, by file locks.

Snakemake counts GPUs but gives out no numbers, and PyTorch takes the first that is visible. So that jobs that run side
by side do not all compute on that one, each takes one that no other process of `deftx` holds. So does a second run or a
command by hand, which waits where there is but one GPU. A scheduler that gives jobs GPUs of their own (SLURM's gres) is
left to do so.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

DEVICES = Path("/dev")
_held: list[IO[str]] = []
"""Open files keep their locks until the process ends."""


def visible() -> list[str]:
    """Names of the GPUs a process may use, as CUDA_VISIBLE_DEVICES names them; found without loading any library."""
    devices = [path for path in DEVICES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not devices:
        return [str(number) for number in range(len(devices))]
    names = [name.strip() for name in chosen.split(",")]
    return [name for name in names if name not in ("", "-1", "NoDevFiles")]


def listed() -> list[tuple[str, str]]:
    """Model and UUID of each GPU of this machine, by number, as nvidia-smi lists them; without it none are known.

    Its order is CUDA's where all are of one model, or CUDA_DEVICE_ORDER is PCI_BUS_ID.
    """
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU \d+: (.+) \(UUID: (\S+)\)$", said, re.M)


def models() -> list[str]:
    """Models of the GPUs of this machine, if any is visible."""
    return sorted({model for model, _ in listed()}) if visible() else []


def take(count: int = 1) -> None:
    """Let this process see so many GPUs alone, which no other process of this user holds; wait until there are.

    Nothing is done where none are visible, or fewer than `count`, where a scheduler has given the job its own, or in
    one of several processes that train together (each has its own). To be called before CUDA is used.
    """
    names = visible()
    given = any(name in os.environ for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "LOCAL_RANK"))
    if len(names) < max(1, count) or given or _held:
        return
    locks = _locks(names, [uuid for _, uuid in listed()])
    folder = Path(tempfile.gettempdir(), f"deftx-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    told = False
    while len(taken := _lock_some(locks, count, folder)) < count:
        if not told:
            several = f"too many of {len(names)} GPUs are taken; waits for {count}"
            said = f"GPU {names[0]} is taken; waits for it" if len(names) == 1 else several
            print(said, file=sys.stderr, flush=True)
            told = True
        time.sleep(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    print(f"computes on GPU {', '.join(taken)}", file=sys.stderr, flush=True)


def _locks(names: list[str], uuids: list[str]) -> dict[str, str]:
    """The lock of each visible GPU: its UUID, where it is known, be it visible by number or by (short) UUID."""
    locks = {}
    for name in names:
        numbered = uuids[int(name) : int(name) + 1] if name.isdecimal() else []
        locks[name] = next(iter(numbered or [uuid for uuid in uuids if uuid.startswith(name)]), name)
    return locks


def _lock_some(locks: dict[str, str], count: int, folder: Path) -> list[str]:
    """Lock so many of these GPUs, or none: who held a few and waited for more might wait for another who does."""
    taken: list[str] = []
    for name, lock in locks.items():
        if len(taken) < count and _lock(folder / quote(lock, safe="")):
            taken.append(name)
    if len(taken) < count:
        while _held:
            _held.pop().close()
        return []
    return taken


def _lock(path: Path) -> bool:
    """Lock a file for as long as this process lives, unless another one has."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held.append(file)
    return True
