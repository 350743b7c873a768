"""Publishing files: a result appears under its name whole, or not at all; JSON results notice changes of themselves."""

import errno
import gzip
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from deftx.core.errors import OutputError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNSYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # of file systems that do so without being asked, or not at all
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def publish_alone(path: Path) -> Iterator[Path]:
    """As `publish`, for a library that writes under names of its own first: what it leaves goes with a folder.

    Raises:
        OutputError: the disk is full, or nothing may be written there.
    """
    folder = _temporary(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        try:
            folder.mkdir()
            yield folder / path.name
            (folder / path.name).chmod(0o666 & ~_umask())
            (folder / path.name).replace(path)
        finally:
            _remove(folder)


@contextmanager
def publish(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends without an error.

    The rename is atomic, so a killed job leaves either the finished file or none; what it left under a temporary name
    goes when the file is written again. The block may make a folder instead, which takes the place of an earlier one.

    Raises:
        OutputError: the disk is full, or nothing may be written there.
    """
    temporary = _temporary(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        try:
            yield temporary
            if temporary.is_dir():
                _remove(path)
            else:
                temporary.chmod(0o666 & ~_umask())  # some libraries write files only their owner can read
            temporary.replace(path)
        finally:
            _remove(temporary)


def _temporary(path: Path) -> Path:
    """The name that a file or folder has while it is written."""
    return path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.part")


def flush(path: Path) -> None:
    """Wait until the disk holds the bytes of a file, or the names in a folder, in case the machine loses power.

    Raises:
        OSError: it never will.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what keeps the block from writing `path` into one message; an error that names another file passes.

    Libraries written in Rust raise errors of their own, which hold the number of the system's in their text.

    Raises:
        OutputError: the disk is full, or nothing may be written there; with the way out.
    """
    try:
        yield
    except Exception as error:
        code = _code(error)
        named = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy, where it goes
        if code not in FULL | FORBIDDEN or (named and not _beside(Path(named), path)):
            raise
        raise OutputError(_refusal(path, path.parent, code)) from None


def _refusal(path: Path, folder: Path, code: int) -> str:
    way_out = (
        f"Make room on the disk of {folder}, or move results/ to a larger one, and run it again"
        if code in FULL
        else f"Give yourself permission to write in {folder}, or work in a copy of the project that is yours"
    )
    return f"{path} cannot be written: {os.strerror(code)}. {way_out}"


def require_writable(folder: Path) -> None:
    """Check that a folder can be written, or made where it is not there yet.

    Raises:
        OutputError: nothing may be written there; with the way out.
    """
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not os.access(nearest, os.W_OK):
        raise OutputError(_refusal(folder, nearest, errno.EACCES))


def _code(error: Exception) -> int:
    """The system's number of an error; 0 where there is none."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else 0


def _beside(one: Path, other: Path) -> bool:
    """Whether one file lies in the folder of the other, or is a folder above it that could not be made."""
    return one == other or one in other.parents or other.parent in one.parents


def _sweep(path: Path) -> None:
    """Remove what killed processes left of `path`; processes of other machines may be at work on theirs."""
    for left in path.parent.glob(f".{escape(path.name)}.{escape(os.uname().nodename)}.*.part"):
        number = left.name.split(".")[-2]
        if number == str(os.getpid()) or not _lives(number):
            _remove(left)


def _lives(number: str) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends."""
    with publish(path) as temporary:
        temporary.write_bytes(text.encode())


def write_gzip(path: Path, text: str) -> None:
    """Write gzipped UTF-8 text whose bytes depend on the text alone (no name, no time)."""
    with publish(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))
