"""Raw files: the mirror goes first, and what is not the pinned file is never used."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deftx.config.data import File
from deftx.core.errors import SourceError
from deftx.data import fetch as fetching
from deftx.data.fetch import address, fetch, in_mirror, place
from tests.helpers import server

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


def test_a_place_names_repository_and_path() -> None:
    assert place(PINNED) == "owner/name/some folder/text.csv"
    assert place(File(hub="owner/rows", commit="0" * 40, path="a/valid.csv")) == "owner/rows/a/valid.csv"
    assert place(File(path="ace.txt", url="https://example.org/x?y", sha256=SHA)) == "example.org/ace.txt"


def test_a_mirror_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no folder .*/typo, which DEFTX_MIRROR names"):
        fetch(PINNED, tmp_path / "out" / "text.csv", tmp_path / "typo")
    assert not list(tmp_path.iterdir())


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
    mirror = in_folder(tmp_path / "mirror", "other", TEXT) if mirrored else None
    with pytest.raises(
        SourceError, match=r"cannot be reached.*DEFTX_MIRROR to a folder that holds corpora/ace\.txt"
    ) as e:
        fetch(File(path="corpora/ace.txt", url=url, sha256=SHA), tmp_path / "out" / "x", mirror)
    assert (str(mirror) in str(e.value)) is mirrored
    assert not list((tmp_path / "out").iterdir())


# Downloads that break off


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[server.Server]:
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    with server.running() as one:
        one.files["/text"] = TEXT
        yield one


def on(web: server.Server) -> File:
    return File(path="text", url=f"{web.address}/text", sha256=SHA)


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path, web: server.Server) -> None:
    web.breaks_after = 6000
    fetch(on(web), tmp_path / "text", None)
    assert [part for _, _, part in web.asked] == [None, "bytes=6000-", "bytes=12000-"]
    assert (tmp_path / "text").read_bytes() == TEXT
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_a_download_that_brings_nothing_more_goes_on_in_the_next_run(tmp_path: Path, web: server.Server) -> None:
    (tmp_path / ".text.part").write_bytes(TEXT[:6000])
    web.breaks_after = 0
    with pytest.raises(SourceError, match="interrupted after 6000 of 15000 bytes; the next run resumes there"):
        fetch(on(web), tmp_path / "text", None)
    assert not (tmp_path / "text").exists()
    assert [part for _, _, part in web.asked] == ["bytes=6000-"] * fetching.TRIES
    web.breaks_after = None
    fetch(on(web), tmp_path / "text", None)
    assert (tmp_path / "text").read_bytes() == TEXT


def test_a_server_without_parts_that_always_breaks_off(tmp_path: Path, web: server.Server) -> None:
    web.parts, web.breaks_after = False, 6000
    with pytest.raises(SourceError, match="interrupted after 6000 of 15000 bytes"):
        fetch(on(web), tmp_path / "text", None)
    assert len(web.asked) == 1 + fetching.TRIES


def test_what_the_server_does_not_have_is_asked_for_once(tmp_path: Path, web: server.Server) -> None:
    with pytest.raises(SourceError, match=r"cannot be reached \(Not Found\)"):
        fetch(on(web).model_copy(update={"url": f"{web.address}/other"}), tmp_path / "text", None)
    assert len(web.asked) == 1


def test_a_server_without_parts_sends_all_again(tmp_path: Path, web: server.Server) -> None:
    (tmp_path / ".text.part").write_bytes(b"what came before")
    web.parts = False
    fetch(on(web), tmp_path / "text", None)
    assert (tmp_path / "text").read_bytes() == TEXT


def test_a_download_that_was_whole_when_the_job_was_killed(tmp_path: Path, web: server.Server) -> None:
    (tmp_path / ".text.part").write_bytes(TEXT)
    fetch(on(web), tmp_path / "text", None)
    assert (tmp_path / "text").read_bytes() == TEXT


def test_what_came_before_was_of_another_file(tmp_path: Path, web: server.Server) -> None:
    """The next try begins anew."""
    (tmp_path / ".text.part").write_bytes(b"x" * 100)
    with pytest.raises(SourceError, match="not the file that was pinned"):
        fetch(on(web), tmp_path / "text", None)
    assert not list(tmp_path.iterdir())
    fetch(on(web), tmp_path / "text", None)
    assert (tmp_path / "text").read_bytes() == TEXT


def test_a_file_of_the_hub_from_the_mirror(tmp_path: Path) -> None:
    """Without a SHA-256 its size alone can be checked."""
    mirror = in_folder(tmp_path / "mirror", "rows/data/train.parquet", TEXT)
    pin = File(hub="somebody/rows", commit="0" * 40, path="data/train.parquet", size=len(TEXT))
    fetch(pin, tmp_path / "out", mirror)
    assert (tmp_path / "out").read_bytes() == TEXT
    with pytest.raises(SourceError, match="15000 bytes, expected 7"):
        fetch(pin.model_copy(update={"size": 7}), tmp_path / "out2", mirror)


def test_pins_tell_files_apart() -> None:
    hub = {"hub": "somebody/rows", "commit": "0" * 40, "path": "a"}
    assert File.model_validate(hub | {"sha256": SHA}).pin == SHA
    pins = {File.model_validate(hub | change).pin for change in ({}, {"path": "b"}, {"commit": "1" * 40})}
    assert len(pins) == 3
    assert all(pin is not None and len(pin) == 64 for pin in pins)
    assert File(path="here").pin is None
