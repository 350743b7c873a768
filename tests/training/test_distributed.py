"""Several processes training together reach what one reaches; their gradients are summed by deftx alone."""

import hashlib
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from deftx.config.masks import Denoising
from deftx.config.training import TaskTraining
from deftx.core.errors import ConfigError
from deftx.masks.select import build
from deftx.models import base_model
from deftx.modules import adapters, lora, vectors
from deftx.tasks.objective import Batch
from deftx.training import loop, progress
from deftx.training.launch import _ended, launch
from deftx.training.trainable import masked_entries, parameters_of
from tests.helpers import REPOSITORY, pico, trainings
from tests.helpers.command import spec

PHASE = {"max_steps": 4, "batch_size": 7}
LONGER = {"max_steps": 60, "batch_size": 16, "learning_rate": 3e-3, "l1": 0.0}
SEEDS = range(4)
MASKED = 400
TRAININGS = list(product(trainings.LESSONS, ("delta", "sft", "adapter", "lora")))


class Watched:
    """What a process does in a training: whether it keeps to its share, what it sees, sends, and ends with."""

    def __init__(self, run: type[loop._Run], patch: pytest.MonkeyPatch) -> None:
        self.batches, self.values = hashlib.sha256(), ""
        self.sent: list[int] = []  # bytes, by step
        backward, on_device, advance, finish = run._backward, run._on_device, run.advance, run.finish
        add = torch.distributed.all_reduce

        def watched_backward(run: loop._Run, batch: Batch) -> float:
            for tensor in batch.values():
                self.batches.update(tensor.numpy().tobytes())
            return backward(run, batch)

        def watched_share(run: loop._Run, batch: Batch) -> Batch:
            if run.step == 1 and os.environ.get("TERMINATED", "none") == os.environ.get("RANK"):
                os.kill(os.getpid(), signal.SIGTERM)
            share = math.ceil(run.phase.batch_size / int(os.environ.get("WORLD_SIZE", "1")))
            assert len(batch["input_ids"]) <= share, "a process trained on more than its share"
            return on_device(run, batch)

        def watched_step(run: loop._Run) -> float:
            self.sent.append(0)
            return advance(run)

        def watched_sum(tensor: torch.Tensor) -> None:
            if self.sent:
                self.sent[-1] += tensor.nbytes
            add(tensor)

        def watched_end(run: loop._Run) -> loop.Record:
            digest = hashlib.sha256()
            for value in run.leaves.values():
                digest.update(value.detach().numpy().tobytes())
            self.values = digest.hexdigest()
            return finish(run)

        for name, function in (("_backward", watched_backward), ("_on_device", watched_share),
                               ("advance", watched_step), ("finish", watched_end)):  # fmt: skip
            patch.setattr(run, name, function)
        patch.setattr(torch.distributed, "all_reduce", watched_sum)

    def said(self) -> dict[str, Any]:
        return {"batches": self.batches.hexdigest(), "values": self.values, "sent": self.sent}


Job = dict[str, Any]


def job(base_json: Path, folder: Path, out: str, kind: str, role: str, **more: Any) -> Job:
    return {"base_json": str(base_json), "folder": str(folder), "out": out, "kind": kind, "role": role} | PHASE | more


def train(
    base_json: str, folder: str, out: str, kind: str, role: str, mask: str | None = None, rows: int = 0, **more: Any
) -> None:
    """One training; what every process runs. Leaves what it has seen and sent beside the result.

    `rows` are so many to learn a task from, in place of a few.
    """
    with pytest.MonkeyPatch.context() as patch:
        watched = Watched(loop._Run, patch)
        if kind in ("delta", "sft"):
            more = {"l1": 0.1} | more
        made = trainings.Trainings(Path(base_json), Path(folder))
        if rows:
            made.rows = pico.rows(Path(folder, "many.csv"), rows), pico.rows(Path(folder, "held.csv"), 100, seed=1)
        made.train(kind, role, out, Path(mask) if mask else None, **more)
    Path(folder, f"{out}.process{os.environ.get('RANK', 0)}").write_text(json.dumps(watched.said()))


