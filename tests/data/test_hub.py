"""The hub: a file at a commit comes verified, and each refusal is one message with the way out.

The hub is a server on this machine that answers as the hub does.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deftx.config.data import File
from deftx.core.errors import SourceError
from deftx.data.fetch import fetch
from tests.helpers import server
from tests.helpers.command import refused

COMMIT = "a" * 40
CONTENT = b"rows of a table\n" * 500
FILE = File(hub="somebody/rows", commit=COMMIT, path="data/train.parquet")
PATH = f"/datasets/somebody/rows/resolve/{COMMIT}/data/train.parquet"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[server.Server]:
    """A hub of its own with an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with server.running() as one:
        one.commit = COMMIT
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, one.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", one.address)
        yield one


def test_a_file_at_a_commit(hub: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once fetched, it is there without the network, too."""
    from huggingface_hub import constants

    hub.files[PATH] = CONTENT
    fetch(FILE, tmp_path / "out" / "train.parquet", None)
    assert (tmp_path / "out" / "train.parquet").read_bytes() == CONTENT
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fetch(FILE, tmp_path / "again", None)
    assert (tmp_path / "again").read_bytes() == CONTENT


def test_content_other_than_the_hub_states(hub: server.Server, tmp_path: Path) -> None:
    """The cache was damaged, or the hub gave something else: the cache's name for the file is its hash."""
    hub.files[PATH] = CONTENT
    fetch(FILE, tmp_path / "out", None)
    (blob,) = (path for path in (tmp_path / "cache").rglob("blobs/*") if path.is_file())
    blob.write_bytes(CONTENT[::-1])
    with pytest.raises(SourceError, match=r"is not what the hub states for somebody/rows/data/train\.parquet; delete"):
        fetch(FILE, tmp_path / "out2", None)
    assert not (tmp_path / "out2").exists()


@pytest.mark.parametrize("known", [{"size": 3}, {"sha256": "0" * 64}], ids=["size", "sha256"])
def test_content_other_than_the_pin_states(hub: server.Server, tmp_path: Path, known: dict[str, object]) -> None:
    hub.files[PATH] = CONTENT
    with pytest.raises(SourceError, match=r"is not the file that was pinned.*expected (3|0000)"):
        fetch(FILE.model_copy(update=known), tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


REFUSALS = {
    "no such repository, or it is private": (401, "RepoNotFound"),
    "it is gated. Accept its terms on its page, then log in (hf auth login), or set HF_TOKEN": (403, "GatedRepo"),
    "there is no such commit": (404, "RevisionNotFound"),
    "the repository has no such file": (404, "EntryNotFound"),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_refusals(hub: server.Server, tmp_path: Path, message: str) -> None:
    hub.refusals["/"] = REFUSALS[message]
    said = refused("fetch", "--file", FILE.model_dump_json(), "--out", tmp_path / "out" / "x")
    assert "somebody/rows/data/train.parquet" in said
    assert message in said
    assert not list((tmp_path / "out").iterdir())


def test_offline_without_cache_or_mirror(hub: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refused("fetch", "--file", FILE.model_dump_json(), "--out", tmp_path / "x", "--mirror", tmp_path)
    assert "the hub cannot be reached, and its cache does not hold it" in said
    assert "DEFTX_MIRROR to a folder that holds rows/data/train.parquet" in said
    assert str(tmp_path) in said


@pytest.fixture
def nowhere(hub: server.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and no patience: whatever waits for one fails."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("DEFTX_BASE", raising=False)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waits {seconds} s"))


COMMANDS = [
    ["fetch", "--file", FILE.model_dump_json()],
    ["base", "--settings", '{"model": "nobody/nothing"}'],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_a_network_one_line_says_so_at_once(
    nowhere: None, tmp_path: Path, command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor has anything else of the process been put offline."""
    from huggingface_hub import constants

    said = refused(*command, "--out", tmp_path / "out")
    assert "the hub cannot be reached, and its cache does not hold it" in said
    assert said.count("\n") == 1
    assert capfd.readouterr().err == ""
    assert not constants.HF_HUB_OFFLINE
    assert not list(tmp_path.rglob("out"))


def test_without_a_network_the_hub_s_cache_serves(
    hub: server.Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hub.files[PATH] = CONTENT
    fetch(FILE, tmp_path / "out", None)
    request.getfixturevalue("nowhere")
    fetch(FILE, tmp_path / "again", None)
    assert (tmp_path / "again").read_bytes() == CONTENT


@pytest.mark.parametrize("message", [*REFUSALS][:2])
def test_a_base_model_the_hub_refuses(
    hub: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    monkeypatch.delenv("DEFTX_BASE", raising=False)
    hub.refusals["/"] = REFUSALS[message]
    said = refused("base", "--settings", '{"model": "nobody/nothing"}', "--out", tmp_path / "base.json")
    assert "the base model nobody/nothing cannot be loaded" in said
    assert message in said
    assert "DEFTX_BASE" in said


def test_a_base_model_offline(hub: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("DEFTX_BASE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refused("base", "--settings", '{"model": "nobody/nothing"}', "--out", tmp_path / "base.json")
    assert "the hub cannot be reached, and its cache does not hold it" in said
    assert "DEFTX_BASE" in said
