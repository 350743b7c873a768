"""Shapes, models and deltas of the sizes that are measured; no download, all values random."""

from math import prod
from typing import Any

import torch
from torch import Tensor
from transformers import XLMRobertaConfig, XLMRobertaModel

SCALES: dict[str, dict[str, Any]] = {
    "base": {"vocab_size": 250_002, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
             "intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1},
    "pico": {"vocab_size": 2_000, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 64, "max_position_embeddings": 130, "type_vocab_size": 1},
}  # fmt: skip


def configuration(scale: str) -> XLMRobertaConfig:
    """Configuration of a model of XLM-R base's shapes, or of a tiny one."""
    return XLMRobertaConfig(**SCALES[scale], pad_token_id=1, bos_token_id=0, eos_token_id=2)


def maskable_shapes(scale: str) -> dict[str, list[int]]:
    """Shape of every maskable parameter in the model's order (no layer normalisation)."""
    with torch.device("meta"):
        encoder = XLMRobertaModel(configuration(scale), add_pooling_layer=False)
    return {n: list(p.shape) for n, p in encoder.named_parameters() if "LayerNorm" not in n}


def random_delta(name: str, shape: list[int]) -> Tensor:
    """A delta as trainings leave them: a few strong directions in noise; depends on the name alone."""
    chance = torch.Generator().manual_seed(prod(map(ord, name)) % 2**31)
    noise = torch.randn(shape, generator=chance).mul_(1e-4)
    if len(shape) == 2:
        rank = min(16, *shape)
        left = torch.randn(shape[0], rank, generator=chance) * torch.logspace(0, -1, rank)
        noise.addmm_(left, torch.randn(rank, shape[1], generator=chance), alpha=1e-4)
    return noise
