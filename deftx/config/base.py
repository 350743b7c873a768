"""Base model: an existing one, or one that the workflow pretrains."""

from typing import Annotated

from pydantic import Field, model_validator

from deftx.config.common import Name, Share, Strict
from deftx.config.training import Phase


class Pretraining(Strict):
    """A tiny encoder that the workflow pretrains on some of the languages."""

    languages: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Languages of its training data."""
    layers: Annotated[int, Field(ge=1)] = 2
    """Transformer layers."""
    hidden: Annotated[int, Field(ge=4)] = 96
    """Width; a multiple of `heads`."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads."""
    intermediate: Annotated[int, Field(ge=4)] | None = None
    """Width of the feed-forward layers; by default four times `hidden`."""
    dropout: Share = 0.1
    """Dropout, in pretraining and in all training of this base."""
    initializer_range: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of the initial weights."""
    block: Annotated[int, Field(ge=8)] = 64
    """Length of a training example in tokens."""
    packed: bool = True
    """Whether lines are concatenated and cut into blocks; otherwise each line is an example, cut at `block`."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that are predicted."""
    phase: Phase
    """Length and learning rate of the training."""
    seed: int = 0
    """Seed of the weights and of the order of the examples."""


class Base(Strict):
    """The pretrained encoder that all methods start from."""

    model: str | None = None
    """Hub id or local folder of a masked-LM checkpoint; the environment variable DEFTX_BASE takes precedence."""
    revision: str | None = None
    """Commit on the hub."""
    pretrain: Pretraining | None = None
    """Instead of `model`: pretrain a tiny one."""

    @model_validator(mode="after")
    def _one(self) -> "Base":
        if (self.model is None) == (self.pretrain is None):
            raise ValueError("base needs either `model` or `pretrain`")
        return self
