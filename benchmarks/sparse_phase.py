"""A step of sparse fine-tuning: ours, and AdamW on everything with gradients multiplied by boolean masks.

    python -m benchmarks.sparse_phase --scale base

The plain reference is what composable-sft's trainer does: dense gradients and dense optimizer states for every
parameter, a boolean mask for each, and a dense copy of the start, which the difference is taken from at the end.
Both sides are whole processes: same random model, batches of 8 x 128 tokens, bf16 forward pass where the machine has
it, 5 % of the elements chosen at random.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from transformers import XLMRobertaForMaskedLM, XLMRobertaForSequenceClassification

from benchmarks.measure import Row, child, emit, peak_mb, say
from benchmarks.models import configuration
from deftx.config.training import Training
from deftx.core.runtime import wants_bf16
from deftx.tasks.masked_lm import MaskedLM, freeze_output
from deftx.tasks.objective import Batch
from deftx.training.trainable import clip, masked_entries, parameters_of

BATCH, LENGTH, SHARE, STEPS = 8, 128, 0.05, 5
Loss = Callable[[nn.Module, Batch], Tensor]


def model_of(kind: str, scale: str) -> Any:
    """A random model; the output embedding of a masked-LM is untied and frozen, as in language training."""
    torch.manual_seed(0)
    config = configuration(scale)
    if kind == "classification":
        config.num_labels = 3
        return XLMRobertaForSequenceClassification(config)
    config.tie_word_embeddings = False
    model = XLMRobertaForMaskedLM(config)
    model.get_output_embeddings().weight.requires_grad_(False)
    return model


def batch_of(kind: str, vocabulary: int, step: int) -> Batch:
    """Random tokens, as many as a full batch has."""
    chance = torch.Generator().manual_seed(step)
    tokens = torch.randint(5, vocabulary, (BATCH, LENGTH), generator=chance)
    if kind == "classification":
        return {"input_ids": tokens, "labels": torch.randint(3, (BATCH,), generator=chance)}
    positions = (torch.rand(BATCH * LENGTH, generator=chance) < 0.15).nonzero().flatten()
    return {"input_ids": tokens, "positions": positions, "labels": tokens.flatten()[positions]}


def loss_of(kind: str) -> Loss:
    """Our loss: logits at masked positions alone. Both sides use it, so that the optimizer is what is compared."""
    if kind == "classification":
        return lambda model, batch: functional.cross_entropy(model(batch["input_ids"]).logits.float(), batch["labels"])
    masked = object.__new__(MaskedLM)
    return lambda model, batch: masked.loss(model, batch) / len(batch["labels"])


def mask_of(base: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """5 % of every parameter's elements, ascending."""
    chance = torch.Generator().manual_seed(1)
    chosen = {}
    for name, parameter in base.items():
        if "LayerNorm" not in name:
            gaps = torch.empty(int(parameter.numel() * SHARE)).geometric_(SHARE, generator=chance).long()
            places = gaps.cumsum(0) - 1
            chosen[name] = places[places < parameter.numel()]
    return chosen


def ours(model: Any, mask: dict[str, Tensor], loss: Loss) -> Callable[[Batch], None]:
    """A step as `deftx.training.loop` takes it."""
    if model.get_output_embeddings() is not None:
        freeze_output(model, Training())
    base = {n: p for n, p in model.base_model.named_parameters() if "pooler" not in n}
    entries = masked_entries(model, parameters_of(model, base, Training()), mask)
    leaves = list(entries.leaves().values())
    optimizer = torch.optim.AdamW(leaves, lr=1e-4, weight_decay=0.0, fused=True)
    accelerator = Accelerator(mixed_precision="bf16" if wants_bf16("bf16") else "no")

    def step(batch: Batch) -> None:
        with accelerator.autocast():
            value = loss(model, batch)
        accelerator.backward(value)
        entries.add_l1(1e-9)
        clip(leaves, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        entries.write()

    return step


def plain(model: Any, mask: dict[str, Tensor], loss: Loss) -> Callable[[Batch], None]:
    """The same step with everything dense."""
    base = {n: p for n, p in model.base_model.named_parameters() if n in mask}
    for name, parameter in model.base_model.named_parameters():
        if "LayerNorm" in name:
            parameter.requires_grad_(False)
    booleans = {n: torch.zeros(p.shape, dtype=torch.bool) for n, p in base.items()}
    for name, indices in mask.items():
        booleans[name].view(-1)[indices] = True
    start = {n: p.detach().clone() for n, p in base.items()}
    leaves = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(leaves, lr=1e-4, weight_decay=0.0, fused=True)
    accelerator = Accelerator(mixed_precision="bf16" if wants_bf16("bf16") else "no")

    def step(batch: Batch) -> None:
        with accelerator.autocast():
            value = loss(model, batch)
        accelerator.backward(value)
        for name, parameter in base.items():
            assert parameter.grad is not None
            parameter.grad.add_(torch.sign(parameter.detach() - start[name]), alpha=1e-9)
            parameter.grad *= booleans[name]
        nn.utils.clip_grad_norm_(leaves, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(side: str, kind: str, scale: str) -> dict[str, float]:
    """Median seconds of a step, and the peak of the process."""
    model = model_of(kind, scale).train()
    mask = mask_of({n: p for n, p in model.base_model.named_parameters() if "pooler" not in n})
    step = {"ours": ours, "plain": plain}[side](model, mask, loss_of(kind))
    del mask
    times = []
    for number in range(STEPS + 1):
        batch = batch_of(kind, model.config.vocab_size, number)
        started = time.perf_counter()
        step(batch)
        times.append(time.perf_counter() - started)
        say(f"{side}, {kind}, step {number}: {times[-1]:.2f} s")
    return {"seconds": statistics.median(times[1:]), "mb": peak_mb()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    parser.add_argument("--side", choices=["ours", "plain"])
    parser.add_argument("--kind", choices=["classification", "masked-lm"])
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.kind, options.scale)))
        return
    rows = []
    for kind in ("classification", "masked-lm"):
        arguments = ("benchmarks.sparse_phase", "--scale", options.scale, "--kind", kind, "--side")
        rounds = [[child(*arguments, side) for side in ("ours", "plain")] for _ in range(2)]
        mine, theirs = ({key: min(r[side][key] for r in rounds) for key in ("seconds", "mb")} for side in (0, 1))
        rows += [
            Row(f"sparse step, {kind}", "s", mine["seconds"], theirs["seconds"], "ratio <= 0.9"),
            Row(f"sparse phase, {kind}: peak of the process", "MB", mine["mb"], theirs["mb"], "ratio <= 0.45"),
        ]
    emit(rows)


if __name__ == "__main__":
    sys.exit(main())
