"""Masked language modelling on a language's text.

The order of the examples depends on (seed, epoch) alone, and all chance inside a step on (seed, step), so a run that
resumes from a checkpoint gets what an uninterrupted run gets.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deftx.config.training import LanguageTraining, Training
from deftx.core.errors import BaseModelError, CorpusError
from deftx.core.runtime import wants_bf16
from deftx.data.tokenization import Mapped, cached, token_ids_in
from deftx.models import base_model
from deftx.models.registry import ARCHITECTURES
from deftx.tasks.objective import Batch
from deftx.tasks.training_data import TrainingData
from deftx.tasks.validation import VALID_BLOCKS

VALID_SEED = 20_250_521


class MaskedLM:
    """Predict masked tokens (Devlin et al. 2019): of the chosen ones 80 % masked, 10 % random, 10 % kept.

    Logits are computed at masked positions only.
    """

    def __init__(
        self,
        tokenizer: Any,
        train: Tensor | Mapped,
        valid: Tensor | Mapped,
        probability: float,
        replacement: Literal["all", "corpus"] = "all",
    ) -> None:
        """Take tokenised text (number x length, `deftx.data.tokenization`): to train on, and held out."""
        self.mask_token, self.padding = tokenizer.mask_token_id, tokenizer.pad_token_id
        self.special = torch.tensor(sorted(tokenizer.all_special_ids))
        self.probability = probability
        self.train = train
        self.valid = valid[list(range(min(VALID_BLOCKS, len(valid))))]
        if not len(train):
            raise CorpusError(
                f"the training text is shorter than one block of {train.shape[1]} tokens. "
                "Add text, or lower recipe.language.block"
            )
        self.replacement = torch.arange(len(tokenizer)) if replacement == "all" else token_ids_in(train)

    def batches(self, epoch: int, seed: int, batch_size: int) -> list[list[int]]:
        order = np.random.default_rng((seed, epoch)).permutation(len(self.train)).tolist()
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]

    def batch(self, examples: Sequence[int]) -> Batch:
        return self.masked(self.train[list(examples)])

    def masked(self, tokens: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Mask a batch (examples x length, any integer type); `positions` are flat indices of what is predicted."""
        present = tokens != self.padding
        longest = int(present.sum(1).max())
        tokens, present = tokens[:, :longest].long(), present[:, :longest]
        chance = torch.rand(tokens.shape, generator=generator)
        chance[torch.isin(tokens, self.special)] = 1
        chosen = chance < self.probability
        action = torch.rand(tokens.shape, generator=generator)
        random = self.replacement[torch.randint(len(self.replacement), tokens.shape, generator=generator)]
        inputs = torch.where(chosen & (action < 0.8), self.mask_token, tokens)
        inputs = torch.where(chosen & (action >= 0.9), random, inputs)
        positions = chosen.flatten().nonzero().flatten()
        batch = {"input_ids": inputs, "positions": positions, "labels": tokens.flatten()[positions]}
        return batch if present.all() else batch | {"attention_mask": present.long()}

    def part(self, batch: Batch, first: int, end: int) -> Batch:
        examples, width = batch["input_ids"].shape
        if (first, end) == (0, examples):
            return batch
        inside = (batch["positions"] >= first * width) & (batch["positions"] < end * width)
        one_each = {name: tensor[first:end] for name, tensor in batch.items() if tensor.ndim == 2}
        return one_each | {
            "positions": batch["positions"][inside] - first * width,
            "labels": batch["labels"][inside],
        }

    def token_ids(self) -> Tensor:
        """Return those of the text and of masking, and those that replace tokens at random."""
        present = (token_ids_in(self.train), token_ids_in(self.valid), self.special, self.replacement)
        return torch.cat(present).unique()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        encoder: Any = model.base_model
        hidden = encoder(batch["input_ids"], attention_mask=batch.get("attention_mask")).last_hidden_state
        logits = lm_head(model)(hidden.flatten(0, 1)[batch["positions"]])
        return functional.cross_entropy(logits.float(), batch["labels"], reduction="sum")

    @torch.no_grad()
    def evaluate(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
        """Return the sum of the losses, and the number of predicted tokens."""
        device = next(model.parameters()).device
        generator = torch.Generator().manual_seed(VALID_SEED)
        total, count = 0.0, 0
        for number, tokens in enumerate(self.valid.split(16)):
            batch = self.masked(tokens, generator)
            if number % processes == process and len(batch["labels"]):
                total += float(self.loss(model, {k: v.to(device) for k, v in batch.items()}))
                count += len(batch["labels"])
        return torch.tensor([total, count], dtype=torch.float64, device=device)

    def measures(self, evaluated: Tensor) -> dict[str, float]:
        total, count = evaluated.tolist()
        return {"masked_lm_loss": total / count} if count else {}

    def is_better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        return new["masked_lm_loss"] < old["masked_lm_loss"]


def objective(data: TrainingData, description: base_model.Description) -> MaskedLM:
    """Return the objective over a language's text, tokenised.

    Raises:
        CorpusError: the text is shorter than one block.
    """
    recipe = data.recipe
    assert isinstance(recipe, LanguageTraining)
    tokenizer = base_model.tokenizer(description)
    train, valid = (cached(tokenizer, path, recipe.block, recipe.packed) for path in (data.train, data.valid))
    return MaskedLM(tokenizer, train, valid, recipe.mask_probability, recipe.replacement)


def model(data: TrainingData, description: base_model.Description, seed: int) -> Any:
    """Return the base with its masked-LM head, and the output embedding that the recipe asks for."""
    recipe = data.recipe
    assert isinstance(recipe, LanguageTraining)
    model = base_model.masked_lm(description, untied=recipe.output_embedding != "tied", seed=seed)
    if recipe.output_embedding == "frozen":
        freeze_output(model, recipe)
    return model


def freeze_output(model: Any, recipe: Training) -> None:
    """Freeze a masked-LM's output embedding. Under bf16 it is stored as what every forward pass would make of it."""
    weight = model.get_output_embeddings().weight.requires_grad_(False)
    if wants_bf16(recipe.precision):
        weight.data = weight.data.bfloat16()


def lm_head(model: nn.Module) -> nn.Module:
    """Return the module that turns hidden states into logits.

    Raises:
        BaseModelError: the model has none under a name that an architecture is registered with.
    """
    for name in (name for entry in ARCHITECTURES.values() for name in entry.lm_heads):
        head = getattr(model, name, None)
        if isinstance(head, nn.Module):
            return head
    raise BaseModelError(f"{type(model).__name__} has no masked-LM head deftx knows; use a BERT or RoBERTa kind")
