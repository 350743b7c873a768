"""Integrity of results: JSON files contain a checksum, other files have one in a JSON sidecar.

All results share one mechanism and one message. Vectors are checked by their own format (`deftx.modules.format`).
"""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deftx.core.errors import ResultError
from deftx.core.files import write_text

CHECKSUM = ',\n  "checksum": "'
WITH_CHECKSUM = re.compile(r'\n  "[^\n]{8}": "[^\n]{64}"\n\}\n\Z')  # also if its key was changed


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with a checksum, easy to read and to compare (two-space indent, given key order).

    Its last entry, `checksum`, is the SHA-256 of the text before that entry.
    """
    body = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False).removesuffix("}").rstrip("\n")
    key = CHECKSUM if content else CHECKSUM.removeprefix(",")
    write_text(path, f'{body}{key}{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n')


def read_json(path: Path, result: Path | None = None) -> dict[str, Any]:
    """Load a result that `write_json` has written, check it, and return it without its checksum.

    A file by an earlier version or by hand has no checksum, and is not checked.

    Args:
        result: the result that rebuilds the file, if it has another name.
    Raises:
        ResultError: missing, not a JSON object, or changed since it was written; with the fix.
    """
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
    except FileNotFoundError:
        raise ResultError(f"{path} does not exist. {remade(result or path)}") from None
    except (ValueError, RecursionError):
        raise ResultError(damaged(path, "not JSON", result)) from None
    if not isinstance(content, dict):
        raise ResultError(damaged(path, "not a JSON object", result))
    if "checksum" in content or WITH_CHECKSUM.search(text):
        key = CHECKSUM if len(content) > 1 else CHECKSUM.removeprefix(",")
        body, _, tail = text.rpartition(key)
        if tail != hashlib.sha256(body.encode()).hexdigest() + '"\n}\n':
            raise ResultError(damaged(path, "checksum mismatch", result))
        del content["checksum"]
    return content


def damaged(path: Path, reason: str, result: Path | None = None) -> str:
    """Return the message about a corrupted result; `result` is the one that rebuilds it, if it has another name."""
    return f"{path} is corrupted ({reason}). {remade(result or path)}"


def remade(path: Path) -> str:
    """Return how to rebuild a result of the workflow."""
    return (
        f"Copy it again, or rebuild it: snakemake --force {shlex.quote(str(path))} "
        "(with the run's --configfile, if it has one)"
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_checksums(*tables: Path) -> None:
    """Write the SHA-256 of tables to their sidecars; `check` compares it."""
    for path in tables:
        write_json(path.with_suffix(".json"), {"sha256": sha256_of(path)})


def check(path: Path) -> None:
    """Check a table against its sidecar; a table by an earlier version or by hand has none.

    Raises:
        ResultError: it has changed since it was written.
    """
    sidecar = path.with_suffix(".json")
    expected = read_json(sidecar).get("sha256") if sidecar.is_file() else None
    if expected is not None and path.is_file() and expected != sha256_of(path):
        raise ResultError(damaged(path, f"it does not match the checksum in {sidecar.name}"))


def check_pinned(pinned: Mapping[Path, str]) -> None:
    """Check raw files against their pinned SHA-256 (hex digits); missing files are left to their reader.

    Raises:
        ResultError: a file is not the pinned one.
    """
    for path, sha256 in pinned.items():
        if path.is_file() and sha256_of(path) != sha256:
            raise ResultError(damaged(path, "it is not the pinned file"))
