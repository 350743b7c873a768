"""Models of two layers with random weights, and text of made-up words for them."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

from deftx.core.files import write_text
from deftx.finetuning.pretraining import word_tokenizer
from deftx.models import base_model

WORDS = tuple(f"{a}{b}" for a in "bdgkmnpt" for b in ("a", "e", "i", "o", "u"))
LABELS = ("bad", "good")
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def bert(folder: Path) -> Path:
    """Store a pico BERT with its tokenizer; returns its base.json."""
    return _store(BertConfig, BertForMaskedLM, folder)


def xlmr(folder: Path) -> Path:
    """Store a pico XLM-R with its tokenizer; returns its base.json."""
    return _store(XLMRobertaConfig, XLMRobertaForMaskedLM, folder)


def _store(configuration: Any, model: Any, folder: Path) -> Path:
    tokenizer = word_tokenizer(WORDS)
    torch.manual_seed(0)
    config = configuration(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, max_position_embeddings=66, **SHAPE
    )
    model(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    base_model.describe(None, None, str(folder / "base"), folder / "base.json")
    return folder / "base.json"


def sentences(count: int, seed: int = 0) -> list[str]:
    """Lines of 3 to 9 words."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 9))) for _ in range(count)]


def text(path: Path, count: int = 40, seed: int = 0) -> Path:
    """A corpus file."""
    write_text(path, "".join(f"{line}\n" for line in sentences(count, seed)))
    return path


def rows(path: Path, count: int = 24, seed: int = 0, labels: Sequence[str] = LABELS) -> Path:
    """A dataset file; a sentence's label depends on its first word."""
    lines = [f"{n},{s},{labels[WORDS.index(s.split()[0]) % len(labels)]}" for n, s in enumerate(sentences(count, seed))]
    write_text(path, "\n".join(["id,text,label", *lines]) + "\n")
    return path
