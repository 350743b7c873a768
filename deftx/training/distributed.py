"""The processes that train together: which of them this is, and sums over all.

They are started by `deftx.training.launch`, torchrun or accelerate; alone, a process is the first of one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import PartialState
from torch import Tensor

PATIENCE = timedelta(hours=1)
"""How long processes wait for one that tokenises or saves. Whoever started them ends them before, if one has died."""


class LostError(Exception):
    """Another of the processes is gone, or cannot be reached. Who started them says which failed first, and why."""

    status = 76  # EX_PROTOCOL of sysexits.h


def processes() -> PartialState:
    """Return the number of the processes, this one's rank and device."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def all_reduce(tensor: Tensor) -> None:
    """Replace a tensor by its sum over all processes. All must call it, with tensors of one shape and dtype.

    Not by accelerate's `reduce`, which copies the tensor: gradients are as large as the model.
    """
    if processes().num_processes > 1 and tensor.numel():
        with _detect_loss():
            torch.distributed.all_reduce(tensor)


def any_process(holds: bool) -> bool:
    """Return whether something holds in one of the processes; all of them must ask."""
    if processes().num_processes == 1:
        return holds
    counted = torch.tensor(holds, dtype=torch.int32, device=processes().device)
    all_reduce(counted)
    return bool(counted)


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block in the first process alone, then in all others: they find what it wrote, or end with it.

    Not by accelerate's function of this name: what the block itself raises is not the loss of another process.
    """
    state = processes()
    if not state.is_main_process:
        barrier()
    yield
    if state.is_main_process:
        barrier()


def barrier() -> None:
    """Wait until all processes are here."""
    with _detect_loss():
        processes().wait_for_everyone()


@contextmanager
def _detect_loss() -> Iterator[None]:
    """Tell a loss of the others from this process' own failures."""
    try:
        yield
    except RuntimeError as error:
        count = processes().num_processes
        raise LostError(f"one of the {count} processes that train together is gone ({error})") from error
