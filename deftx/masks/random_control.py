"""Random masks: as many entries as a selection would choose, drawn at random; a control for what is chosen.

Each maskable entry gets a random number, and the mask is the k largest of them: every set of k entries is as likely as
any other. The numbers depend on what the delta was trained on, where it started and its seed, so that the masks of two
languages, or of a language and a task, are independent.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from deftx.config.masks import Denoising
from deftx.core.integrity import write_json
from deftx.masks.select import largest
from deftx.modules import vectors


class Noise(Mapping[str, Tensor]):
    """Random float32 numbers in [0, 1) for each parameter, drawn anew from the same seed whenever they are asked for.

    Of 2^24 different numbers some tie; where the k-th largest does, `largest` takes the first ones. That can favour
    earlier entries among the few that tie there, and no others.
    """

    def __init__(self, shapes: Mapping[str, list[int]], seed: str) -> None:
        self.shapes, self.seed = shapes, seed

    def __getitem__(self, name: str) -> Tensor:
        digest = hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        chance = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        return torch.rand(prod(self.shapes[name]), generator=chance)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def build(delta: Path, selection: Denoising, k: int | float, out: Path, report: Path) -> dict[str, Tensor]:
    """Draw a mask of the entries a delta could have moved; writes the mask, and how many were drawn per parameter.

    k is a number of entries (int), or a share of all entries (float, rounded to the nearest entry). The numbers of one
    parameter are held at a time. Nothing is ranked, so that nothing of `selection` counts.

    Raises:
        VectorError: the file is no delta, or is damaged.
        DeltaError: k does not fit.
    """
    with vectors.open_delta(delta) as file:
        metadata = file.metadata
        shapes = {name: metadata.shapes[name] for name in file.names}
    budget = k if isinstance(k, int) else round(k * sum(map(prod, shapes.values())))
    drawn = largest(Noise(shapes, _seed(metadata)), budget)
    noted = metadata.model_copy(update={"kind": "mask", "selection": {"select": "random", "k": budget}})
    vectors.save(vectors.Vector(noted, positions={name: indices.numpy() for name, indices in drawn.items()}), out)
    write_json(report, {name: _reported(drawn[name], shape) for name, shape in shapes.items()})
    return drawn


def _seed(metadata: vectors.Metadata) -> str:
    """What tells one training's delta from another's."""
    return json.dumps([metadata.seed, metadata.objective, metadata.start, sorted(metadata.data.items())])


def _reported(indices: Tensor, shape: list[int]) -> dict[str, object]:
    """As a mask's report has it, of a parameter that was not denoised."""
    return {"shape": shape, "entries": prod(shape), "chosen": len(indices), "rank": None, "singular_values": []}
