"""Pinned raw files where they are read: still what `deftx.fetching` has put there."""

from collections.abc import Mapping
from pathlib import Path

from deftx.errors import ResultError
from deftx.files import damaged
from deftx.sources import sha256_of


def check(pinned: Mapping[Path, str]) -> None:
    """Check raw files against the SHA-256 (hex digits) they are pinned by; a missing one is for its reader to name.

    Raises:
        ResultError: a file is another than was pinned.
    """
    for path, sha256 in pinned.items():
        if path.is_file() and sha256_of(path) != sha256:
            raise ResultError(damaged(path, "it is not the file that was pinned"))
