"""Raw files: taken from the mirror or fetched from where they are pinned, and always verified.

A mirror is a folder that holds files as `<repository name>/<path in the repository>`, gzipped or not;
it is looked in first, so that a machine without internet needs no change of the configuration.
"""

import csv
import gzip
import hashlib
import http.client
import io
import shutil
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from deftx.errors import SourceError
from deftx.files import publish
from deftx.settings import File

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
csv.field_size_limit(1 << 24)


def fetch(file: File, out: Path, mirror: Path | None) -> None:
    """Put a pinned file at `out`, from the mirror if it holds it, else from the network.

    Raises:
        SourceError: it is in neither, or its content is not what was pinned.
    """
    local = in_mirror(file, mirror) if mirror else None
    with publish(out) as temporary:
        if local:
            _copy(local, temporary, zipped=local.name != Path(file.path).name)
        else:
            _download(file, temporary, mirror)
        actual = sha256_of(temporary)
        if actual != file.sha256:
            raise SourceError(
                f"{local or address(file)} is not the file that was pinned: sha256 {actual}, "
                f"expected {file.sha256}. Correct the pin, or replace the file"
            )


def in_mirror(file: File, mirror: Path) -> Path | None:
    """Where the mirror holds a file, or None."""
    folder = mirror / file.repository.split("/")[-1] if file.repository else mirror
    for candidate in (folder / file.path, folder / f"{file.path}.gz"):
        if candidate.is_file():
            return candidate
    return None


def address(file: File) -> str:
    """The address a pinned file is fetched from."""
    if file.repository:
        path = urllib.parse.quote(file.path)
        return f"https://raw.githubusercontent.com/{file.repository}/{file.commit}/{path}"
    return str(file.url)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """Text of a file, gzipped or not, as UTF-8.

    Raises:
        SourceError: missing, not UTF-8, or not text at all; named with line and way out.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}. Check the path in the configuration") from None
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"{path} is a damaged gzip file ({error}); copy or fetch it again") from None
    if b"\0" in raw:
        raise SourceError(f"{path} is a binary file, not text (it holds zero bytes)")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SourceError(
            f"{path} is not UTF-8 (line {line}, byte 0x{raw[error.start]:02x}). "
            f"Convert it, for example: iconv -f LATIN1 -t UTF-8 {path.name}"
        ) from None


def read_table(
    path: Path, delimiter: str, quoting: bool = True, columns: Sequence[str] | None = None
) -> tuple[list[str], list[dict[str, str | None]]]:
    """Column names and rows of a table, gzipped or not; the cells a short row lacks are None.

    Args:
        quoting: whether quotation marks enclose cells; otherwise they are letters like any other.
        columns: names of the columns of a file without a header.
    Raises:
        SourceError: not readable as UTF-8 text, or the quotation marks do not match.
    """
    stream = io.StringIO(read_text(path), newline="")
    reader: csv.DictReader[str] = csv.DictReader(
        stream, columns, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE, strict=True
    )
    try:
        return list(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise SourceError(
            f"{path}, line {reader.line_num}: {error}. A quotation mark is not closed, or stands inside a cell "
            "without being doubled"
        ) from None


def delimiter_of(name: str) -> str:
    """What separates the cells of a table, by its file's name: a tab in .tsv, else a comma."""
    return "\t" if name.removesuffix(".gz").endswith(".tsv") else ","


def _copy(source: Path, target: Path, zipped: bool) -> None:
    opener = gzip.open if zipped else open
    try:
        with opener(source, "rb") as stream, target.open("wb") as out:
            shutil.copyfileobj(cast(BinaryIO, stream), out, CHUNK)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{source} is a damaged gzip file ({error}); copy it again") from None


def _download(file: File, target: Path, mirror: Path | None) -> None:
    from tqdm import tqdm

    looked = f" and the mirror {mirror} does not hold it" if mirror else ""
    if not file.remote:
        raise SourceError(f"{file.path}: no mirror holds it and no address is given; set DEFTX_MIRROR")
    try:
        with urllib.request.urlopen(address(file), timeout=TIMEOUT) as response:
            size = int(response.headers.get("Content-Length", 0)) or None
            with (
                target.open("wb") as out,
                tqdm(total=size, unit="B", unit_scale=True, desc=Path(file.path).name, disable=None) as bar,
            ):
                while chunk := response.read(CHUNK):
                    out.write(chunk)
                    bar.update(len(chunk))
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(
            f"{address(file)} cannot be reached ({reason}){looked}. "
            "Connect to the internet, or set DEFTX_MIRROR to a folder that holds "
            f"{file.repository.split('/')[-1] + '/' if file.repository else ''}{file.path}"
        ) from None
