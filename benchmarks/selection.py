"""Exact selection of the k largest elements of a delta in a file, against lists and against one sort of everything.

    python -m benchmarks.selection --scale base

`lists` is how composable-sft finds its threshold: every |difference| in one Python list, then a partition. At XLM-R
base's size that list needs about 9 GB, so it is run on a tenth of the elements and its time multiplied by ten.
`topk` is what one writes in torch: everything in one tensor, `torch.topk`.
"""

import argparse
import json
import sys
import tempfile
from math import prod
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Row, child, emit, peak_mb, seconds
from benchmarks.models import maskable_shapes, random_delta
from deftx.masks.select import DeltaTensors, select_top_k
from deftx.modules import vectors

SHARE = 0.05


def store(scale: str, path: Path) -> None:
    """A delta of a whole model as a file."""
    shapes = maskable_shapes(scale)
    dense = {name: random_delta(name, shape).numpy() for name, shape in shapes.items()}
    metadata = vectors.Metadata(
        kind="delta", base="0" * 64, base_model="random", shapes=shapes, objective="masked-lm", seed=0, threads=1
    )
    vectors.save(vectors.Vector(metadata, dense=dense), path)


def by_streaming(path: Path, k: int) -> int:
    """Ours, from the file."""
    with vectors.open_delta(path) as file:
        return sum(map(len, select_top_k(DeltaTensors(file), k).values()))


def by_lists(path: Path, k: int) -> int:
    """A Python list of every tenth entry's magnitude, partitioned."""
    magnitudes: list[float] = []
    with vectors.open_delta(path) as file:
        for name in file.names:
            magnitudes.extend(np.abs(file.read(name)).ravel()[::10].tolist())
    threshold = np.partition(magnitudes, len(magnitudes) - k // 10)[len(magnitudes) - k // 10]
    return int((np.array(magnitudes) >= threshold).sum())


def by_topk(path: Path, k: int) -> int:
    """Everything in one tensor."""
    with vectors.open_delta(path) as file:
        everything = torch.cat([torch.from_numpy(file.read(name)).abs().flatten() for name in file.names])
    return len(everything.topk(k).indices)


def measure(side: str, path: Path, k: int) -> dict[str, float]:
    """Seconds of one selection, and by how much the process' peak rises beyond what it held before."""
    work = {"ours": by_streaming, "lists": by_lists, "topk": by_topk}[side]
    before = peak_mb()
    elapsed = seconds(lambda: work(path, k))
    return {"seconds": elapsed, "mb": peak_mb() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    parser.add_argument("--side", choices=["ours", "lists", "topk"])
    parser.add_argument("--delta", type=Path)
    options = parser.parse_args()
    shapes = maskable_shapes(options.scale)
    sizes = [prod(shape) for shape in shapes.values()]
    k = round(SHARE * sum(sizes))
    if options.side:
        print(json.dumps(measure(options.side, options.delta, k)))
        return
    with tempfile.TemporaryDirectory() as folder:
        delta = Path(folder) / "delta.safetensors"
        store(options.scale, delta)
        runs = {
            side: child("benchmarks.selection", "--scale", options.scale, "--side", side, "--delta", str(delta))
            for side in ("topk", "ours", "lists", "ours")
        }
    allowed = (4 * max(sizes) + 8 * k) / 2**20
    mine, lists, topk = runs["ours"], runs["lists"], runs["topk"]
    what = f"choose {k:,} of {sum(sizes):,} elements"
    note = "reference: lists on a tenth of the elements, times ten"
    emit(
        [
            Row(what, "s", mine["seconds"], 10 * lists["seconds"], "ratio <= 0.2", note),
            Row(f"{what}, against topk", "s", mine["seconds"], topk["seconds"]),
            Row("choosing: peak beyond largest tensor and result", "MB", mine["mb"] - allowed, None, "<= 64"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
