"""Device and precision of the arithmetic. Torch is imported on use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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
