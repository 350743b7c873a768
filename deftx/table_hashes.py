"""What vouches for CSV tables of the report: the SHA-256 of each, in a JSON file of its name beside it."""

from pathlib import Path

from deftx.errors import ResultError
from deftx.files import damaged, read_json, write_json
from deftx.sources import sha256_of


def vouch(*tables: Path) -> None:
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
