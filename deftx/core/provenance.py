"""Provenance of a result: versions of the software, and the processor."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
VECTORS = re.compile("sse|avx|fma|f16c|amx|asimd|fp|sve|sme|bf16|i8mm")


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect the numbers of a training, without local build labels."""
    names = ("deftx", "torch", "transformers", "tokenizers", "numpy")
    return {name: metadata.version(name).partition("+")[0] for name in names}


def threads() -> int:
    """Return the number of threads for arithmetic: OMP_NUM_THREADS, or all cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def processor() -> dict[str, str]:
    """Return the model of this machine's processor, and its vector instructions.

    The libraries' choice of kernels depends on them, and whether there is bf16 arithmetic
    (`deftx.core.runtime.wants_bf16`). No library is loaded. Without /proc only the architecture is known.
    """
    properties = {"machine": platform.machine()}
    lines = CPUINFO.read_text().split("\n\n")[0].splitlines() if CPUINFO.is_file() else []
    for key, _, value in (line.partition(":") for line in lines):
        name = key.strip()
        if name in ("vendor_id", "cpu family", "model", "model name") or name.startswith("CPU "):
            properties[name] = value.strip()
        elif name in ("flags", "Features"):
            properties["vectors"] = " ".join(sorted(flag for flag in value.split() if VECTORS.match(flag)))
    return properties
