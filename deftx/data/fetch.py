"""Pinned raw files: taken from the mirror or fetched from where they are pinned, and always verified.

A mirror is a folder that holds files as `<repository name>/<path in the repository>`, gzipped or not;
it is looked in first, so that a machine without internet needs no change of the configuration.
A download that breaks off goes on where it was, at once and in the next run: what has come lies beside the result as
`.{name}.part`.
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
TRIES = 3  # to go on where a download broke off, in a row that bring nothing
PAUSE = 1.0  # seconds before each


def fetch(file: File, out: Path, mirror: Path | None) -> None:
    """Put a pinned file at `out`, from the mirror if it holds it, else from the network.

    Raises:
        SourceError: it is in neither, its content is not what was pinned, or there is no such mirror.
    """
    check_mirror(mirror)
    local = in_mirror(file, mirror) if mirror else None
    if local:
        with publish(out) as temporary:
            _copy(local, temporary, zipped=local.name != Path(file.path).name)
            verify(file, temporary, str(local))
    elif not file.remote:
        raise SourceError(f"{file.path}: no mirror holds it and no address is given; set DEFTX_MIRROR")
    elif file.hub:
        from deftx.data import hub

        with publish(out) as temporary:
            hub.fetch(file.hub, str(file.commit), file.path, temporary, _way_out(file, mirror))
            verify(file, temporary, address(file))
    else:
        part = out.with_name(f".{out.name}.part")
        _download(file, part, mirror)
        try:
            verify(file, part, address(file))
        except SourceError:
            part.unlink()  # going on with wrong bytes would never help
            raise
        with publish(out) as temporary:
            part.rename(temporary)


def check_mirror(mirror: Path | None) -> None:
    """Check that a mirror, where one is named, is a folder.

    Raises:
        SourceError: it is none.
    """
    if mirror and not mirror.is_dir():
        raise SourceError(f"there is no folder {mirror}, which DEFTX_MIRROR names. Correct it, or unset it")


def in_mirror(file: File, mirror: Path) -> Path | None:
    """Where the mirror holds a file, or None."""
    origin = file.repository or file.hub
    folder = mirror / origin.split("/")[-1] if origin else mirror
    for candidate in (folder / file.path, folder / f"{file.path}.gz"):
        if candidate.is_file():
            return candidate
    return None


def address(file: File) -> str:
    """The address a pinned file is fetched from."""
    path = urllib.parse.quote(file.path)
    if file.repository:
        return f"https://raw.githubusercontent.com/{file.repository}/{file.commit}/{path}"
    if file.hub:
        return f"https://huggingface.co/datasets/{file.hub}/resolve/{file.commit}/{path}"
    return str(file.url)


def place(file: File) -> str:
    """Where a pinned file comes from, for people: its repository and path."""
    origin = file.repository or file.hub or urllib.parse.urlsplit(file.url or "").netloc
    return f"{origin}/{file.path}".lstrip("/")


def verify(file: File, path: Path, origin: str) -> None:
    """Check that `path` holds the pinned content, by its size and SHA-256 where the pin states them.

    Raises:
        SourceError: it does not.
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
        raise SourceError(f"{source} is a damaged gzip file ({error}); copy it again") from None


def _way_out(file: File, mirror: Path | None) -> str:
    looked = f"The mirror {mirror} does not hold it. " if mirror else ""
    origin = file.repository or file.hub
    folder = f"{origin.split('/')[-1]}/" if origin else ""
    return f"{looked}Connect to the internet, or set DEFTX_MIRROR to a folder that holds {folder}{file.path}"


def _download(file: File, part: Path, mirror: Path | None) -> None:
    """Fetch what `part` still lacks of the file, and go on where that breaks off, for as long as anything comes."""
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    broken, fruitless = False, 0
    while True:
        before = _size(part)
        try:
            return _go_on(file, part)
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                return  # nothing is left to fetch; the verification says whether it is the file
            reason: object = error.reason
            final = True
        except (urllib.error.URLError, ValueError) as error:  # no connection: final, unless there was one
            reason = getattr(error, "reason", error)
            final = not broken
        except (http.client.HTTPException, OSError) as error:
            reason = error
            broken, final = True, False
        fruitless = 0 if _size(part) > before else fruitless + 1
        if final or fruitless == TRIES:
            raise SourceError(f"{address(file)} cannot be reached ({reason}). {_way_out(file, mirror)}")
        time.sleep(PAUSE)


def _go_on(file: File, part: Path) -> None:
    """Fetch what `part` still lacks of the file; all of it where the server gives no parts."""
    from tqdm import tqdm

    have = _size(part)
    request = urllib.request.Request(address(file), headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        goes_on = response.status == http.client.PARTIAL_CONTENT
        have = have if goes_on else 0
        rest = response.headers.get("Content-Length")
        total = have + int(rest) if rest else None
        with writing(part):
            opened = part.open("ab" if goes_on else "wb", buffering=0)
        with (
            opened as out,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=Path(file.path).name, disable=None) as bar,
        ):
            while chunk := response.read(CHUNK):
                bar.update(len(chunk))
                while chunk:  # a write may take less than all
                    with writing(part):
                        chunk = chunk[out.write(chunk) :]
    if total is not None and _size(part) < total:
        raise OSError(f"it broke off after {_size(part)} of {total} bytes; the next run goes on there")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