def without_dropout(pico_xlmr: Path, folder: Path) -> Path:
    """A base model without dropout."""
    description = base_model.read(pico_xlmr)
    config = json.loads((Path(description.location) / "config.json").read_text())
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        target = folder / "base" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((Path(description.location) / name).read_bytes())
    changed = config | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "base/config.json").write_text(json.dumps(changed))
    base_model.describe(None, None, str(folder / "base"), folder / "base.json")
    return folder / "base.json"


def together(jobs: list[Job], count: int = 2, terminated: int | None = None) -> list[str]:
    """Run trainings one after the other in `count` processes at once, as torchrun would; returns what each says.

    The process `terminated` gets SIGTERM in its second step.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = "tests.training.test_distributed"
    script = f"import sys, json; from {module} import train\nfor job in json.loads(sys.argv[1]): train(**job)"
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    if terminated is not None:
        shared["TERMINATED"] = str(terminated)
    path = os.pathsep.join([str(REPOSITORY), *sys.path])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(jobs)],
            env=os.environ | shared | {"RANK": str(n), "LOCAL_RANK": str(n), "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(count)
    ]
    said = [process.communicate(timeout=300)[1] for process in running]
    assert all((process.returncode == 0) is (terminated is None) for process in running), said
    return said


def difference(one: Path, other: Path, kind: str) -> float:
    """Norm of the difference over the norm, squared; key biases aside (their true gradient is zero)."""
    group = {"delta": "dense", "sft": "values"}.get(kind, "parameters")
    load: Any = {"adapter": adapters.load, "lora": lora.load}.get(kind, vectors.load)
    a, b = load(one), load(other)
    pairs = [(x, getattr(b, g)[n]) for g in (group, "head") for n, x in getattr(a, g).items() if "key.bias" not in n]
    assert a.head.keys() == b.head.keys() and pairs
    return sum(float(np.square(x - y).sum()) for x, y in pairs) / sum(float(np.square(x).sum()) for x, _ in pairs)


@dataclass(frozen=True)
class Pair:
    """Trainings of one process (`NAME-1`), and of two together (`NAME-2`)."""

    folder: Path

    def names(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}-1", self.folder / f"{name}-2"

    def said(self, name: str, process: int) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / f"{name}.process{process}").read_text())
        return content


@pytest.fixture(scope="module")
def pair(pico_xlmr: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """All kinds of training of a language and of a task without dropout; with dropout one of a language (`noisy`)
    and of a task one for each seed (`scored`)."""
    folder = tmp_path_factory.mktemp("pair")
    still = without_dropout(pico_xlmr, folder)
    jobs = []
    for role, kind in TRAININGS:
        name = f"{role}-{kind}"
        if kind == "sft":
            build(folder / f"{role}-delta-1", Denoising(), MASKED, folder / f"{role}-mask", folder / "report")
        mask = {"mask": str(folder / f"{role}-mask")} if kind == "sft" else {}
        train(**job(still, folder, f"{name}-1", kind, role, **mask))
        jobs.append(job(still, folder, f"{name}-2", kind, role, **mask))
    noisy = [("noisy-{}", {"role": "language"})]
    noisy += [(f"scored{seed}-{{}}", {"role": "task", "rows": 240, "seed": seed} | LONGER) for seed in SEEDS]
    for name, what in noisy:
        train(**job(pico_xlmr, folder, name.format(1), "delta", **what))
        jobs.append(job(pico_xlmr, folder, name.format(2), "delta", **what))
    together(jobs)
    assert not list(folder.glob("*.part")) and not list(folder.glob(".*checkpoint"))
    return Pair(folder)


@pytest.mark.parametrize(("role", "kind"), TRAININGS)
def test_two_processes_reach_what_one_reaches(pair: Pair, role: str, kind: str) -> None:
    one, two = pair.names(f"{role}-{kind}")
    assert difference(one, two, kind) < 1e-6
    records = [json.loads(path.with_suffix(".json").read_text()) for path in (one, two)]
    looks = [[value for look in record.pop("history") for value in look.values()] for record in records]
    assert records[0] == records[1] and looks[1] == pytest.approx(looks[0], rel=1e-4)


def test_the_file_says_how_many_trained(pair: Pair) -> None:
    one, two = (vectors.read_metadata(path) for path in pair.names("task-sft"))
    assert (one.processes, two.processes) == (1, 2) and one == two.model_copy(update={"processes": 1})
    assert b"processes" not in pair.names("task-sft")[0].read_bytes()


@pytest.mark.parametrize(("role", "kind"), TRAININGS)
def test_what_moves_is_what_is_sent(pair: Pair, role: str, kind: str) -> None:
    """Gradients of what moves, in float32: of a mask no more than its entries and the head."""
    _, two = pair.names(f"{role}-{kind}")
    moves = json.loads(two.with_suffix(".json").read_text())["trained_parameters"]
    loss, stop = 8, 4
    for process in (0, 1):
        assert pair.said(two.name, process)["sent"][1] == 4 * moves + loss + stop
    head = sum(value.size for value in vectors.load(two).head.values()) if (role, kind) == ("task", "sft") else None
    assert head is None or moves == MASKED + head


def test_processes_agree_where_dropout_differs(pair: Pair) -> None:
    """They see one process' batches and end with one another's values, which are not those of one process."""
    alone, *processes = pair.said("noisy-1", 0), pair.said("noisy-2", 0), pair.said("noisy-2", 1)
    assert {said["batches"] for said in processes} == {alone["batches"]}, "masked tokens differ"
    assert len({said["values"] for said in processes}) == 1, "so would masks that are chosen from them"
    assert processes[0]["values"] != alone["values"]


def chosen(delta: Path) -> set[tuple[str, int]]:
    """The entries that a delta's largest are."""
    mask = delta.with_name(f"{delta.name}-mask")
    build(delta, Denoising(), MASKED, mask, mask.with_suffix(".json"))
    return {(name, int(n)) for name, positions in vectors.load(mask).positions.items() for n in positions}


