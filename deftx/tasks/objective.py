"""What the training loop needs to know of an objective."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

Batch = dict[str, Tensor]


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
