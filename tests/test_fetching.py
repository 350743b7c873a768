"""Raw files: the mirror goes first, and what is not the pinned file is never used."""

import gzip
import hashlib
from pathlib import Path

import pytest

from deftx.errors import SourceError
from deftx.fetching import address, fetch, in_mirror
from deftx.settings import File

TEXT = b"a line of text\n" * 1000
ZIPPED = gzip.compress(TEXT, mtime=0)
SHA = hashlib.sha256(TEXT).hexdigest()
NOWHERE = "http://127.0.0.1:9/x"
PINNED = File(repository="owner/name", commit="0" * 40, path="some folder/text.csv", sha256=SHA)


def in_folder(folder: Path, path: str, content: bytes) -> Path:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_the_mirror_holds_files_plain_or_zipped(tmp_path: Path, zipped: bool) -> None:
    content, ending = (ZIPPED, ".gz") if zipped else (TEXT, "")
    mirror = in_folder(tmp_path / "mirror", f"name/some folder/text.csv{ending}", content)
    fetch(PINNED, tmp_path / "out" / "text.csv", mirror)
    assert (tmp_path / "out" / "text.csv").read_bytes() == TEXT


def test_a_file_of_no_repository_lies_in_the_mirror_by_its_path(tmp_path: Path) -> None:
    mirror = in_folder(tmp_path / "mirror", "corpora/ace.txt", TEXT)
    fetch(File(path="corpora/ace.txt", url=NOWHERE, sha256=SHA), tmp_path / "out", mirror)
    assert (tmp_path / "out").read_bytes() == TEXT


def test_a_file_that_is_zipped_at_its_source_stays_so(tmp_path: Path) -> None:
    """Its hash is that of the zipped bytes, whether they come from the mirror or from the network."""
    zipped = gzip.compress(TEXT)
    pin = File(path="ace.txt.gz", url=NOWHERE, sha256=hashlib.sha256(zipped).hexdigest())
    fetch(pin, tmp_path / "out", in_folder(tmp_path / "mirror", "ace.txt.gz", zipped))
    assert (tmp_path / "out").read_bytes() == zipped


def test_in_mirror_finds_nothing_else(tmp_path: Path) -> None:
    assert in_mirror(PINNED, in_folder(tmp_path, "other/some folder/text.csv", TEXT)) is None


def test_a_file_url_is_fetched(tmp_path: Path) -> None:
    in_folder(tmp_path, "there", TEXT)
    fetch(File(path="x", url=(tmp_path / "there").as_uri(), sha256=SHA), tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == TEXT


def test_the_address_of_a_pinned_file_holds_its_commit() -> None:
    assert address(PINNED) == f"https://raw.githubusercontent.com/owner/name/{'0' * 40}/some%20folder/text.csv"


@pytest.mark.parametrize("zipped", [False, True])
def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path, zipped: bool) -> None:
    content, ending = (gzip.compress(b"other"), ".gz") if zipped else (b"other", "")
    mirror = in_folder(tmp_path / "mirror", f"name/some folder/text.csv{ending}", content)
    with pytest.raises(SourceError, match=rf"text\.csv{ending} is not the file that was pinned.*{SHA}"):
        fetch(PINNED, tmp_path / "out" / "text.csv", mirror)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "content",
    [b"no gzip", b"", ZIPPED[:-9], ZIPPED[:20] + b"\xff" * 20],
    ids=["text", "empty", "cut", "changed"],
)
def test_a_damaged_file_in_the_mirror_is_refused(tmp_path: Path, content: bytes) -> None:
    mirror = in_folder(tmp_path / "mirror", "name/some folder/text.csv.gz", content)
    with pytest.raises(SourceError, match=r"text\.csv\.gz"):
        fetch(PINNED, tmp_path / "out" / "text.csv", mirror)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("url", [NOWHERE, "http://no such host/", "no address", "file:///no/such/file"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_cannot_be_reached_names_the_way_out(tmp_path: Path, url: str, mirrored: bool) -> None:
    mirror = tmp_path / "mirror" if mirrored else None
    with pytest.raises(
        SourceError, match=r"cannot be reached.*DEFTX_MIRROR to a folder that holds corpora/ace\.txt"
    ) as e:
        fetch(File(path="corpora/ace.txt", url=url, sha256=SHA), tmp_path / "out" / "x", mirror)
    assert (str(mirror) in str(e.value)) is mirrored
    assert not list((tmp_path / "out").iterdir())
