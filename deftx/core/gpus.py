"""GPUs of this machine: their number, and a free one for each process, by file locks.

Snakemake counts GPUs but assigns no numbers, and PyTorch uses the first visible one. To spread concurrent jobs over the
GPUs, each locks one that no other process of `deftx` holds. So does a second run or a command by hand; it waits if all
are in use. A scheduler that assigns GPUs to jobs (SLURM's gres) is left to do so.
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
"""Locks are held until the process ends, in any way."""


def visible() -> list[str]:
    """Return the names of the GPUs that a process may use, as in CUDA_VISIBLE_DEVICES. No library is loaded."""
    devices = [path for path in DEVICES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not devices:
        return [str(number) for number in range(len(devices))]
    names = [name.strip() for name in chosen.split(",")]
    return [name for name in names if name not in ("", "-1", "NoDevFiles")]


def list_devices() -> list[tuple[str, str]]:
    """Return model and UUID of each GPU of this machine, by number, as nvidia-smi lists them; empty without it.

    Its order is CUDA's if all are of one model, or CUDA_DEVICE_ORDER is PCI_BUS_ID.
    """
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU \d+: (.+) \(UUID: (\S+)\)$", listing, re.M)


def models() -> list[str]:
    """Return the models of the GPUs of this machine, if any is visible."""
    return sorted({model for model, _ in list_devices()}) if visible() else []


def take(count: int = 1) -> None:
    """Restrict this process to `count` GPUs that no other process of this user holds; wait until they are free.

    Do nothing if fewer than `count` are visible, if a scheduler has assigned GPUs to the job, or in a process of a
    distributed training, which has its own GPU. Call it before CUDA is used.
    """
    names = visible()
    is_assigned = any(name in os.environ for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "LOCAL_RANK"))
    if len(names) < max(1, count) or is_assigned or _held:
        return
    locks = _locks_of(names, [uuid for _, uuid in list_devices()])
    folder = Path(tempfile.gettempdir(), f"deftx-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    is_waiting = False
    while len(locked := _lock_all(locks, count, folder)) < count:
        if not is_waiting:
            several = f"Too many of {len(names)} GPUs are in use; waiting for {count}"
            log.info(f"GPU {names[0]} is in use; waiting for it" if len(names) == 1 else several)
            is_waiting = True
        time.sleep(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locked)
    log.info(f"Using GPU {', '.join(locked)}")


def release() -> None:
    """Release the GPUs that this process holds, before it ends."""
    while _held:
        _held.pop().release()


def _locks_of(names: list[str], uuids: list[str]) -> dict[str, str]:
    """Return the lock of each visible GPU: its UUID if it is known, also where the GPU is named by number or UUID."""
    locks = {}
    for name in names:
        numbered = uuids[int(name) : int(name) + 1] if name.isdecimal() else []
        locks[name] = next(iter(numbered or [uuid for uuid in uuids if uuid.startswith(name)]), name)
    return locks


def _lock_all(locks: dict[str, str], count: int, folder: Path) -> list[str]:
    """Lock `count` of these GPUs, or none: two processes that hold a few each could wait for each other forever."""
    locked: list[str] = []
    for name, lock in locks.items():
        if len(locked) < count and _lock(folder / quote(lock, safe="")):
            locked.append(name)
    if len(locked) < count:
        release()
        return []
    return locked


def _lock(path: Path) -> bool:
    """Lock a file until this process ends; return False if another process holds it."""
    from filelock import FileLock, Timeout  # here, since most commands take no GPU

    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    _held.append(lock)
    return True
