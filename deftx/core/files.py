"""Atomic writing of files: a result appears under its name complete, or not at all."""

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
UNSYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # of file systems that always or never synchronize
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def publish_alone(path: Path) -> Iterator[Path]:
    """Publish a file as `publish` does, for a library that first writes under other names, which are removed.

    Raises:
        OutputError: the disk is full, or permission is missing.
    """
    folder = _temporary(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            folder.mkdir()
            yield folder / path.name
            (folder / path.name).chmod(0o666 & ~_umask())
            (folder / path.name).replace(path)
        finally:
            _remove(folder)


@contextmanager
def publish(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`, and rename it to `path` if the block ends without an error.

    The rename is atomic, so a killed job leaves either the complete file or none. A leftover temporary file is removed
    when the file is written again. The block may create a folder instead, which replaces an earlier one.

    Raises:
        OutputError: the disk is full, or permission is missing.
    """
    temporary = _temporary(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
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
    """Return the name that a file or folder has while it is written."""
    return path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.part")


def flush(path: Path) -> None:
    """Wait until the disk holds the bytes of a file, or the names in a folder, in case the machine loses power.

    Raises:
        OSError: the disk cannot hold them.
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
    """Turn errors of writing `path` inside the block into one message; an error about another file passes.

    Libraries written in Rust raise their own errors, with the system's error number in their text.

    Raises:
        OutputError: the disk is full, or permission is missing; with the fix.
    """
    try:
        yield
    except Exception as error:
        code = _error_code(error)
        name = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy, its target
        if code not in FULL | FORBIDDEN or (name and not _is_in_folder_of(Path(name), path)):
            raise
        raise OutputError(_describe_failure(path, path.parent, code)) from None


def _describe_failure(path: Path, folder: Path, code: int) -> str:
    fix = (
        f"Make room on the disk of {folder}, or move results/ to a larger one, then rerun"
        if code in FULL
        else f"Get permission to write in {folder}, or use your own copy of the project"
    )
    return f"{path} cannot be written: {os.strerror(code)}. {fix}"


def require_writable(folder: Path) -> None:
    """Check that a folder can be written, or created if it does not exist.

    Raises:
        OutputError: permission is missing; with the fix.
    """
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not os.access(nearest, os.W_OK):
        raise OutputError(_describe_failure(folder, nearest, errno.EACCES))


def _error_code(error: Exception) -> int:
    """Return the system's number of an error, or 0."""
    if isinstance(error, OSError):
        return error.errno or 0
    match = re.search(r"\(os error (\d+)\)", str(error))
    return int(match[1]) if match else 0


def _is_in_folder_of(failed: Path, path: Path) -> bool:
    """Return whether `failed` is in the folder of `path`, or is a folder above it that could not be created."""
    return failed == path or failed in path.parents or path.parent in failed.parents


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` by killed processes; those of other machines may still be in use."""
    for leftover in path.parent.glob(f".{escape(path.name)}.{escape(os.uname().nodename)}.*.part"):
        number = leftover.name.split(".")[-2]
        if number == str(os.getpid()) or not _is_running(number):
            _remove(leftover)


def _is_running(number: str) -> bool:
    """Return whether a process with this number exists."""
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # another user's
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
    """Write gzipped UTF-8 text; its bytes depend on the text alone (no name, no time)."""
    with publish(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))
