"""Checkpoints, and what they stand for, are on the disk before anything that they replace goes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from deftx.core import files
from deftx.training import checkpoints


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was done to files and folders, by their names, in order; no test can take the power away."""
    seen: list[str] = []
    sync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def watched_sync(descriptor: int) -> None:
        seen.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def watched_rename(path: Path, target: Path) -> Path:
        seen.append(f"rename {path.name} {target.name}")
        return replace(path, target)

    def watched_removal(path: Path, **options: Any) -> None:
        if path.exists():
            seen.append(f"remove {path.name}")
        unlink(path, **options)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(Path, "replace", watched_rename)
    monkeypatch.setattr(Path, "unlink", watched_removal)
    return seen


def test_a_checkpoint_is_on_the_disk_before_it_takes_the_last_one_s_name(tmp_path: Path, events: list[str]) -> None:
    path = checkpoints.path_for(tmp_path / "delta", {})
    for step in (1, 2):
        events.clear()
        checkpoints.save(path, {"value": torch.ones(3)}, {"step": step})
        # Under its own name in a folder of its own, which then goes.
        assert events == [f"sync {path.name}", f"rename {path.name} {path.name}", f"sync {tmp_path.name}"]
        assert list(tmp_path.iterdir()) == [path]
    loaded = checkpoints.load(path)
    assert loaded is not None and loaded[1] == {"step": 2}


def test_a_checkpoint_goes_when_the_disk_holds_the_results(tmp_path: Path, events: list[str]) -> None:
    out, record = tmp_path / "delta", tmp_path / "delta.json"
    path = checkpoints.path_for(out, {})
    checkpoints.save(path, {"value": torch.ones(3)}, {"step": 1})
    files.write_text(out, "values")
    files.write_text(record, "record")
    events.clear()
    checkpoints.remove(out, [out, record])
    assert events == ["sync delta", "sync delta.json", f"sync {tmp_path.name}", f"remove {path.name}"]


def test_a_folder_that_cannot_be_synchronised_is_none_of_our_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems refuse it."""

    asked = []

    def refuse(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    files.flush(tmp_path)
    assert len(asked) == 1
