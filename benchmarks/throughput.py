"""Masked-LM tokens per second: deftx' loop, and the transformers Trainer with its stock collator.

    python -m benchmarks.throughput --scale base

Equal: model (random, XLM-R base shapes), blocks, batch of 8 x 128 tokens, masking rate, precision, AdamW, threads,
gradient clipping. Not equal: ours unties the output embedding and freezes it (the recipe of LT-SFT and DeFT-X),
computes logits at masked positions alone, and leaves layer normalisation as it is; `tied` measures ours with the
Trainer's own arrangement. With --profile, where our step spends its time.
"""

import argparse
import json
import sys
import tempfile
import time
from typing import Any

import torch
from torch import Tensor
from transformers import XLMRobertaForMaskedLM

from benchmarks.measure import Row, child, emit, say
from benchmarks.models import configuration
from deftx.config.training import LanguageTraining, Phase
from deftx.core.runtime import wants_bf16
from deftx.tasks.masked_lm import MaskedLM, freeze_output
from deftx.training.loop import _Run
from deftx.training.trainable import all_entries, parameters_of

BATCH, LENGTH, STEPS = 8, 128, 8
PHASE = Phase(max_steps=STEPS + 1, batch_size=BATCH, learning_rate=1e-4)


class Tokenizer:
    """What masking needs of a tokenizer, for tokens that are random."""

    mask_token, pad_token = "<mask>", "<pad>"
    mask_token_id, pad_token_id = 4, 1
    all_special_ids = (0, 1, 2, 3, 4)

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return self.vocabulary


def blocks(vocabulary: int) -> Tensor:
    """Random blocks, as many as are trained on."""
    chance = torch.Generator().manual_seed(0)
    return torch.randint(5, vocabulary, ((STEPS + 1) * BATCH, LENGTH), generator=chance).int()


def ours(scale: str, tied: bool, profiled: bool) -> float:
    """Tokens per second of our loop."""
    torch.manual_seed(0)
    config = configuration(scale)
    config.tie_word_embeddings = tied
    model: Any = XLMRobertaForMaskedLM(config)
    recipe = LanguageTraining()
    if not tied:
        freeze_output(model, recipe)
    data = blocks(config.vocab_size)
    objective = MaskedLM(Tokenizer(config.vocab_size), data, data[:1], 0.15)
    base = {n: p for n, p in model.base_model.named_parameters() if "pooler" not in n}
    entries = all_entries(model, parameters_of(model, base, recipe), objective.token_ids())
    run = _Run(model, entries, objective, PHASE, 0, recipe)
    run.advance()
    if profiled:
        with torch.profiler.profile() as profile:
            run.advance()
        say(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))
    first, started = run.step, time.perf_counter()
    while run.step < run.steps:
        run.advance()
        say(f"ours: step {run.step}")
    return (run.step - first) * BATCH * LENGTH / (time.perf_counter() - started)


def stock(scale: str) -> float:
    """Tokens per second of the Trainer."""
    from datasets import Dataset
    from tokenizers import Tokenizer as Fast
    from tokenizers.models import WordLevel
    from transformers import (
        DataCollatorForLanguageModeling,
        PreTrainedTokenizerFast,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )  # fmt: skip

    torch.manual_seed(0)
    config = configuration(scale)
    words = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4} | {
        f"w{n}": n for n in range(5, config.vocab_size)
    }
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Fast(WordLevel(words, unk_token="<unk>")),
        bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip
    times = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())
            say(f"Trainer: step {len(times)}")

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=STEPS + 1, per_device_train_batch_size=BATCH, learning_rate=1e-4, weight_decay=0.0,
            bf16=wants_bf16("bf16"), use_cpu=not torch.cuda.is_available(), report_to=[], save_strategy="no",
            logging_strategy="no", disable_tqdm=True, optim="adamw_torch_fused",
        )  # fmt: skip
        Trainer(
            model=XLMRobertaForMaskedLM(config),
            args=arguments,
            train_dataset=Dataset.from_dict({"input_ids": blocks(config.vocab_size).tolist()}),
            data_collator=DataCollatorForLanguageModeling(tokenizer),
            callbacks=[Clock()],
        ).train()
    return STEPS * BATCH * LENGTH / (times[-1] - times[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    parser.add_argument("--side", choices=["ours", "tied", "stock"])
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.side:
        work = (lambda: stock(options.scale)) if options.side == "stock" else (
            lambda: ours(options.scale, options.side == "tied", options.profile)
        )  # fmt: skip
        print(json.dumps(work()))
        return
    sides = ("ours", "stock", "tied")
    rounds = [
        [child("benchmarks.throughput", "--scale", options.scale, "--side", side) for side in sides] for _ in range(2)
    ]
    best = {side: max(r[n] for r in rounds) for n, side in enumerate(sides)}
    note = "reference: transformers Trainer, stock collator"
    emit(
        [
            Row("masked-LM, full fine-tuning", "tokens/s", best["ours"], best["stock"], "ratio >= 1.5", note),
            Row(
                "masked-LM, full fine-tuning, output tied as in the Trainer",
                "tokens/s",
                best["tied"],
                best["stock"],
                "",
                note,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
