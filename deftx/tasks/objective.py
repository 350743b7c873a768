"""What the training loop asks of an objective, and what objectives and prediction ask of a way forward."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from torch import Tensor, nn

from deftx.models.base_model import Description
from deftx.tasks.forwards.registry import FORWARDS

Batch = dict[str, Tensor]
Encoded = dict[str, list[int]]
"""Token ids of a text, and whatever else the model takes of each token, by the model's names."""


class Objective(Protocol):
    """What the training loop asks of an objective."""

    def batches(self, epoch: int, seed: int, batch_size: int) -> list[list[int]]:
        """Return the examples of each batch of an epoch."""

    def batch(self, examples: Sequence[int]) -> Batch:
        """Return the tensors of a batch; draws from torch's default generator."""

    def part(self, batch: Batch, first: int, end: int) -> Batch:
        """Return examples `first` to `end` (not included) of a batch."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the sum of the losses of a batch; there are as many as `labels`."""

    def token_ids(self) -> Tensor:
        """Return all token ids a model may get, in training and evaluation (ascending)."""

    def evaluate(self, model: nn.Module, process: int = 0, processes: int = 1) -> Tensor:
        """Return what a process computes on its share of the validation set (float64), to be summed over processes."""

    def measures(self, evaluated: Tensor) -> dict[str, float]:
        """Return measures on the validation set from the sum; the first is the one a checkpoint is chosen by."""

    def is_better(self, new: dict[str, float], old: dict[str, float]) -> bool:
        """Return whether measures are better than earlier ones."""


class ForwardPass(Protocol):
    """How a task's model computes logits; the encoder's parameters keep their names."""

    def model(self, description: Description, labels: Sequence[str], seed: int) -> Any:
        """Return the base with a new head, whose initialization depends on `seed` alone."""

    def encode(self, tokenizer: Any, rows: Sequence[dict[str, str]], max_length: int) -> list[Encoded]:
        """Return what the model takes of each row, at most `max_length` tokens."""

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the logits of a padded batch (rows x labels)."""


def forward_pass(name: str) -> ForwardPass:
    """Return the code of a way forward by its name in the registry."""
    return cast(ForwardPass, import_module(FORWARDS[name].code))
