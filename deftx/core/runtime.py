"""How a process runs: on which device, in which precision, and how often it looks for garbage.

Torch is imported when it is asked.
"""

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


THRESHOLDS = (50_000, 20, 50)
"""After how many new objects, and how many younger collections, each generation is searched for garbage."""


def collect_garbage_seldom() -> None:
    """Search for garbage less often than Python does by itself.

    Modules of large libraries, and Snakemake's jobs, are very many objects that live to the end of the process. Looking
    through them again and again takes half of the time in which a small model is loaded, and a sixth of that in which a
    large experiment is planned (docs/reference/performance.md).
    """
    gc.set_threshold(*THRESHOLDS)


def device() -> "torch.device":
    """Return the GPU that this process may use, or the CPU if there is none."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wants_bf16(precision: str) -> bool:
    """Return whether to run the forward pass in bf16: it is requested, and the hardware supports it."""
    import torch

    if precision != "bf16":
        return False
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)
