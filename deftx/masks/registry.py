"""Registry of importance scores: what a selection ranks, and the code that selects."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MaskScore:
    """Importance score by which elements are selected."""

    name: str
    """In the configuration (`selections.*.select`)."""
    paper: str
    ranks: str
    """Type of module whose values are ranked, or whose elements may be drawn."""
    code: str
    """Module of the package that selects."""
    rule: str
    """First part of the names of the rules that run it."""
    drawn: bool = False
    """Whether elements are drawn and not ranked, so that nothing is denoised."""


_ENTRIES = (
    MaskScore(
        "full-fine-tuning", "Ansell et al. 2022; denoised: Simon & Jyothi 2025", "dense", "deftx.masks.select", "mask"
    ),
    MaskScore("accumulated-gradient", "ours, after Ansell et al. 2024", "gradients", "deftx.masks.select", "mask"),
    MaskScore("random", "a control", "dense", "deftx.masks.random_control", "random_mask", drawn=True),
)
MASK_SCORES = {entry.name: entry for entry in _ENTRIES}
"""By name."""
