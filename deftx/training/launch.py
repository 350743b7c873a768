"""Processes of this machine that train together, one on each GPU.

They are told of each other by the variables that torchrun sets, so a training does not know who started it, and
`torchrun -m deftx` does as well, also on several machines. But torchrun ends every failure with a traceback and the
status 1. Here the first process alone speaks; another one does if it fails on its own; and the status is what a single
process would end with, also when a time limit stopped them (75).
"""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deftx.core.errors import ConfigError
from deftx.core.provenance import threads

GRACE = 30.0
"""Seconds in which all may end by themselves once one has failed."""


def under_way() -> bool:
    """Return whether this is one of several processes already."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def launch(count: int, target: Callable[..., None], *arguments: Any) -> int:
    """Call a function in `count` processes, which share this one's threads; returns the exit status.

    Function and arguments are pickled. SIGTERM is passed on to all of them, and none outlives this one.

    Raises:
        ConfigError: there are GPUs, but not so many.
    """
    from torch import cuda
    from torch.multiprocessing.spawn import ProcessException, start_processes

    if 0 < cuda.device_count() < count:
        gpus = cuda.device_count()
        raise ConfigError(f"{count} processes are asked for, and there are {gpus} GPUs. Ask for {gpus} at most")
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads() // count))
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")  # it would speak of what a killed process leaves
    first = 0
    with TemporaryDirectory() as folder:
        context = start_processes(
            _work, (count, _free_port(), folder, target, arguments), count, join=False, start_method="spawn"
        )
        with _passing_on(signal.SIGTERM, context.pids()):
            try:
                while not context.join(grace_period=GRACE):
                    pass
            except ProcessException as error:
                first = error.error_index
        return _ended([process.exitcode for process in context.processes], first, Path(folder))


def _work(
    number: int, count: int, port: int, folder: str, target: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    """Run one of the processes. What any but the first writes to standard error goes into a file."""
    from deftx.training.distributed import LostError

    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(count)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    own = Path(folder, str(number))
    if number:
        with own.open("w") as file:
            os.dup2(file.fileno(), sys.stderr.fileno())
    try:
        target(*arguments)
    except LostError as error:
        own.write_text(f"error: {error}\n")
        sys.exit(LostError.status)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already; a second one would change its status


def _ended(statuses: Sequence[int], first: int, folder: Path) -> int:
    """Return one exit status for all; log why, if the first process has not said so itself.

    Args:
        statuses: exit status of each process; that of one ended by a signal is its number, negative.
        first: the process that failed first, if any did.
    """
    if not any(statuses):
        return 0
    from deftx.training.distributed import LostError

    own = [number for number, status in enumerate(statuses) if status > 0 and status != LostError.status]
    if not own and statuses[first] < 0:
        name = signal.Signals(-statuses[first]).name
        hint = ". If nobody did that, memory ran out: ask for more" if name == "SIGKILL" else ""
        print(f"error: process {first + 1} of {len(statuses)} was ended by {name}{hint}", file=sys.stderr)
        return 128 - statuses[first]
    speaker = own[0] if own else first
    if speaker or not own:
        sys.stderr.write((folder / str(speaker)).read_text())
    return statuses[speaker]


@contextmanager
def _passing_on(number: signal.Signals, pids: Sequence[int]) -> Iterator[None]:
    """Pass a signal on to other processes instead of being ended by it."""

    def pass_on(*_: object) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    before = signal.signal(number, pass_on)
    try:
        yield
    finally:
        signal.signal(number, before)


def _free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
