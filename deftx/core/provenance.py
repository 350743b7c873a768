"""Where a result comes from: versions, and a hash of the code that made it."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
VECTORS = re.compile("sse|avx|fma|f16c|amx|asimd|fp|sve|sme|bf16|i8mm")


def versions() -> dict[str, str]:
    """Versions of what decides over the numbers of a training, without local build labels."""
    names = ("deftx", "torch", "transformers", "tokenizers", "numpy")
    return {name: metadata.version(name).partition("+")[0] for name in names}


def threads() -> int:
    """Threads this process may use for arithmetic: OMP_NUM_THREADS, or all cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def processor() -> dict[str, str]:
    """The kind of this machine's processor: its model, and its vector instructions.

    On these depend the libraries' choice of kernels, and whether there is bf16 arithmetic
    (`deftx.core.runtime.wants_bf16`). Found without loading any library; where there is no
    /proc, only the architecture is known.
    """
    known = {"machine": platform.machine()}
    lines = CPUINFO.read_text().split("\n\n")[0].splitlines() if CPUINFO.is_file() else []
    for key, _, value in (line.partition(":") for line in lines):
        name = key.strip()
        if name in ("vendor_id", "cpu family", "model", "model name") or name.startswith("CPU "):
            known[name] = value.strip()
        elif name in ("flags", "Features"):
            known["vectors"] = " ".join(sorted(flag for flag in value.split() if VECTORS.match(flag)))
    return known
