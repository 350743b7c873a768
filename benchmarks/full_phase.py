"""A step of full fine-tuning on a text of few tokens: with embeddings of those alone, and with all.

Compared with them: a step that only accumulates gradients, which chooses a mask with less memory
(`select: accumulated-gradient`).

    python -m benchmarks.full_phase --scale base

20,000 of XLM-R's 250,002 tokens occur, as in a corpus of one language. Both sides are deftx, whole processes, and
leave the same delta to the bit (tests/test_training.py). Batches of 8 x 128 tokens, bf16 where the machine has it.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from accelerate import Accelerator

from benchmarks.measure import Row, child, emit, peak_mb, say
from benchmarks.sparse_phase import batch_of, loss_of, model_of
from deftx.config.training import Training
from deftx.core.runtime import wants_bf16
from deftx.finetuning.gradients import accumulated_gradients
from deftx.tasks.masked_lm import freeze_output
from deftx.training.trainable import all_entries, clip, parameters_of

USED_SHARE = 0.08  # 20,000 of 250,002
STEPS = 5
SIDES = ("used", "all", "gradients")


def measure(side: str, kind: str, scale: str) -> dict[str, float]:
    """Median seconds of a step, and the peak of the process."""
    model = model_of(kind, scale).train()
    if model.get_output_embeddings() is not None:
        freeze_output(model, Training())
    used = round(USED_SHARE * model.config.vocab_size)
    base = {n: p for n, p in model.base_model.named_parameters() if "pooler" not in n}
    token_ids = torch.arange(model.config.vocab_size if side == "all" else used)
    parameters = parameters_of(model, base, Training())
    entries = (accumulated_gradients if side == "gradients" else all_entries)(model, parameters, token_ids)
    del base, parameters
    leaves = list(entries.leaves().values())
    optimizer = torch.optim.AdamW(leaves, lr=1e-4, weight_decay=0.0, fused=True)
    accelerator = Accelerator(mixed_precision="bf16" if wants_bf16("bf16") else "no")
    loss, times = loss_of(kind), []
    for number in range(STEPS + 1):
        batch = batch_of(kind, used, number)
        started = time.perf_counter()
        with accelerator.autocast():
            value = loss(model, batch)
        accelerator.backward(value)
        entries.add_l1(1e-9)
        clip(leaves, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - started)
        say(f"{side}, {kind}, step {number}: {times[-1]:.2f} s")
    return {"seconds": statistics.median(times[1:]), "mb": peak_mb()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--kind", choices=["classification", "masked-lm"])
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.kind, options.scale)))
        return
    rows = []
    for kind in ("classification", "masked-lm"):
        arguments = ("benchmarks.full_phase", "--scale", options.scale, "--kind", kind, "--side")
        rounds = [{side: child(*arguments, side) for side in SIDES} for _ in range(2)]
        used, whole, sums = ({key: min(r[side][key] for r in rounds) for key in ("seconds", "mb")} for side in SIDES)
        note = "reference: full fine-tuning with all embeddings"
        rows += [
            Row(f"full step, {kind}, 8 % of the tokens used", "s", used["seconds"], whole["seconds"], "", note),
            Row(f"full phase, {kind}: peak of the process", "MB", used["mb"], whole["mb"], "", note),
            Row(f"step that accumulates gradients, {kind}", "s", sums["seconds"], whole["seconds"], "", note),
            Row(f"accumulating gradients, {kind}: peak of the process", "MB", sums["mb"], whole["mb"], "", note),
        ]
    emit(rows)


if __name__ == "__main__":
    sys.exit(main())
