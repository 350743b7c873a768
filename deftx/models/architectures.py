"""The base model's shapes, known without loading it: from base.json, a local copy's config.json, or its name."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deftx.config.base import Base, Pretraining
from deftx.config.data import Family
from deftx.core.errors import BaseModelError
from deftx.core.integrity import read_json
from deftx.models.registry import ARCHITECTURES, Architecture


@dataclass(frozen=True)
class Shape:
    """The shapes of an encoder of a registered architecture."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    positions: int = 512
    architecture: Architecture = ARCHITECTURES["bert"]

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Shape of each weight matrix of a layer, by its module."""
        return {module: (getattr(self, out), getattr(self, into)) for module, out, into in self.architecture.matrices}

    @property
    def body(self) -> int:
        """Parameters of the layers, each of which takes part in every token."""
        matrices = sum(out * into + out for out, into in self.matrices.values())
        return self.layers * (matrices + 2 * len(self.architecture.layer_norms) * self.hidden)

    @property
    def total(self) -> int:
        """Parameters of the encoder."""
        return self.body + (self.vocabulary + self.positions + self.architecture.other_rows) * self.hidden


def is_target(module: str, targets: Iterable[str]) -> bool:
    """Return whether a module, by its dotted name, is among those that LoRA adapts, by the ends of their names."""
    return any(f".{module}".endswith(f".{target}") for target in targets)


SHAPES = {
    "FacebookAI/xlm-roberta-base": Shape(12, 768, 3072, 250_002, 514),
    "FacebookAI/xlm-roberta-large": Shape(24, 1024, 4096, 250_002, 514),
}


def shape_of(base: Base, family: Family | None, described: Path) -> Shape | None:
    """Return the base model's shapes, from what is known without loading it; None where nothing is.

    Args:
        family: that of the synthetic languages, whose tokens a base that the workflow trains has.
        described: base.json, where it has been made.

    Raises:
        ResultError: base.json is damaged; with the command that makes it again.
        BaseModelError: a local copy's config.json is not a JSON object.
    """
    if described.is_file():
        return shape_of_parameters(read_json(described)["shapes"])
    if base.pretrain and family:
        return _pretrained(base.pretrain, family)
    local = _local_config(base)
    if local.is_file():
        return _configured(local)
    return SHAPES.get(base.model or "")


def shape_of_parameters(shapes: dict[str, list[int]]) -> Shape | None:
    """Return the shapes of an encoder from those of its parameters, by their names; None where we do not know them."""
    for entry in ARCHITECTURES.values():
        words = next((shape for name, shape in shapes.items() if entry.word_embeddings in name), None)
        places = next((shape for name, shape in shapes.items() if name.endswith(entry.position_embeddings)), [0])
        inner = next(f".{module}.weight" for module, out, _ in entry.matrices if out == "intermediate")
        layers = [shape for name, shape in shapes.items() if name.endswith(inner)]
        if words and layers:
            return Shape(len(layers), words[1], layers[0][0], words[0], places[0], entry)
    return None


def architecture_of(base: Base) -> Architecture | None:
    """Return the architecture of a base model as far as its settings and a local copy say; None where they do not."""
    if base.pretrain:
        return ARCHITECTURES["bert"]
    local = _local_config(base)
    if local.is_file():
        return _of_type(_read_config(local).get("model_type"))
    known = SHAPES.get(base.model or "")
    return known.architecture if known else None


def _local_config(base: Base) -> Path:
    return Path(os.environ.get("DEFTX_BASE") or base.model or "") / "config.json"


def _of_type(model_type: Any) -> Architecture | None:
    return next((entry for entry in ARCHITECTURES.values() if model_type in entry.model_types), None)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise BaseModelError(f"{path} is not a JSON object. Copy the model again") from None


def _configured(path: Path) -> Shape | None:
    """Return the shapes that a config.json states; None for architectures that call them otherwise."""
    config = _read_config(path)
    for entry in ARCHITECTURES.values():
        sizes = [size for size in map(config.get, entry.config) if isinstance(size, int)]
        if len(sizes) == len(entry.config):
            layers, hidden, intermediate, vocabulary, positions = sizes
            return Shape(layers, hidden, intermediate, vocabulary, positions, entry)
    return None


def _pretrained(settings: Pretraining, family: Family) -> Shape:
    from deftx.data import synthetic

    tokens = len(synthetic.inventory(family))
    return Shape(settings.layers, settings.hidden, settings.intermediate or 4 * settings.hidden, tokens, settings.block)
