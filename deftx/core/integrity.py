"""Whether a result is still what was written: JSON carries a checksum, other files have one in the JSON beside them.

One mechanism and one message for all results. Vectors are checked by their own format (`deftx.modules.format`).
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

SEAL = ',\n  "checksum": "'


SEALED = re.compile(r'\n  "[^\n]{8}": "[^\n]{64}"\n\}\n\Z')  # also where the seal itself was changed


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON a person can read and a diff can compare (two-space indent, given key order), sealed.

    Its last entry, `checksum`, is the SHA-256 of the text before that entry.
    """
    body = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False).removesuffix("}").rstrip("\n")
    seal = SEAL if content else SEAL.removeprefix(",")
    write_text(path, f'{body}{seal}{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n')


def read_json(path: Path, result: Path | None = None) -> dict[str, Any]:
    """Content of a result that `write_json` has written, checked, without its seal.

    What an earlier version or a person wrote has no seal, and is read as it is.

    Args:
        result: what to ask the workflow for, where it is another file.
    Raises:
        ResultError: missing, no JSON object, or changed since it was written; with the way out.
    """
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
    except FileNotFoundError:
        raise ResultError(f"{path} does not exist. {remade(result or path)}") from None
    except (ValueError, RecursionError):
        raise ResultError(damaged(path, "it is no JSON text", result)) from None
    if not isinstance(content, dict):
        raise ResultError(damaged(path, "it is no JSON object", result))
    if "checksum" in content or SEALED.search(text):
        seal = SEAL if len(content) > 1 else SEAL.removeprefix(",")
        body, _, tail = text.rpartition(seal)
        if tail != hashlib.sha256(body.encode()).hexdigest() + '"\n}\n':
            raise ResultError(damaged(path, "it does not match its checksum", result))
        del content["checksum"]
    return content


def damaged(path: Path, what: str, result: Path | None = None) -> str:
    """The message about a result that is not as it was written; `result` is what to ask for, if it is another name."""
    return f"{path} is damaged: {what}. {remade(result or path)}"


def remade(path: Path) -> str:
    """How a result of the workflow is made again."""
    return (
        f"Copy it again, or make it again: snakemake --force {shlex.quote(str(path))} "
        "(with the run's --configfile, where it has one)"
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_checksums(*tables: Path) -> None:
    """Write the SHA-256 of tables beside them; those that read them compare it (`check`)."""
    for path in tables:
        write_json(path.with_suffix(".json"), {"sha256": sha256_of(path)})


def check(path: Path) -> None:
    """Compare a table with the hash beside it; of an earlier version, or by hand, it has none.

    Raises:
        ResultError: it has changed since it was written.
    """
    beside = path.with_suffix(".json")
    stated = read_json(beside).get("sha256") if beside.is_file() else None
    if stated is not None and path.is_file() and stated != sha256_of(path):
        raise ResultError(damaged(path, f"it does not match the checksum in {beside.name}"))


def check_pinned(pinned: Mapping[Path, str]) -> None:
    """Check raw files against the SHA-256 (hex digits) they are pinned by; a missing one is for its reader to name.

    Raises:
        ResultError: a file is another than was pinned.
    """
    for path, sha256 in pinned.items():
        if path.is_file() and sha256_of(path) != sha256:
            raise ResultError(damaged(path, "it is not the file that was pinned"))