@pytest.mark.parametrize("role", trainings.LESSONS)
def test_masks_chosen_from_either_delta_are_the_same(pair: Pair, role: str) -> None:
    """But for entries that rounding brings before another."""
    one, two = map(chosen, pair.names(f"{role}-delta"))
    assert len(one) == len(two) == MASKED
    assert len(one & two) >= 0.98 * MASKED
    noisy, other = map(chosen, pair.names("noisy"))
    assert len(noisy & other) < 0.98 * MASKED, "what differs would not be seen"


def test_with_dropout_scores_are_within_the_noise_of_seeds(pair: Pair) -> None:
    """Macro-F1 on held-out rows, by one process and by two: means over seeds differ by no more than seeds make them."""
    places = [pair.names(f"scored{seed}") for seed in SEEDS]
    histories = [[json.loads(path.with_suffix(".json").read_text())["history"] for path in pair] for pair in places]
    before, after = (np.array([[history[n]["macro_f1"] for history in pair] for pair in histories]) for n in (0, -1))
    assert (after.mean(0) > before.mean(0) + 0.3).all(), "nothing is learned that noise could hide"
    one, two = after.mean(0)
    assert abs(one - two) <= 3 * np.sqrt(after.var(0, ddof=1).sum() / len(SEEDS))


def test_sigterm_to_one_process_stops_all_of_them(
    pico_xlmr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever step it comes. Together they go on to the same bytes, and one alone to nearly the same values.

    Alone it has the threads of both, as one of a job's processes would.
    """
    still = without_dropout(pico_xlmr, tmp_path)
    stopped = job(still, tmp_path, "stopped", "delta", "task")
    errors = together([stopped], terminated=1)
    assert all("StoppedError: Stopped by SIGTERM at step 2/4; checkpoint saved" in error for error in errors)
    assert not (tmp_path / "stopped").exists()
    [checkpoint] = tmp_path.glob(".stopped.*.checkpoint")
    shutil.copy(checkpoint, tmp_path / checkpoint.name.replace("stopped", "alone"))
    together([stopped, job(still, tmp_path, "whole", "delta", "task")])
    assert (tmp_path / "stopped").read_bytes() == (tmp_path / "whole").read_bytes()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)  # for the tests to come
    train(**job(still, tmp_path, "alone", "delta", "task"))
    assert len(json.loads((tmp_path / "alone.process0").read_text())["sent"]) == 2, "it went on"
    assert difference(tmp_path / "whole", tmp_path / "alone", "delta") < 1e-6


@pytest.fixture
def command(pico_xlmr: Path, tmp_path: Path) -> list[str]:
    """`deftx train` in two processes, for longer than anybody waits."""
    data = trainings.Trainings(pico_xlmr, tmp_path)
    phase = {"max_steps": 100000, "batch_size": 7, "learning_rate": 0.0001}
    told = spec(phase=phase, block=16, precision="fp32")
    options = {"spec": told, "base": pico_xlmr, "train": data.texts[0], "valid": data.texts[1]}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [*("deftx", "train"), *words, *("--out", str(tmp_path / "delta"), "--processes", "2")]


def children(pid: int) -> list[int]:
    """The training processes that a process has started, in the order of their numbers."""
    started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sorted(int(child) for child in started if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes())


def trains(pid: int) -> bool:
    """Whether a process has begun to train: it catches SIGTERM then."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize(
    ("number", "to_all", "status", "message"),
    [
        (
            signal.SIGTERM,
            True,
            75,
            r"error: Stopped by SIGTERM at step \d+/100000; checkpoint saved\. Rerun to resume\.\n",
        ),
        (
            signal.SIGKILL,
            False,
            137,
            r"error: process 2 of 2 was ended by SIGKILL. If nobody did that, memory ran out: .*\n",
        ),
    ],
)
def test_one_message_says_why_all_ended(
    command: list[str], tmp_path: Path, number: int, to_all: bool, status: int, message: str
) -> None:
    file = tmp_path / "seed0.progress.json"
    environment = os.environ | {"DEFTX_PROGRESS": str(file)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as launcher:
        while not (len(pids := children(launcher.pid)) == 2 and all(map(trains, pids))):
            assert launcher.poll() is None, launcher.communicate()[1]
            time.sleep(0.1)
        os.kill(launcher.pid if to_all else pids[1], number)
        said = launcher.communicate()[1]
    assert launcher.returncode == status and re.fullmatch(message, said), said
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not (tmp_path / "delta").exists() and len(list(tmp_path.glob(".delta.*.checkpoint"))) == int(to_all)
    last = progress.read(file)
    assert last is not None and last.pid == pids[0] and (last.state == "stopped") is to_all


@pytest.mark.parametrize(
    ("statuses", "first", "expected", "said"),
    [
        ([0, 0, 0], 0, 0, ""),
        ([1, 1, 1], 2, 1, ""),
        ([76, 1, 76], 0, 1, "what 1 says"),
        ([-15, 75, 1], 2, 75, "what 1 says"),
        ([76, 76, 76], 1, 76, "what 1 says"),
        (
            [-15, 76, -9],
            2,
            137,
            "error: process 3 of 3 was ended by SIGKILL. If nobody did that, memory ran out: ask for more\n",
        ),
        ([-15, -15, -15], 0, 143, "error: process 1 of 3 was ended by SIGTERM\n"),
    ],
)
def test_who_speaks_for_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], statuses: list[int], first: int, expected: int, said: str
) -> None:
    """The first process where it failed on its own (it has spoken), else one that did."""
    for number in range(3):
        (tmp_path / str(number)).write_text(f"what {number} says")
    assert _ended(statuses, first, tmp_path) == expected
    assert capsys.readouterr().err == said


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"3 processes are asked for, and there are 2 GPUs\. Ask for 2 at most"):
        launch(3, [])


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_a_wrapped_model_is_refused(pico_bert: Path, alone: None) -> None:
    """DistributedDataParallel would average dense gradients that the gathering has freed: zeros, in silence."""
    model: Any = base_model.classifier(base_model.read(pico_bert), pico.LABELS, seed=0)
    encoder = base_model.encoder_parameters(model, base_model.read(pico_bert))
    with pytest.raises(TypeError, match="do not wrap the model"):
        parameters_of(DistributedDataParallel(model), {}, TaskTraining())
    mask = {name: torch.arange(p.numel()) for name, p in encoder.items()}
    masked_entries(model, parameters_of(model, encoder, TaskTraining()), mask)
    tokens = torch.full((2, 4), 5)
    model(tokens)
    wrapped = DistributedDataParallel(model)
    with pytest.raises(TypeError, match="do not wrap the model"):
        wrapped(tokens)
