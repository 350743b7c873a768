"""What two processes that train together send each other in a step: ours, and every gradient of the encoder.

    python -m benchmarks.exchange --scale base

Two processes on the CPU (gloo) sum the gradients of a classifier of XLM-R base's shapes, as `deftx.training.loop` does
after each backward pass; nothing is computed. Bytes are those that a process wrote to its sockets, by the kernel's
count.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch.multiprocessing.spawn import start_processes
from transformers import XLMRobertaForSequenceClassification

from benchmarks.full_phase import USED_SHARE
from benchmarks.measure import Row, child, emit
from benchmarks.models import configuration
from benchmarks.sparse_phase import mask_of
from deftx.config.training import Training
from deftx.training.trainable import all_entries, masked_entries, parameters_of, sum_gradients

PROCESSES, STEPS = 2, 5


def written() -> int:
    """Bytes this process has written so far, to sockets too."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


def leaves_of(side: str, scale: str) -> list[torch.nn.Parameter]:
    """What moves: 5 % of the elements and the head, all but unused rows of the word embeddings, or everything."""
    with torch.device("meta"):
        model: Any = XLMRobertaForSequenceClassification(configuration(scale))
    model.to_empty(device="cpu")
    base = {n: p for n, p in model.base_model.named_parameters() if "pooler" not in n}
    parameters = parameters_of(model, base, Training())
    if side == "sparse":
        return list(masked_entries(model, parameters, mask_of(base)).leaves().values())
    size = model.config.vocab_size
    token_ids = torch.arange(round(size * USED_SHARE) if side == "used" else size)
    return list(all_entries(model, parameters, token_ids).leaves().values())


def measure(side: str, scale: str) -> dict[str, float]:
    """Bytes that a process sends in a step, and median seconds of the sum."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        start_processes(_sum, (side, scale, port, folder), PROCESSES, start_method="spawn")
        found: dict[str, float] = json.loads(Path(folder, "0").read_text())
    return found


def _sum(number: int, side: str, scale: str, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(PROCESSES)}
    os.environ |= {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    state = PartialState(cpu=True)
    leaves, times = leaves_of(side, scale), []
    before = 0
    for step in range(STEPS + 1):
        for leaf in leaves:
            leaf.grad = torch.zeros_like(leaf)
        state.wait_for_everyone()
        if step == 1:
            before = written()
        started = time.perf_counter()
        sum_gradients(leaves)
        times.append(time.perf_counter() - started)
    found = {"bytes": (written() - before) / STEPS, "seconds": statistics.median(times[1:])}
    Path(folder, str(number)).write_text(json.dumps(found))
    state.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    parser.add_argument("--side", choices=["sparse", "used", "all"])
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.scale)))
        return
    arguments = ("benchmarks.exchange", "--scale", options.scale, "--side")
    sparse, used, everything = (child(*arguments, side) for side in ("sparse", "used", "all"))
    names = (("sparse step", sparse, "ratio <= 0.053"), ("full step, 8 % of the tokens used", used, ""))
    emit(
        [Row(f"{name}: sent by each of two processes", "MB", found["bytes"] / 1e6, everything["bytes"] / 1e6, limit)
         for name, found, limit in names]
        + [Row(f"{name}: sum over two processes", "s", found["seconds"], everything["seconds"])
           for name, found, _ in names]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
