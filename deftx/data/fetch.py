"""Pinned raw files: copied from the mirror or downloaded, and always verified.

A mirror is a folder that contains files as `<repository name>/<path in the repository>`, gzipped or not. It is searched
first, so that a machine without internet needs no change of the configuration. An interrupted download is resumed, at
once and in the next run; its part is kept in the folder of the result as `.{name}.part`.
"""

import gzip
import http.client
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from deftx.config.data import File
from deftx.core.errors import SourceError
from deftx.core.files import publish, writing
from deftx.core.integrity import sha256_of

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
TRIES = 3  # to resume a download, in a row without a new byte
PAUSE = 1.0  # seconds before each


def fetch(file: File, out: Path, mirror: Path | None) -> None:
    """Copy a pinned file to `out`, from the mirror if it contains it, otherwise from the network.

    Raises:
        SourceError: the file is in neither, its content is not the pinned one, or the mirror does not exist.
    """
    check_mirror(mirror)
    local = in_mirror(file, mirror) if mirror else None
    if local:
        with publish(out) as temporary:
            _copy(local, temporary, zipped=local.name != Path(file.path).name)
            verify(file, temporary, str(local))
    elif not file.remote:
        raise SourceError(f"{file.path}: no mirror contains it and it has no address. Set DEFTX_MIRROR")
    elif file.hub:
        from deftx.data import hub

        with publish(out) as temporary:
            hub.fetch(file.hub, str(file.commit), file.path, temporary, _describe_fix(file, mirror))
            verify(file, temporary, address(file))
    else:
        part = out.with_name(f".{out.name}.part")
        _download(file, part, mirror)
        try:
            verify(file, part, address(file))
        except SourceError:
            part.unlink()  # wrong bytes cannot be resumed
            raise
        with publish(out) as temporary:
            part.rename(temporary)


def check_mirror(mirror: Path | None) -> None:
    """Check that a mirror, if set, is a folder.

    Raises:
        SourceError: it is not a folder.
    """
    if mirror and not mirror.is_dir():
        raise SourceError(f"there is no folder {mirror}, which DEFTX_MIRROR names. Correct it, or unset it")


def in_mirror(file: File, mirror: Path) -> Path | None:
    """Return the path of a file in the mirror, or None."""
    origin = file.repository or file.hub
    folder = mirror / origin.split("/")[-1] if origin else mirror
    for candidate in (folder / file.path, folder / f"{file.path}.gz"):
        if candidate.is_file():
            return candidate
    return None


def address(file: File) -> str:
    """Return the address of a pinned file."""
    path = urllib.parse.quote(file.path)
    if file.repository:
        return f"https://raw.githubusercontent.com/{file.repository}/{file.commit}/{path}"
    if file.hub:
        return f"https://huggingface.co/datasets/{file.hub}/resolve/{file.commit}/{path}"
    return str(file.url)


def place(file: File) -> str:
    """Return the source of a pinned file for messages: its repository and path."""
    origin = file.repository or file.hub or urllib.parse.urlsplit(file.url or "").netloc
    return f"{origin}/{file.path}".lstrip("/")


def verify(file: File, path: Path, origin: str) -> None:
    """Check that `path` has the pinned content, by its size and SHA-256 if the pin states them.

    Raises:
        SourceError: it has not.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise SourceError(
            f"{origin} is not the file that was pinned: {size} bytes, expected {file.size}. "
            "Correct the pin, or replace the file"
        )
    if file.sha256 is not None and (actual := sha256_of(path)) != file.sha256:
        raise SourceError(
            f"{origin} is not the file that was pinned: sha256 {actual}, "
            f"expected {file.sha256}. Correct the pin, or replace the file"
        )


def _copy(source: Path, target: Path, zipped: bool) -> None:
    opener = gzip.open if zipped else open
    try:
        with opener(source, "rb") as stream, target.open("wb") as out:
            shutil.copyfileobj(cast(BinaryIO, stream), out, CHUNK)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{source} is a corrupted gzip file ({error}). Copy it again") from None


def _describe_fix(file: File, mirror: Path | None) -> str:
    missing = f"The mirror {mirror} does not contain it. " if mirror else ""
    origin = file.repository or file.hub
    folder = f"{origin.split('/')[-1]}/" if origin else ""
    return f"{missing}Connect to the internet, or set DEFTX_MIRROR to a folder that holds {folder}{file.path}"


def _download(file: File, part: Path, mirror: Path | None) -> None:
    """Download the rest of a file into `part`; resume as long as new bytes arrive."""
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    is_broken, failures = False, 0
    while True:
        size = _size(part)
        try:
            return _resume(file, part)
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and size:
                return  # complete; the verification checks whether it is the file
            reason: object = error.reason
            is_final = True
        except (urllib.error.URLError, ValueError) as error:  # no connection: final, unless there was one
            reason = getattr(error, "reason", error)
            is_final = not is_broken
        except (http.client.HTTPException, OSError) as error:
            reason = error
            is_broken, is_final = True, False
        failures = 0 if _size(part) > size else failures + 1
        if is_final or failures == TRIES:
            raise SourceError(f"{address(file)} cannot be reached ({reason}). {_describe_fix(file, mirror)}")
        time.sleep(PAUSE)


def _resume(file: File, part: Path) -> None:
    """Download the rest of a file into `part`, or all of it if the server does not send parts."""
    from tqdm import tqdm

    size = _size(part)
    request = urllib.request.Request(address(file), headers={"Range": f"bytes={size}-"} if size else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        is_partial = response.status == http.client.PARTIAL_CONTENT
        size = size if is_partial else 0
        rest = response.headers.get("Content-Length")
        total = size + int(rest) if rest else None
        with writing(part):
            opened = part.open("ab" if is_partial else "wb", buffering=0)
        with (
            opened as out,
            tqdm(total=total, initial=size, unit="B", unit_scale=True, desc=Path(file.path).name, disable=None) as bar,
        ):
            while chunk := response.read(CHUNK):
                bar.update(len(chunk))
                while chunk:  # a write may be partial
                    with writing(part):
                        chunk = chunk[out.write(chunk) :]
    if total is not None and _size(part) < total:
        raise OSError(f"interrupted after {_size(part)} of {total} bytes; the next run resumes there")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
