"""A full disk: every stage names the file it could not write and the way out, leaves no part, and goes on later."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deftx.cli.app import app
from deftx.config.data import File
from deftx.core.errors import OutputError, SourceError
from deftx.data import fetch
from deftx.finetuning import common
from deftx.training import checkpoints
from tests.data import test_hub as test_hub
from tests.faults.conftest import mount
from tests.helpers import pico, results, server
from tests.helpers import project as projects
from tests.helpers.command import files, refused, run, spec
from tests.helpers.project import Project
from tests.helpers.trainings import Trainings
from tests.workflow.test_runs import digests

PAGE = 4096
BALLAST = "ballast"
PHASE = {"max_steps": 2, "learning_rate": 1e-3, "batch_size": 8}
LANGUAGE = {"precision": "fp32", "block": 16}
CORPUS = json.dumps({"files": [{"path": "text"}], "min_lines": 10, "valid": 0.2})
COSTS = {
    "methods": {"lt-sft": "LT-SFT"},
    "languages": {},
    "modules": {"mood": {"lt-sft": {"b": ["sft"]}}},
    "made": {},
    "stages": {},
}
SWEEPS = {"knob": {"title": "knob", "at": [1], "series": {"both": ["lt-sft"]}}}
EXPERIMENT = {
    "name": "made",
    "base": {},
    "languages": {"a": {}, "b": {}},
    "tasks": {"mood": {"source": "a", "targets": ["b"]}},
    "methods": {method: {} for method in results.METHODS},
    "seeds": {"task": [0]},
}
CAPTIONS = projects.REPOSITORY / "captions"


def fill(disk: Path, room: int = 0) -> None:
    """Fill a disk up to `room` bytes."""
    with (disk / BALLAST).open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * PAGE)
        except OSError:
            file.truncate(max(0, file.tell() - room))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pico_bert: Path) -> Path:
    """What the stages need of those before: text, rows, a delta, a mask, vectors, a recipe, predictions, tables."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(pico_bert.parent, folder, dirs_exist_ok=True)
    Trainings(folder / "base.json", folder)
    results.predictions(folder, ("a", "b"), [0])
    for stage in ("train", "mask", "sparse", "task", "compose", "predict", "tables"):
        run(*COMMANDS[stage](folder, folder))
    return folder


def trained(made: Path, out: Path, type: str = "dense", sizes: Any = None, *options: Any) -> list[Any]:
    data = ["--base", made / "base.json", "--train", made / "train.txt", "--valid", made / "valid.txt"]
    return ["train", "--spec", spec(type, phase=PHASE, sizes=sizes, **LANGUAGE), *data, "--out", out, *options]


def trained_task(made: Path, out: Path) -> list[Any]:
    data = ["--base", made / "base.json", "--train", made / "train.csv", "--valid", made / "valid.csv"]
    settings = {"precision": "fp32", "max_length": 16}
    return ["train", "--spec", spec(labels=pico.LABELS, phase=PHASE, **settings), *data, "--out", out]


def masked(made: Path, out: Path, *selection: Any) -> list[Any]:
    return [*selection, "--k", 400, "--out", out / "mask", "--report", out / "mask.json"]


def pretrained(made: Path, out: Path) -> list[Any]:
    settings = projects.PICO["base"]
    data = ["--train", made / "train.txt", "--valid", made / "valid.txt"]
    return ["base", "--settings", json.dumps(settings), "--family", json.dumps(projects.FAMILY), *data,
            "--out", out / "base.json"]  # fmt: skip


