"""Progress of trainings: the file beside the log, lines in the log and on a terminal; none of it changes a result."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from torch import Tensor, nn

from deftx.core.errors import DeltaError, StoppedError
from deftx.tasks.objective import Batch
from deftx.training import progress
from deftx.training.progress import Snapshot
from tests.helpers import REPOSITORY
from tests.helpers.terminal import output_on_terminal
from tests.training.test_loop import Toy, equal, fit, phase

JOB = "full/task/nli/base/seed0"
STEPS = """
import logging, os, sys
from deftx.training import progress
progress.TERMINAL_SECONDS = 0.0, 0.0
logging.getLogger("deftx").setLevel(os.environ.get("LEVEL", "INFO"))
with progress.Progress(3) as bar:
    for loss in (3.0, 2.5, 2.25):
        bar.advance(loss, 8)
"""
COMMAND = (sys.executable, "-c", STEPS)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the progress file of a training of this process lies."""
    path = tmp_path / f"logs/{JOB}{progress.ENDING}"
    monkeypatch.setenv("DEFTX_PROGRESS", str(path))
    return path


def read(path: Path) -> Snapshot:
    snapshot = progress.read(path)
    assert snapshot is not None
    return snapshot


def test_the_file_of_a_finished_training(file: Path) -> None:
    _, record = fit(Toy(), phase(evaluate_every=3))
    now = read(file)
    assert (now.job, now.stage, now.state) == (JOB, "full fine-tuning", "finished")
    assert (now.step, now.steps, now.pid, now.host) == (10, 10, os.getpid(), os.uname().nodename)
    assert now.evaluation == record.history[-1] and now.seconds_left is None
    assert now.loss is not None and now.tokens_per_second is not None and now.time > 0
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_file_is_there_from_the_start_and_new_at_each_evaluation(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FILE_SECONDS", math.inf)
    seen = []

    class Read(Toy):
        def evaluate(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
            seen.append(read(file))
            return super().evaluate(model, process, processes)

        def loss(self, model: nn.Module, batch: Batch) -> Tensor:
            seen.append(read(file))
            return super().loss(model, batch)

    fit(Read(), phase(max_steps=6, evaluate_every=4))
    assert {now.state for now in seen} == {"running"}
    evaluated = [(now.step, now.evaluation.get("step")) for now in seen]
    assert evaluated == [(0, None), *[(0, 0)] * 5, *[(4, 4)] * 3]
    assert seen[-1].seconds_left is not None and seen[-1].seconds_left > 0


def test_between_evaluations_the_file_is_written_every_few_seconds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FILE_SECONDS", 0.0)
    steps = []

    class Read(Toy):
        def loss(self, model: nn.Module, batch: Batch) -> Tensor:
            steps.append(read(file).step)
            return super().loss(model, batch)

    fit(Read(), phase(max_steps=4))
    assert steps == [0, 1, 2, 3]


@pytest.mark.parametrize(("end", "state"), [("stopped", "stopped"), ("interrupted", "stopped"), ("diverged", "failed")])
def test_the_file_says_how_a_training_ended(file: Path, end: str, state: str) -> None:
    class Ending(Toy):
        def loss(self, model: nn.Module, batch: Batch) -> Tensor:
            if self.steps == 4 and end == "stopped":
                signal.raise_signal(signal.SIGTERM)
            if self.steps == 4 and end == "interrupted":
                raise KeyboardInterrupt
            return super().loss(model, batch) * (math.nan if end == "diverged" and self.steps == 4 else 1.0)

    with pytest.raises((StoppedError, KeyboardInterrupt, DeltaError)):
        fit(Ending(), phase())
    assert (read(file).state, read(file).steps) == (state, 10)


def test_a_resumed_training_counts_on(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deftx.training.loop.CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        fit(Toy(stop_at=4), phase(), checkpoint=tmp_path / "checkpoint")
    assert (read(file).step, read(file).state) == (4, "stopped")
    fit(Toy(), phase(), checkpoint=tmp_path / "checkpoint")
    assert (read(file).step, read(file).state) == (10, "finished")


@pytest.mark.parametrize("place", ["{folder}/file/seed0.progress.json", "/proc/seed0.progress.json", ""])
def test_where_no_file_can_be_written_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEFTX_PROGRESS", place.format(folder=tmp_path))
    model, record = fit(Toy(), phase(evaluate_every=3))
    monkeypatch.setenv("DEFTX_PROGRESS", str(tmp_path / "seed0.progress.json"))
    expected, other_record = fit(Toy(), phase(evaluate_every=3))
    assert equal(model, expected) and asdict(record) == asdict(other_record)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] != ["file"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"job": "full"}', b"\xff\x00"])
def test_what_is_not_a_progress_file_is_nothing(tmp_path: Path, content: bytes) -> None:
    assert progress.read(tmp_path / "missing") is None
    (tmp_path / "file").write_bytes(content)
    assert progress.read(tmp_path / "file") is None


def test_measures_that_are_not_numbers_leave_json(file: Path) -> None:
    with progress.Progress(1) as bar:
        bar.evaluated({"step": 0, "loss": math.nan, "f1": math.inf})
    content = json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert content["evaluation"] == {"step": 0, "loss": None, "f1": None}


def environment(**changes: str) -> dict[str, str]:
    """The environment of a training of three steps in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEFTX_")}
    return inherited | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])} | changes


def train(stderr: int) -> None:
    """Show the progress of three steps in a process whose standard error goes there."""
    subprocess.run(COMMAND, check=True, stdout=subprocess.DEVNULL, stderr=stderr, env=environment())


def test_the_file_lies_beside_the_log_that_standard_error_goes_to(tmp_path: Path) -> None:
    folder = tmp_path / "logs/sparse/language/deft-x/ind"
    folder.mkdir(parents=True)
    with (folder / "seed0.log").open("w") as log:
        train(log.fileno())
    assert sorted(path.name for path in folder.iterdir()) == ["seed0.log", "seed0.progress.json"]
    now = read(folder / "seed0.progress.json")
    assert (now.job, now.step, now.loss) == ("sparse/language/deft-x/ind/seed0", 3, 2.25)


def test_without_a_log_there_is_no_file(tmp_path: Path) -> None:
    """Standard error is a pipe, as before `tee`, a file of another kind, or one that has been removed."""
    train(subprocess.PIPE)
    with (tmp_path / "slurm-1.out").open("w") as output, (tmp_path / "gone.log").open("w") as removed:
        (tmp_path / "gone.log").unlink()
        for stream in (output, removed):
            train(stream.fileno())
    assert [path.name for path in tmp_path.iterdir()] == ["slurm-1.out"]


def test_whole_lines_reach_the_terminal_beside_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "logs/full/language/ind"
    folder.mkdir(parents=True)
    lines = output_on_terminal(COMMAND, folder / "seed0.log", env=environment()).split("\r\n")
    assert lines == [
        *(f"full fine-tuning ind seed 0: step {step}/3, loss {loss}, 0 s left" for step, loss in
          ((1, "3"), (2, "2.5"), (3, "2.25"))),
        "",
    ]  # fmt: skip


@pytest.mark.parametrize("changes", [{"DEFTX_TERMINAL": "0"}, {"LEVEL": "WARNING"}])
def test_lines_on_the_terminal_can_be_turned_off(tmp_path: Path, changes: dict[str, str]) -> None:
    assert output_on_terminal(COMMAND, tmp_path / "seed0.log", env=environment(**changes)) == ""


def test_a_terminal_with_a_bar_gets_no_lines() -> None:
    output = output_on_terminal(COMMAND, env=environment())
    assert "3/3" in output and "left" not in output
    assert output_on_terminal(COMMAND, env=environment(LEVEL="WARNING")) == ""


def test_a_log_gets_a_line_from_time_to_time(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    with caplog.at_level("INFO", "deftx"):
        fit(Toy(), phase(max_steps=2))
    begins = [message.partition(", loss ")[0] for message in caplog.messages]
    assert begins == ["Step 1/2", "Step 2/2"] and all(message.endswith(" left") for message in caplog.messages)


@pytest.mark.parametrize(
    ("path", "job", "title"),
    [
        ("results/a/logs/base.progress.json", "base", "base model"),
        ("logs/x/logs/lora/language/ace/seed12.progress.json", "lora/language/ace/seed12", "LoRA ace seed 12"),
        (
            "r/logs/sparse/task/deft-x/nli/base/seed0.progress.json",
            "sparse/task/deft-x/nli/base/seed0",
            "sparse fine-tuning deft-x nli base seed 0",
        ),
        ("mine.progress.json", "mine", "mine"),
        ("there/seeds.json", "seeds.json", "seeds.json"),
        (None, "training", "training"),
    ],
)
def test_jobs_are_named_by_their_logs(path: str | None, job: str, title: str) -> None:
    assert progress.job_of(Path(path) if path else None) == job
    assert progress.title_of(job) == title


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3560, "59 min"), (3590, "1 h 00 min"), (7500, "2 h 05 min"),
     (200_000, "2 d 7 h")],
)  # fmt: skip
def test_times_are_rounded(seconds: float, text: str) -> None:
    assert progress.about(seconds) == text
