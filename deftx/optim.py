"""What an optimizer step may move: all trainable parameters, or the entries of a mask.

Both kinds offer the same few things to the training loop. The masked one keeps gradients and optimizer state
for the masked entries only: a parameter's dense gradient is gathered at the mask and freed as soon as it is
accumulated, which also means that clipping sees the masked gradients alone.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Entries(Protocol):
    """The entries one training phase moves."""

    def leaves(self) -> dict[str, nn.Parameter]:
        """The tensors the optimizer updates, by a stable name."""

    def pull(self, strength: float) -> None:
        """Add the gradient of `strength` x sum |theta - theta_start| over the base's entries."""

    def write(self) -> None:
        """Make the model hold the current values (after an optimizer step, or after a restore)."""

    def difference(self) -> dict[str, Tensor]:
        """theta - theta_start of the base's entries, float32, by parameter name."""


class AllEntries:
    """Full fine-tuning: every trainable parameter moves."""

    def __init__(self, base: Mapping[str, nn.Parameter], head: Mapping[str, nn.Parameter]) -> None:
        self.base = dict(base)
        self.head = dict(head)
        self.start = {name: parameter.detach().clone() for name, parameter in base.items()}

    def leaves(self) -> dict[str, nn.Parameter]:
        return _named("base", self.base) | _named("head", self.head)

    def pull(self, strength: float) -> None:
        for name, parameter in self.base.items():
            if parameter.grad is not None:
                parameter.grad.add_(torch.sign(parameter.detach() - self.start[name]), alpha=strength)

    def write(self) -> None:
        """Nothing to do: the optimizer updates the model's own tensors."""

    def difference(self) -> dict[str, Tensor]:
        return {name: p.detach() - self.start[name] for name, p in self.base.items()}


class MaskedEntries:
    """Sparse fine-tuning: only masked entries and the head move (Ansell et al. 2022, section 3.1)."""

    def __init__(
        self,
        base: Mapping[str, nn.Parameter],
        head: Mapping[str, nn.Parameter],
        mask: Mapping[str, Tensor],
    ) -> None:
        self.head = dict(head)
        self.base: dict[str, nn.Parameter] = {}
        self.mask: dict[str, Tensor] = {}
        self.values: dict[str, nn.Parameter] = {}
        for name, parameter in base.items():
            indices = mask.get(name, torch.empty(0, dtype=torch.int64)).to(parameter.device)
            parameter.requires_grad_(len(indices) > 0)
            if len(indices):
                self.base[name] = parameter
                self.mask[name] = indices
                self.values[name] = nn.Parameter(parameter.detach().view(-1)[indices].clone())
                parameter.register_post_accumulate_grad_hook(self._gather(name))
        self.start = {name: values.detach().clone() for name, values in self.values.items()}

    def _gather(self, name: str) -> Any:
        def hook(parameter: Tensor) -> None:
            assert parameter.grad is not None
            gathered = parameter.grad.view(-1)[self.mask[name]]
            values = self.values[name]
            values.grad = gathered if values.grad is None else values.grad.add_(gathered)
            parameter.grad = None

        return hook

    def leaves(self) -> dict[str, nn.Parameter]:
        return _named("base", self.values) | _named("head", self.head)

    def pull(self, strength: float) -> None:
        for name, values in self.values.items():
            if values.grad is not None:
                values.grad.add_(torch.sign(values.detach() - self.start[name]), alpha=strength)

    @torch.no_grad()
    def write(self) -> None:
        for name, values in self.values.items():
            self.base[name].view(-1)[self.mask[name]] = values

    def difference(self) -> dict[str, Tensor]:
        return {name: v.detach() - self.start[name] for name, v in self.values.items()}


def _named(prefix: str, group: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    return {f"{prefix}.{name}": parameter for name, parameter in group.items()}
