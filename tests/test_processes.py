"""Several processes training together reach what one reaches; their gradients are summed by deftx alone."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pico
import pytest
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from deftx import base, loop, sft, training
from deftx.masks import build
from deftx.objectives import Batch
from deftx.optim import parameters_of
from deftx.settings import Denoising, LanguageTraining, Phase, TaskTraining

PHASE = Phase(max_steps=4, batch_size=7, learning_rate=1e-3)


def train(base_json: Path, folder: Path, out: Path, kind: str, mask: Path | None) -> None:
    """One training; what every process runs. Each of several must run its share of a batch, never a whole one."""
    on_device = loop._Run._on_device

    def watched(run: loop._Run, batch: Batch) -> Batch:
        share = math.ceil(PHASE.batch_size / int(os.environ.get("WORLD_SIZE", "1")))
        assert len(batch["input_ids"]) <= share, "a process trained on more than its share"
        return on_device(run, batch)

    loop._Run._on_device = watched  # type: ignore[method-assign]
    job = training.Job(base_json, PHASE, 0, out, mask)
    if kind == "language":
        recipe = LanguageTraining(block=16, precision="fp32", l1=0.1)
        training.train_language(job, folder / "train.txt", folder / "valid.txt", recipe)
    else:
        settings = TaskTraining(max_length=16, precision="fp32", l1=0.1)
        training.train_task(job, folder / "train.csv", folder / "valid.csv", pico.LABELS, settings)
    loop._Run._on_device = on_device  # type: ignore[method-assign]


@pytest.fixture
def still(tmp_path: Path, pico_xlmr: Path) -> Path:
    """A base model without dropout, and data beside it."""
    description = base.read(pico_xlmr)
    config = json.loads((Path(description.location) / "config.json").read_text())
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        target = tmp_path / "base" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((Path(description.location) / name).read_bytes())
    changed = config | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "base/config.json").write_text(json.dumps(changed))
    base.describe(None, None, str(tmp_path / "base"), tmp_path / "base.json")
    pico.text(tmp_path / "train.txt"), pico.text(tmp_path / "valid.txt", 10, seed=1)
    pico.rows(tmp_path / "train.csv"), pico.rows(tmp_path / "valid.csv", 8, seed=1)
    return tmp_path / "base.json"


def together(jobs: list[list[Any]], count: int = 2) -> None:
    """Run trainings one after the other in `count` processes at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "import sys, json; from pathlib import Path; from test_processes import train\n" + (
        "for job in json.loads(sys.argv[1]): train(*(Path(x) if '/' in x else x for x in job[:4]), "
        "Path(job[4]) if job[4] else None)"
    )
    arguments = json.dumps([[str(x) if x else "" for x in job] for job in jobs])
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
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
    for process in running:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors


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


def test_a_wrapped_model_is_refused() -> None:
    """DistributedDataParallel would average dense gradients that the gathering has freed: zeros, in silence."""
    model = object.__new__(DistributedDataParallel)
    nn.Module.__init__(model)
    with pytest.raises(TypeError, match="do not wrap the model"):
        parameters_of(model, {}, training.TaskTraining())
