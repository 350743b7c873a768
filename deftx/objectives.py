"""Training objectives: masked language modelling and sequence classification.

An objective turns examples into batches and batches into a loss, and looks at held-out data. The order of the
examples depends on (seed, epoch) alone, and all chance inside a step on (seed, step), so a run that continues
from a checkpoint sees what an uninterrupted run sees.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deftx.errors import BaseModelError, CorpusError
from deftx.tokens import Mapped, pieces_in

Batch = dict[str, Tensor]
VALID_BLOCKS = 256  # held-out loss is taken over at most so many blocks
VALID_SEED = 20_250_521
POOL = 50  # batches are formed inside pools of so many batches of texts, sorted by length


class Objective(Protocol):
    """What the training loop needs to know of an objective."""

    def batches(self, epoch: int, seed: int, batch_size: int) -> list[list[int]]:
        """The examples of each batch of an epoch."""

    def batch(self, examples: Sequence[int]) -> Batch:
        """The tensors of a batch; draws from torch's default generator."""

    def part(self, batch: Batch, first: int, end: int) -> Batch:
        """Examples `first` to `end` (not included) of a batch."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The sum of the losses of a batch; there are as many as `labels`."""

    def pieces(self) -> Tensor:
        """All pieces a model may be shown, in training and in looks at held-out data (ascending)."""

    def look(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
        """What a process sees of held-out data, its share of it (float64); over all processes it adds up."""

    def measures(self, seen: Tensor) -> dict[str, float]:
        """Measures on held-out data from a look; the first is the one a checkpoint is chosen by."""

    def better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        """Whether a look at held-out data is better than another."""


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
        """`train` and `valid` are tokenised text (number x length), see `deftx.tokens`."""
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
        self.replacement = torch.arange(len(tokenizer)) if replacement == "all" else pieces_in(train)

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

    def pieces(self) -> Tensor:
        """Of the text, of masking, and what replaces pieces at random."""
        shown = (pieces_in(self.train), pieces_in(self.valid), self.special, self.replacement)
        return torch.cat(shown).unique()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        encoder: Any = model.base_model
        hidden = encoder(batch["input_ids"], attention_mask=batch.get("attention_mask")).last_hidden_state
        logits = lm_head(model)(hidden.flatten(0, 1)[batch["positions"]])
        return functional.cross_entropy(logits.float(), batch["labels"], reduction="sum")

    @torch.no_grad()
    def look(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
        """Sum of the losses, and number of the predicted tokens."""
        device = next(model.parameters()).device
        generator = torch.Generator().manual_seed(VALID_SEED)
        total, count = 0.0, 0
        for number, tokens in enumerate(self.valid.split(16)):
            batch = self.masked(tokens, generator)
            if number % processes == process and len(batch["labels"]):
                total += float(self.loss(model, {k: v.to(device) for k, v in batch.items()}))
                count += len(batch["labels"])
        return torch.tensor([total, count], dtype=torch.float64, device=device)

    def measures(self, seen: Tensor) -> dict[str, float]:
        total, count = seen.tolist()
        return {"masked_lm_loss": total / count} if count else {}

    def better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        return new["masked_lm_loss"] < old["masked_lm_loss"]


def lm_head(model: nn.Module) -> nn.Module:
    """The module that turns hidden states into logits."""
    for name in ("lm_head", "cls"):
        head = getattr(model, name, None)
        if isinstance(head, nn.Module):
            return head
    raise BaseModelError(f"{type(model).__name__} has no masked-LM head deftx knows; use a BERT or RoBERTa kind")


class Classification:
    """Cross-entropy over the labels of a text or a pair of texts."""

    def __init__(
        self,
        tokenizer: Any,
        train: Sequence[dict[str, str]],
        valid: Sequence[dict[str, str]],
        labels: Sequence[str],
        max_length: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.labels = list(labels)
        self.train = tokenise(tokenizer, train, max_length)
        self.train_labels = [self.labels.index(row["label"]) for row in train]
        self.valid = tokenise(tokenizer, valid, max_length)
        self.valid_labels = [self.labels.index(row["label"]) for row in valid]

    def batches(self, epoch: int, seed: int, batch_size: int) -> list[list[int]]:
        """Batches of texts of like length: shuffled, sorted inside pools, cut, shuffled again."""
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(len(self.train)).tolist()
        pool = POOL * batch_size
        grouped: list[list[int]] = []
        for start in range(0, len(order), pool):
            sorted_pool = sorted(order[start : start + pool], key=lambda i: len(self.train[i]["input_ids"]))
            grouped += [sorted_pool[i : i + batch_size] for i in range(0, len(sorted_pool), batch_size)]
        return [grouped[i] for i in rng.permutation(len(grouped))]

    def batch(self, examples: Sequence[int]) -> Batch:
        labels = torch.tensor([self.train_labels[i] for i in examples])
        return padded(self.tokenizer, [self.train[i] for i in examples]) | {"labels": labels}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        return functional.cross_entropy(model(**inputs).logits.float(), batch["labels"], reduction="sum")

    def part(self, batch: Batch, first: int, end: int) -> Batch:
        return {name: tensor[first:end] for name, tensor in batch.items()}

    def pieces(self) -> Tensor:
        """Of the texts, and padding."""
        shown = {piece for text in (*self.train, *self.valid) for piece in text["input_ids"]}
        return torch.tensor(sorted(shown | {self.tokenizer.pad_token_id}))

    def look(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
        """Probability of each label for each text (texts x labels), zeros for those of other processes."""
        seen = probabilities(model, self.tokenizer, self.valid, process=process, processes=processes)
        return torch.from_numpy(seen).to(next(model.parameters()).device)

    def measures(self, seen: Tensor) -> dict[str, float]:
        from sklearn.metrics import f1_score

        if not self.valid:
            return {}
        predicted = seen.cpu().numpy().argmax(1)
        score = f1_score(self.valid_labels, predicted, labels=range(len(self.labels)), average="macro", zero_division=0)
        return {"macro_f1": float(score)}

    def better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        return new["macro_f1"] > old["macro_f1"]


def tokenise(tokenizer: Any, rows: Sequence[dict[str, str]], max_length: int) -> list[dict[str, list[int]]]:
    """Token ids (and segment ids where the model has them) of each text or pair."""
    if not rows:
        return []
    pairs = [row["pair"] for row in rows] if "pair" in rows[0] else None
    encoded = tokenizer(
        [row["text"] for row in rows], pairs, truncation=True, max_length=max_length, return_attention_mask=False
    )
    return [{name: encoded[name][i] for name in encoded} for i in range(len(rows))]


def padded(tokenizer: Any, texts: Sequence[dict[str, list[int]]]) -> Batch:
    """A batch padded to its longest member."""
    return dict(tokenizer.pad(list(texts), return_tensors="pt", padding="longest", return_attention_mask=True))


@torch.inference_mode()
def probabilities(
    model: Any,
    tokenizer: Any,
    texts: Sequence[dict[str, list[int]]],
    batch_size: int = 64,
    process: int = 0,
    processes: int = 1,
) -> np.ndarray[Any, Any]:
    """Probability of each label for each text (texts x labels, float64), in the order of the texts.

    Texts are run in order of length, so that a batch holds little padding. Of several processes each runs its share of
    the batches, and leaves zeros for the others'.
    """
    from tqdm import tqdm

    training, device = model.training, next(model.parameters()).device
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]["input_ids"]))
    result = np.zeros((len(texts), model.config.num_labels))
    share = range(process * batch_size, len(order), processes * batch_size)
    for start in tqdm(share, desc="evaluate", disable=None, leave=False):
        some = order[start : start + batch_size]
        batch = {k: v.to(device) for k, v in padded(tokenizer, [texts[i] for i in some]).items()}
        result[some] = model(**batch).logits.double().softmax(-1).cpu().numpy()
    model.train(training)
    return result
