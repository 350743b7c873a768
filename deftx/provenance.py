"""Where a result comes from: versions, and a hash of the code that made it."""

import ast
import hashlib
import os
import platform
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
CPUINFO = Path("/proc/cpuinfo")
VECTORS = re.compile("sse|avx|fma|f16c|amx|asimd|fp|sve|sme|bf16|i8mm")
OUTSIDE = {"deftx.cli", "deftx.config", "deftx.provenance", "deftx.settings"}
"""Modules whose effect on a result arrives through a job's parameters."""


def versions() -> dict[str, str]:
    """Versions of what decides over the numbers of a training, without local build labels."""
    names = ("deftx", "torch", "transformers", "tokenizers", "numpy")
    return {name: metadata.version(name).partition("+")[0] for name in names}


def threads() -> int:
    """Threads this process may use for arithmetic: OMP_NUM_THREADS, or all cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def processor() -> dict[str, str]:
    """The kind of this machine's processor: its model, and its vector instructions.

    On these depend the libraries' choice of kernels, and whether there is bf16 arithmetic (`deftx.loop.wants_bf16`).
    Found without loading any library; where there is no /proc, only the architecture is known.
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


def fingerprint(files: Iterable[Path]) -> str:
    """Which files these are, by their sizes and samples of their bytes, not by where they lie or how old they are.

    A checkpoint of several GB is told from another in a moment; 64 samples of 4 KiB are spread over each file.
    """
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            for sample in range(64):
                stream.seek(size * sample // 64)
                digest.update(stream.read(4096))
    return digest.hexdigest()[:16]


@cache
def code_of(*modules: str) -> str:
    """A hash over the parsed source of modules and of the package's modules they import, at any depth.

    Comments, docstrings and layout do not count, imports inside functions do. Snakemake does not see edits in
    an imported package; a rule that carries this hash among its params runs again when its code has changed.
    """
    digest = hashlib.sha256()
    for name in sorted(_reached(modules)):
        digest.update(f"{name}\n{_parsed(_path(name).read_bytes())[1]}\n".encode())
    return digest.hexdigest()[:16]


def _reached(modules: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in reached and name not in OUTSIDE:
            reached.add(name)
            imported, _ = _parsed(_path(name).read_bytes())
            waiting += [n for n in imported if n.startswith("deftx.") and _path(n).is_file()]
    return reached


def _path(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


@cache  # most rules reach the same modules, and every job on a cluster reads all rules
def _parsed(source: bytes) -> tuple[list[str], str]:
    """What a module's source imports, by name, and its syntax tree without docstrings, as text."""
    tree = ast.parse(source)
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_string(s)]  # type: ignore[attr-defined]
    return names, ast.dump(tree)


def _is_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