COMMANDS: dict[str, Callable[[Path, Path], list[Any]]] = {
    "corpus": lambda made, out: ["corpus", "xx", "--settings", CORPUS, "--raw", made / "train.txt", "--out", out],
    "dataset": lambda made, out: [
        *("dataset", "xx", "train", "--settings", '{"layout": "csv"}', "--labels", json.dumps(pico.LABELS)),
        *("--raw", made / "train.csv", "--out", out / "rows.csv"),
    ],
    "base": pretrained,
    "train": lambda made, out: trained(made, out / "delta"),
    "gradients": lambda made, out: trained(made, out / "sums", "gradients"),
    "adapter": lambda made, out: trained(made, out / "adapter", "adapter"),
    "lora": lambda made, out: trained(made, out / "lora", "lora", {"rank": 2}),
    "mask": lambda made, out: masked(made, out, "mask", made / "delta", "--selection", '{"rank": {"variance": 0.9}}'),
    "random-mask": lambda made, out: masked(made, out, "random-mask", made / "delta"),
    "sparse": lambda made, out: trained(made, out / "sft", "sft", None, "--mask", made / "mask"),
    "task": lambda made, out: trained_task(made, out / "task"),
    "prune": lambda made, out: ["prune", made / "delta", "--mask", made / "mask", "--out", out / "pruned"],
    "compose": lambda made, out: [
        *("compose", made / "task", made / "sft", "--base", made / "base.json", "--out", out / "recipe.json"),
    ],
    "export": lambda made, out: [
        *("export", made / "recipe.json", "--base", made / "base.json", "--out", out / "whole"),
    ],
    "predict": lambda made, out: [
        *("predict", made / "recipe.json", "--base", made / "base.json", "--dataset", made / "valid.csv"),
        *("--max-length", 16, "--predictions", out / "predictions.csv"),
    ],
    "score": lambda made, out: [
        *("score", "--predictions", made / "predictions.csv", "--scores", out / "scores.json"),
    ],
    "evaluate": lambda made, out: [
        *("evaluate", made / "recipe.json", "--base", made / "base.json", "--dataset", made / "valid.csv"),
        *("--max-length", 16, "--scores", out / "scores.json", "--predictions", out / "predictions.csv"),
    ],
    "overlap": lambda made, out: [
        *("overlap", f"one={made}/sft", f"other={made}/delta", "--out", out / "overlap.csv"),
    ],
    "tables": lambda made, out: [
        *("tables", made, "--plan", json.dumps(results.plan(("a", "b"), [0], vectors=["delta"])), "--out", out),
    ],
    "costs": lambda made, out: [
        *("costs", made, "--plan", json.dumps(COSTS), "--scores", made / "scores.csv", "--out", out),
    ],
    "figures": lambda made, out: ["figures", made, "--out", out],
    "sweeps": lambda made, out: [
        *("sweeps", made / "scores.csv", "--settings", json.dumps(SWEEPS), "--out", out / "sweeps"),
    ],
    "report": lambda made, out: [
        *("report", made, "--config", json.dumps(EXPERIMENT), "--base", made / "base.json"),
        *(part for caption in sorted(CAPTIONS.glob("*.rst")) for part in ("--captions", caption)),
        *("--out", out / "report.html"),
    ],
}  # fmt: skip
"""A command of each stage, by what is made and where it writes."""


