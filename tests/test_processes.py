"""Several processes training together reach what one reaches; their gradients are summed by deftx alone."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pico
import pytest
import torch
import trainings
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from deftx import base, loop, sft
from deftx.masks import build
from deftx.objectives import Batch
from deftx.optim import masked_entries, parameters_of
from deftx.settings import Denoising, TaskTraining

PHASE = {"max_steps": 4, "batch_size": 7}


def train(base_json: Path, folder: Path, out: Path, kind: str, mask: Path | None) -> None:
    """One training; what every process runs. Each of several must run its share of a batch, never a whole one."""
    on_device = loop._Run._on_device

    def watched(run: loop._Run, batch: Batch) -> Batch:
        if run.step == 1 and os.environ.get("TERMINATED", "none") == os.environ.get("RANK"):
            os.kill(os.getpid(), signal.SIGTERM)
        share = math.ceil(PHASE["batch_size"] / int(os.environ.get("WORLD_SIZE", "1")))
        assert len(batch["input_ids"]) <= share, "a process trained on more than its share"
        return on_device(run, batch)

    loop._Run._on_device = watched  # type: ignore[method-assign]
    trainings.Trainings(base_json, folder).train("sft" if mask else "delta", kind, out.name, mask, l1=0.1, **PHASE)
    loop._Run._on_device = on_device  # type: ignore[method-assign]


@pytest.fixture
def still(tmp_path: Path, pico_xlmr: Path) -> Path:
    """A base model without dropout."""
    description = base.read(pico_xlmr)
    config = json.loads((Path(description.location) / "config.json").read_text())
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        target = tmp_path / "base" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((Path(description.location) / name).read_bytes())
    changed = config | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "base/config.json").write_text(json.dumps(changed))
    base.describe(None, None, str(tmp_path / "base"), tmp_path / "base.json")
    return tmp_path / "base.json"


def together(jobs: list[list[Any]], count: int = 2, terminated: int | None = None) -> list[str]:
    """Run trainings one after the other in `count` processes at once; returns what each says.

    The process `terminated` gets SIGTERM in its second step.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "import sys, json; from pathlib import Path; from test_processes import train\n" + (
        "for job in json.loads(sys.argv[1]): train(*(Path(x) if '/' in x else x for x in job[:4]), "
        "Path(job[4]) if job[4] else None)"
    )
    arguments = json.dumps([[str(x) if x else "" for x in job] for job in jobs])
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    if terminated is not None:
        shared["TERMINATED"] = str(terminated)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, arguments],
            env=os.environ | shared | {"RANK": str(n), "LOCAL_RANK": str(n), "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(count)
    ]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert all((process.returncode == 0) is (terminated is None) for process in running), said
    return said


def difference(one: sft.Vector, other: sft.Vector, group: str) -> float:
    """Norm of the difference over the norm, key biases aside (their true gradient is zero)."""
    names = [name for name in getattr(one, group) if "key.bias" not in name]
    pairs = [(getattr(one, group)[n].ravel(), getattr(other, group)[n].ravel()) for n in names]
    return sum(float(np.square(a - b).sum()) for a, b in pairs) / sum(float(np.square(a).sum()) for a, _ in pairs)


def test_two_processes_reach_what_one_reaches(still: Path, tmp_path: Path) -> None:
    jobs: list[list[Any]] = []
    for kind in ("language", "task"):
        train(still, tmp_path, tmp_path / f"{kind}-delta", kind, None)
        build(tmp_path / f"{kind}-delta", Denoising(), 400, tmp_path / f"{kind}-mask", tmp_path / "report")
        train(still, tmp_path, tmp_path / f"{kind}-sft", kind, tmp_path / f"{kind}-mask")
        jobs.append([still, tmp_path, tmp_path / f"{kind}-delta-2", kind, None])
        jobs.append([still, tmp_path, tmp_path / f"{kind}-sft-2", kind, tmp_path / f"{kind}-mask"])
    together(jobs)
    for kind in ("language", "task"):
        for name, group in (("delta", "dense"), ("sft", "values")):
            one, two = sft.load(tmp_path / f"{kind}-{name}"), sft.load(tmp_path / f"{kind}-{name}-2")
            assert difference(one, two, group) < 1e-6, f"{kind} {name}"
            assert one.head.keys() == two.head.keys()
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*checkpoint"))


def test_sigterm_to_one_process_stops_all_of_them(still: Path, tmp_path: Path) -> None:
    """In whatever step it comes; together again, they go on to the same bytes."""
    job = [still, tmp_path, tmp_path / "stopped", "task", None]
    errors = together([job], terminated=1)
    assert all("StoppedError: stopped by SIGTERM after step 2 of 4, which is saved" in error for error in errors)
    assert not (tmp_path / "stopped").exists() and len(list(tmp_path.glob(".stopped.*.checkpoint"))) == 1
    together([job, [still, tmp_path, tmp_path / "whole", "task", None]])
    assert (tmp_path / "stopped").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_a_wrapped_model_is_refused(pico_bert: Path, alone: None) -> None:
    """DistributedDataParallel would average dense gradients that the gathering has freed: zeros, in silence."""
    model: Any = base.classifier(base.read(pico_bert), pico.LABELS, seed=0)
    encoder = base.encoder_parameters(model, base.read(pico_bert))
    with pytest.raises(TypeError, match="do not wrap the model"):
        parameters_of(DistributedDataParallel(model), {}, TaskTraining())
    mask = {name: torch.arange(p.numel()) for name, p in encoder.items()}
    masked_entries(model, parameters_of(model, encoder, TaskTraining()), mask)
    tokens = torch.full((2, 4), 5)
    model(tokens)
    wrapped = DistributedDataParallel(model)
    with pytest.raises(TypeError, match="do not wrap the model"):
        wrapped(tokens)
