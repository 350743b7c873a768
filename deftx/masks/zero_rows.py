"""Where the entries of stored tensors lie in their parameters, when rows of zeros are left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Shapes of parameters by name, and the row numbers (int64, ascending) of those stored without their zero rows."""

    shapes: Mapping[str, Sequence[int]]
    rows: Mapping[str, Tensor] = field(default_factory=dict)

    def positions(self, name: str, indices: Tensor) -> Tensor:
        """Flat indices into a stored tensor as flat indices into its parameter; ascending ones stay so."""
        if name not in self.rows:
            return indices
        width = self.shapes[name][1]
        return self.rows[name][indices // width] * width + indices % width

    def expanded(self, name: str, stored: Tensor) -> Tensor:
        """A stored tensor in its parameter's shape."""
        if name not in self.rows:
            return stored
        whole = torch.zeros(tuple(self.shapes[name]), dtype=stored.dtype)
        whole[self.rows[name]] = stored
        return whole


class Expanded(Mapping[str, Tensor]):
    """Stored tensors in their parameters' shapes, one at a time."""

    def __init__(self, stored: Mapping[str, Tensor], layout: Layout) -> None:
        self.stored, self.layout = stored, layout

    def __getitem__(self, name: str) -> Tensor:
        return self.layout.expanded(name, self.stored[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)
