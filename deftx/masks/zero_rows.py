"""Positions of stored tensors in their parameters, if rows of zeros are left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Shapes of parameters, and the row numbers (int64, ascending) of those stored without rows of zeros."""

    shapes: Mapping[str, Sequence[int]]
    rows: Mapping[str, Tensor] = field(default_factory=dict)

    def positions(self, name: str, indices: Tensor) -> Tensor:
        """Return flat indices into a stored tensor as flat indices into its parameter, in the same order."""
        if name not in self.rows:
            return indices
        width = self.shapes[name][1]
        return self.rows[name][indices // width] * width + indices % width

    def expand(self, name: str, stored: Tensor) -> Tensor:
        """Return a stored tensor in its parameter's shape."""
        if name not in self.rows:
            return stored
        full = torch.zeros(tuple(self.shapes[name]), dtype=stored.dtype)
        full[self.rows[name]] = stored
        return full


class Expanded(Mapping[str, Tensor]):
    """Stored tensors in the shapes of their parameters, one at a time."""

    def __init__(self, stored: Mapping[str, Tensor], layout: Layout) -> None:
        self.stored, self.layout = stored, layout

    def __getitem__(self, name: str) -> Tensor:
        return self.layout.expand(name, self.stored[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)
