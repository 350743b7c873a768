"""Masks: how entries are ranked, denoised and chosen."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from deftx.config.common import Share, Strict


class VarianceRank(Strict):
    """The smallest rank whose squared singular values sum to this share of all."""

    variance: Annotated[float, Field(gt=0, le=1)]
    """Share of the sum of squared singular values."""


class UniformRank(Strict):
    """One rank for all matrices; smaller matrices are kept whole."""

    uniform: Annotated[int, Field(ge=1)]
    """The rank."""


def _rank_kind(value: Any) -> str:
    if isinstance(value, (VarianceRank, UniformRank)):
        return "variance" if isinstance(value, VarianceRank) else "uniform"
    if isinstance(value, Mapping):
        return "uniform" if "uniform" in value else "variance"
    return "rule"


Rank = Annotated[
    Annotated[Literal["none", "gavish-donoho"], Tag("rule")]
    | Annotated[VarianceRank, Tag("variance")]
    | Annotated[UniformRank, Tag("uniform")],
    Discriminator(_rank_kind),
]


class Denoising(Strict):
    """How a delta is denoised before its largest entries are chosen."""

    rank: Rank = "none"
    """`none` (LT-SFT), `variance: x`, `uniform: r`, or `gavish-donoho`."""
    keep: Share = 0.05
    """Share of each matrix's residual entries that survive the denoising."""
    embeddings: bool = True
    """Whether embedding matrices are denoised too."""


Budget = Annotated[int, Field(ge=0, strict=True)] | Annotated[float, Field(ge=0, le=1, strict=True)]


class Budgets(Strict):
    """How many entries a mask has: a number of entries, or with a decimal point a share of all maskable."""

    language: Budget
    """For language vectors."""
    task: Budget
    """For task vectors."""


class Selection(Denoising):
    """How a mask is chosen."""

    select: Annotated[str, Field(json_schema_extra={"registry": "mask scores"})] = "full-fine-tuning"
    """What is ranked: the delta of a full fine-tuning, or the sum of gradients over `recipe.*.gradients`, which needs
    far less memory (docs/reference/performance.md compares them). `random` ranks nothing: the entries are drawn, as a
    control."""
    k: Budgets
    """Sizes of the masks."""
