"""Denoising every weight matrix of a model, against a direct singular value decomposition of each.

    python -m benchmarks.denoising --scale base

The plain reference is what one writes first: `torch.linalg.svd` in float32, L from its triplets, and the strongest
of H by a full sort. The accuracy of both is taken against float64 on matrices of each shape (embeddings: 20,000 rows).
"""

import argparse
import sys
from math import ceil

import torch
from torch import Tensor

from benchmarks.measure import Row, child, emit, peak_mb, say, seconds
from benchmarks.models import maskable_shapes, random_delta
from deftx.config.masks import VarianceRank
from deftx.masks.denoise import choose_rank, denoise

RULE = VarianceRank(variance=0.9)
KEEP = 0.05


def plain(delta: Tensor) -> Tensor:
    """L + prune(H) by a direct decomposition."""
    left, singular, right = torch.linalg.svd(delta, full_matrices=False)
    r = choose_rank(singular, delta.shape, RULE)
    low = (left[:, :r] * singular[:r]) @ right[:r]
    rest = delta - low
    kept = rest.abs().flatten().sort(descending=True).indices[: ceil(KEEP * rest.numel())]
    low.view(-1)[kept] = delta.view(-1)[kept]
    return low


def ours(delta: Tensor) -> Tensor:
    """The stage's own."""
    return denoise(delta, RULE, KEEP).values


def measure(side: str, scale: str) -> dict[str, float]:
    """Seconds over all matrices of a model, and the process' peak beside its largest matrix."""
    work = {"ours": ours, "plain": plain}[side]
    shapes = {name: shape for name, shape in maskable_shapes(scale).items() if len(shape) == 2}
    total = 0.0
    work(torch.randn(64, 64))
    for name, shape in shapes.items():
        delta = random_delta(name, shape)
        total += seconds(lambda delta=delta: work(delta))
        say(f"{side}: {name} {shape}, {total:.1f} s so far")
    return {"seconds": total, "peak_mb": peak_mb()}


def errors(shape: list[int]) -> tuple[float, float, float]:
    """Relative error of L of ours and of plain float32, and the share of selected elements ours has in common."""
    delta = random_delta("accuracy", shape)
    left, singular, right = torch.linalg.svd(delta.double(), full_matrices=False)
    r = choose_rank(singular, shape, RULE)
    exact = (left[:, :r] * singular[:r]) @ right[:r]
    low = denoise(delta, RULE, 0.0).values.double()
    left, singular, right = torch.linalg.svd(delta, full_matrices=False)
    direct = ((left[:, :r] * singular[:r]) @ right[:r]).double()
    k = delta.numel() // 20
    one, other = (t.abs().flatten().topk(k).indices for t in (low, exact))
    shared = len(set(one.tolist()) & set(other.tolist())) / k
    return float((low - exact).norm() / exact.norm()), float((direct - exact).norm() / exact.norm()), shared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    parser.add_argument("--side", choices=["ours", "plain"])
    options = parser.parse_args()
    if options.side:
        import json

        print(json.dumps(measure(options.side, options.scale)))
        return
    mine, theirs = (
        child("benchmarks.denoising", "--scale", options.scale, "--side", side) for side in ("ours", "plain")
    )
    rows = [
        Row("denoise every matrix (variance 0.9)", "s", mine["seconds"], theirs["seconds"], "<= 20"),
        Row("denoise every matrix: peak of the process", "MB", mine["peak_mb"], theirs["peak_mb"]),
    ]
    shapes = {
        tuple(s[:1] if len(s) == 1 else [min(s[0], 20_000), s[1]]) for s in maskable_shapes(options.scale).values()
    }
    for shape in sorted(s for s in shapes if len(s) == 2):
        own, direct, shared = errors(list(shape))
        size = " x ".join(map(str, shape))
        rows.append(Row(f"error of L, {size}", "relative", own, direct, "<= 1e-4", "reference: direct SVD in float32"))
        rows.append(Row(f"selected elements as in float64, {size}", "share", shared, None, ">= 0.999"))
    emit(rows)


if __name__ == "__main__":
    sys.exit(main())
