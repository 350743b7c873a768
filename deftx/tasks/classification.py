"""Classification of texts or pairs of texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deftx.config.training import TaskTraining
from deftx.data.rows import check_labels
from deftx.data.rows import load as load_rows
from deftx.models import base_model
from deftx.tasks import metrics
from deftx.tasks.inference import padded, probabilities
from deftx.tasks.objective import Batch, ForwardPass, forward_pass
from deftx.tasks.training_data import TrainingData

POOL = 50  # batches are formed inside pools of so many batches of texts, sorted by length


class Classification:
    """Cross-entropy over the labels of a text or a pair of texts."""

    def __init__(
        self,
        tokenizer: Any,
        train: Sequence[dict[str, str]],
        valid: Sequence[dict[str, str]],
        labels: Sequence[str],
        max_length: int,
        forward: ForwardPass,
    ) -> None:
        self.tokenizer, self.forward = tokenizer, forward
        self.labels = list(labels)
        self.train = forward.encode(tokenizer, train, max_length)
        self.train_labels = [self.labels.index(row["label"]) for row in train]
        self.valid = forward.encode(tokenizer, valid, max_length)
        self.valid_labels = [self.labels.index(row["label"]) for row in valid]

    def batches(self, epoch: int, seed: int, batch_size: int) -> list[list[int]]:
        """Return batches of texts of like length: shuffled, sorted inside pools, cut, shuffled again."""
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
        return functional.cross_entropy(self.forward.logits(model, inputs).float(), batch["labels"], reduction="sum")

    def part(self, batch: Batch, first: int, end: int) -> Batch:
        return {name: tensor[first:end] for name, tensor in batch.items()}

    def token_ids(self) -> Tensor:
        """Return those of the texts, and padding."""
        present = {token for text in (*self.train, *self.valid) for token in text["input_ids"]}
        return torch.tensor(sorted(present | {self.tokenizer.pad_token_id}))

    def evaluate(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
        """Return the probability of each label for each text (texts x labels), zeros for those of other processes."""
        computed = probabilities(model, self.forward, self.tokenizer, self.valid, process=process, processes=processes)
        return torch.from_numpy(computed).to(next(model.parameters()).device)

    def measures(self, evaluated: Tensor) -> dict[str, float]:
        """Return macro-F1 (from 0 to 1) over all labels; one that neither occurs nor was predicted counts as 0."""
        if not self.valid:
            return {}
        predicted = evaluated.cpu().numpy().argmax(1)
        counts = metrics.confusion(np.array(self.valid_labels), predicted, len(self.labels))
        return {"macro_f1": float(metrics.f1(counts).mean())}

    def is_better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        return new["macro_f1"] > old["macro_f1"]


def objective(data: TrainingData, description: base_model.Description) -> Classification:
    """Return the objective over labelled rows, tokenised.

    Raises:
        DatasetError: a label is not among the task's.
    """
    assert data.labels is not None and isinstance(data.recipe, TaskTraining)
    rows = load_rows(data.train), load_rows(data.valid)
    for split, path in zip(rows, (data.train, data.valid), strict=True):
        check_labels(split, data.labels, path)
    tokenizer = base_model.tokenizer(description)
    return Classification(tokenizer, *rows, data.labels, data.recipe.max_length, forward_pass(data.forward))


def model(data: TrainingData, description: base_model.Description, seed: int) -> Any:
    """Return the base with a new head, whose initialization depends on `seed` alone."""
    assert data.labels is not None
    return forward_pass(data.forward).model(description, data.labels, seed)
