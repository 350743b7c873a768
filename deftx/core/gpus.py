"""GPUs of this machine: how many there are, and free ones for each process, by file locks.

Snakemake counts GPUs but gives out no numbers, and PyTorch takes the first that is visible. So that jobs that run side
by side do not all compute on that one, each takes one that no other process of `deftx` holds. So does a second run or a
command by hand, which waits where there is but one GPU. A scheduler that gives jobs GPUs of their own (SLURM's gres) is
left to do so.
"""

import logging
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger(__name__)
DEVICES = Path("/dev")
_held: list["BaseFileLock"] = []
"""Locks are held until the process ends, however it ends."""


def visible() -> list[str]:
    """Return the names of the GPUs a process may use, as CUDA_VISIBLE_DEVICES has them. No library is loaded."""
    devices = [path for path in DEVICES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not devices:
        return [str(number) for number in range(len(devices))]
    names = [name.strip() for name in chosen.split(",")]
    return [name for name in names if name not in ("", "-1", "NoDevFiles")]


def listed() -> list[tuple[str, str]]:
    """Return model and UUID of each GPU of this machine, by number, as nvidia-smi lists them; without it, nothing.

    Its order is CUDA's where all are of one model, or CUDA_DEVICE_ORDER is PCI_BUS_ID.
    """
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU \d+: (.+) \(UUID: (\S+)\)$", listing, re.M)


def models() -> list[str]:
    """Return the models of the GPUs of this machine, if any is visible."""
    return sorted({model for model, _ in listed()}) if visible() else []


def take(count: int = 1) -> None:
    """Let this process see only `count` GPUs, which no other process of this user holds; wait until they are free.

    Nothing is done where none are visible, or fewer than `count`, where a scheduler has given the job its own, or in
    one of several processes that train together (each has its own). Call it before CUDA is used.
    """
    names = visible()
    given = any(name in os.environ for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "LOCAL_RANK"))
    if len(names) < max(1, count) or given or _held:
        return
    locks = _locks(names, [uuid for _, uuid in listed()])
    folder = Path(tempfile.gettempdir(), f"deftx-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    is_waiting = False
    while len(taken := _lock_all(locks, count, folder)) < count:
        if not is_waiting:
            several = f"Too many of {len(names)} GPUs are taken; waiting for {count}"
            log.info(f"GPU {names[0]} is taken; waiting for it" if len(names) == 1 else several)
            is_waiting = True
        time.sleep(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    log.info(f"Using GPU {', '.join(taken)}")


def release() -> None:
    """Release the GPUs that this process holds, before it ends."""
    while _held:
        _held.pop().release()


def _locks(names: list[str], uuids: list[str]) -> dict[str, str]:
    """Return the lock of each visible GPU: its UUID, where it is known, be it visible by number or by (short) UUID."""
    locks = {}
    for name in names:
        numbered = uuids[int(name) : int(name) + 1] if name.isdecimal() else []
        locks[name] = next(iter(numbered or [uuid for uuid in uuids if uuid.startswith(name)]), name)
    return locks


def _lock_all(locks: dict[str, str], count: int, folder: Path) -> list[str]:
    """Lock `count` of these GPUs, or none: two processes that hold a few each could wait for each other for ever."""
    taken: list[str] = []
    for name, lock in locks.items():
        if len(taken) < count and _lock(folder / quote(lock, safe="")):
            taken.append(name)
    if len(taken) < count:
        release()
        return []
    return taken


def _lock(path: Path) -> bool:
    """Lock a file for as long as this process lives, and return whether no other process has."""
    from filelock import FileLock, Timeout  # here, since most commands take no GPU

    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    _held.append(lock)
    return True