def kept(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder) if name != BALLAST}


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("stage", COMMANDS)
def test_each_stage(made: Path, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Without any room, with room for half of the first file, and with room again."""
    monkeypatch.setattr(common, "_check_room", lambda *_: None)  # the disk may fill up after it has looked
    whole = tmp_path / "whole"
    whole.mkdir()
    run(*COMMANDS[stage](made, whole))
    expected = kept(whole)
    half = max(map(len, expected.values())) // 2 // PAGE * PAGE
    for room in {0, half}:
        fill(disk, room)
        message = refused(*COMMANDS[stage](made, disk))
        assert message.count(f"{disk}/") == 1 and message.startswith(f"{disk}/")
        assert " cannot be written: No space left on device. Make room on the disk of " in message
        assert kept(disk).items() <= expected.items()
        emptied(disk)
    run(*COMMANDS[stage](made, disk))
    assert kept(disk) == expected


def test_every_stage_is_here() -> None:
    """Those that only read, write where a test of their own looks, or have nothing to do yet (`view`), aside."""
    verbs = {str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback}
    elsewhere = {"fetch", "convert", "plan", "status", "adopt", "clean-deltas", "schema", "view"}
    assert verbs - {COMMANDS[stage](Path(), Path())[0] for stage in COMMANDS} == elsewhere


def test_a_training_that_has_no_room_does_not_begin(made: Path, disk: Path) -> None:
    fill(disk, PAGE)
    message = refused(*COMMANDS["train"](made, disk))
    assert message.startswith(f"{disk}/delta: training needs ") and "Make room" in message
    assert files(disk) == [BALLAST]


@pytest.mark.parametrize("program", ["echo to $6 >&2; echo refused >&2; exit 32", None])
def test_skips_have_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None) -> None:
    """The same in every test, or pytest would say it for each; also where there is no mount at all."""
    if program:
        (tmp_path / "mount").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "mount").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    reasons = set()
    for name in ("one", "other"):
        with pytest.raises(pytest.skip.Exception) as skipped:
            mount(tmp_path / name)
        reasons.add(str(skipped.value))
    assert reasons == {"needs a small file system, and mounting one is refused"}


def test_a_checkpoint_keeps_the_one_before(disk: Path) -> None:
    path, first = disk / "checkpoint", {"w": torch.zeros(9000)}
    checkpoints.save(path, first, {"step": 1})
    before = path.read_bytes()
    fill(disk, 2 * PAGE)
    with pytest.raises(OutputError, match=r"checkpoint cannot be written: No space left on device\. Make room"):
        checkpoints.save(path, {"w": torch.ones(9000)}, {"step": 2})
    assert path.read_bytes() == before and files(disk) == [BALLAST, "checkpoint"]


def pinned(address: str, content: bytes) -> File:
    return File(path="text", url=f"{address}/text", sha256=hashlib.sha256(content).hexdigest())


def test_a_copy_from_a_mirror(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(bytes(3 * PAGE))
    fill(disk, PAGE)
    with pytest.raises(OutputError, match=r"disk/text cannot be written: No space left on device\. Make room"):
        fetch.fetch(pinned("http://127.0.0.1:9", bytes(3 * PAGE)), disk / "text", tmp_path)
    assert files(disk) == [BALLAST]


def test_a_download_goes_on_once_there_is_room(disk: Path) -> None:
    with server.running() as web:
        web.files["/text"] = content = os.urandom(30 * PAGE)
        file = pinned(web.address, content)
        fill(disk, 4 * PAGE)
        with pytest.raises(OutputError, match=r"text\.part cannot be written: No space left on device\. Make room"):
            fetch.fetch(file, disk / "text", None)
        assert not (disk / "text").exists()
        (disk / BALLAST).unlink()
        fetch.fetch(file, disk / "text", None)
        assert web.asked[-1][2] == f"bytes={4 * PAGE}-"
    assert (disk / "text").read_bytes() == content and files(disk) == ["text"]


def test_a_cache_of_the_hub_s_on_the_full_disk(
    hub: server.Server, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disk / "cache"))
    hub.files[test_hub.PATH] = bytes(9 * PAGE)
    fill(disk, PAGE)
    with pytest.raises(SourceError, match=r"its cache cannot be written \(.*No space left on device\)\. Make room"):
        fetch.fetch(test_hub.FILE, tmp_path / "out", None)
    assert files(tmp_path / "out") == []
    (disk / BALLAST).unlink()
    fetch.fetch(test_hub.FILE, tmp_path / "out", None)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    fill(disk, PAGE)
    with pytest.raises(OutputError, match=r"disk/out cannot be written: No space left on device\. Make room"):
        fetch.fetch(test_hub.FILE, disk / "out", None)
    assert not (disk / "out").exists()


def test_a_message_where_the_log_lies_on_the_full_disk(tmp_path: Path) -> None:
    """As a job's `2> log` has it; Snakemake shows what comes on standard output."""
    arguments = ["corpus", "xx", "--settings", CORPUS, "--raw", "none", "--out", tmp_path]
    command = [Path(sys.executable).with_name("deftx"), *arguments]
    with Path("/dev/full").open("w") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert done.returncode == 1
    assert done.stdout == "error: none: No such file or directory. Check the path in the configuration\n"


def test_a_run_goes_on_once_there_is_room(finished: Project, disk: Path, tmp_path: Path) -> None:
    """Results and logs on the full disk, Snakemake's own records on another."""
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.folder / "results")
    shutil.copytree(finished.folder / "results", disk / "results", copy_function=shutil.copy2)
    (project.folder / "results").symlink_to(disk / "results")
    for name in ("masks/language/deft-x", "predictions/task-sft/sentiment", "scores/task-sft/sentiment"):
        shutil.rmtree(project.results / name / "nolo")
    names = "masks/language/deft-x/nolo", "scores/task-sft/sentiment/nolo"
    targets = [f"results/pico/{name}/seed0.json" for name in names]
    fill(disk)
    done = project.snakemake(*targets)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout
    for name in ("masks/language/deft-x/nolo/.scratch", "predictions/task-sft/sentiment/nolo/seed0.csv"):
        assert f"results/pico/{name} cannot be written: No space left on device. Make room" in done.stdout
    assert not list(disk.rglob(".*.part"))
    (disk / BALLAST).unlink()
    project.run(*targets)
    assert digests(project) == digests(finished)
