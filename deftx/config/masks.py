"""Masks: how elements are ranked, denoised and selected."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from deftx.config.common import Share, Strict


class VarianceRank(Strict):
    """The smallest rank whose squared singular values sum to this share of all."""

    variance: Annotated[float, Field(gt=0, le=1)]
    """Share of the sum of squared singular values."""


class UniformRank(Strict):
    """One rank for all matrices; smaller matrices keep their full rank."""

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
    """Denoising of a delta before its largest elements are selected."""

    rank: Rank = "none"
    """`none` (LT-SFT), `variance: x`, `uniform: r`, or `gavish-donoho`."""
    keep: Share = 0.05
    """Share of the elements of each matrix's residual that survive the denoising."""
    embeddings: bool = True
    """Whether embedding matrices are also denoised."""


Budget = Annotated[int, Field(ge=0, strict=True)] | Annotated[float, Field(ge=0, le=1, strict=True)]


class Budgets(Strict):
    """Sizes of masks: a number of elements, or with a decimal point a share of the maskable parameters."""

    language: Budget
    """For language vectors."""
    task: Budget
    """For task vectors."""


class Selection(Denoising):
    """Selection of a mask."""

    select: Annotated[str, Field(json_schema_extra={"registry": "mask scores"})] = "full-fine-tuning"
    """Importance scores: the delta of a full fine-tuning, or the gradients accumulated over `recipe.*.gradients`,
    which need far less memory (docs/reference/performance.md compares them). `random` draws the elements, as a
    control."""
    k: Budgets
    """Sizes of the masks."""
