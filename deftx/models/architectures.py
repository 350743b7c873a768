"""The base model's shapes, known without loading it: from base.json, a local copy's config.json, or its name."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deftx.config.base import Base, Pretraining
from deftx.config.data import Family
from deftx.core.errors import BaseModelError
from deftx.core.integrity import read_json
from deftx.models.parameter_names import is_word_embedding

CONFIGURED = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings")
"""What config.json calls the fields of a shape."""
ATTENTION = ("self.query", "self.key", "self.value", "output.dense")


@dataclass(frozen=True)
class Shape:
    """The shapes of an encoder of the BERT family."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    positions: int = 512

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Shape of each weight matrix of a layer, by its module."""
        attention = {f"attention.{part}": (self.hidden, self.hidden) for part in ATTENTION}
        inner = {
            "intermediate.dense": (self.intermediate, self.hidden),
            "output.dense": (self.hidden, self.intermediate),
        }
        return attention | inner

    @property
    def body(self) -> int:
        """Parameters of the layers, each of which takes part in every token."""
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate + 9 * self.hidden + self.intermediate
        return self.layers * layer

    @property
    def total(self) -> int:
        """Parameters of the encoder."""
        return self.body + (self.vocabulary + self.positions + 3) * self.hidden


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
        family: that of the artificial languages, whose tokens a base that the workflow trains has.
        described: base.json, where it has been made.

    Raises:
        ResultError: base.json is damaged; with the command that makes it again.
        BaseModelError: a local copy's config.json is no JSON object.
    """
    if described.is_file():
        return shape_of_parameters(read_json(described)["shapes"])
    if base.pretrain and family:
        return _pretrained(base.pretrain, family)
    local = Path(os.environ.get("DEFTX_BASE") or base.model or "") / "config.json"
    if local.is_file():
        return _configured(local)
    return SHAPES.get(base.model or "")


def shape_of_parameters(shapes: dict[str, list[int]]) -> Shape | None:
    """The shapes of an encoder from those of its parameters, by their names."""
    words = next((s for n, s in shapes.items() if is_word_embedding(n)), None)
    places = next((s for n, s in shapes.items() if n.endswith("position_embeddings.weight")), [0])
    inner = [s for n, s in shapes.items() if n.endswith("intermediate.dense.weight")]
    return Shape(len(inner), words[1], inner[0][0], words[0], places[0]) if words and inner else None


def _configured(path: Path) -> Shape | None:
    """The shapes that a config.json states; None for families of models that call them otherwise."""
    try:
        config = dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise BaseModelError(f"{path} is no JSON object; copy the model again") from None
    sizes = [size for size in map(config.get, CONFIGURED) if isinstance(size, int)]
    return Shape(*sizes) if len(sizes) == len(CONFIGURED) else None


def _pretrained(settings: Pretraining, family: Family) -> Shape:
    from deftx.data import synthetic

    pieces = len(synthetic.inventory(family))
    return Shape(settings.layers, settings.hidden, settings.intermediate or 4 * settings.hidden, pieces, settings.block)
