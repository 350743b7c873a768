"""Random masks: as many elements as a selection would choose, drawn at random, as a control.

Each maskable element gets a random number, and the mask is the k largest of them: all sets of k elements are equally
likely. The numbers depend on the delta's training data, initialization and seed, so that the masks of two languages, or
of a language and a task, are independent.
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
from deftx.masks.select import select_top_k
from deftx.masks.top_k import share_of
from deftx.modules import vectors


class Noise(Mapping[str, Tensor]):
    """Random float32 numbers in [0, 1) for each parameter, drawn from the same seed on every access.

    Of 2^24 different numbers some tie. Where the k-th largest does, `select_top_k` takes the first ones, which can
    favour earlier elements among the few that tie there.
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
    """Draw a mask of the maskable elements of a delta, and write it and the number of drawn elements per parameter.

    k is a number of elements (int), or a share of all (float, rounded to the nearest element). The random numbers of
    one parameter are in memory at a time. `selection` has no effect, as nothing is ranked.

    Raises:
        VectorError: the file is not a delta, or is corrupted.
        DeltaError: k exceeds the number of elements.
    """
    with vectors.open_delta(delta) as file:
        metadata = file.metadata
        shapes = {name: metadata.shapes[name] for name in file.names}
    budget = k if isinstance(k, int) else round(share_of(k, sum(map(prod, shapes.values()))))
    drawn = select_top_k(Noise(shapes, _seed(metadata)), budget)
    mask_metadata = metadata.model_copy(update={"kind": "mask", "selection": {"select": "random", "k": budget}})
    vectors.save(
        vectors.Vector(mask_metadata, positions={name: indices.numpy() for name, indices in drawn.items()}), out
    )
    write_json(report, {name: _report(drawn[name], shape) for name, shape in shapes.items()})
    return drawn


def _seed(metadata: vectors.Metadata) -> str:
    """Return a text that identifies the training of a delta."""
    return json.dumps([metadata.seed, metadata.objective, metadata.start, sorted(metadata.data.items())])


def _report(indices: Tensor, shape: list[int]) -> dict[str, object]:
    """Return the entry of a mask's report for a parameter that was not denoised."""
    return {"shape": shape, "entries": prod(shape), "chosen": len(indices), "rank": None, "singular_values": []}
