"""Registry of merging rules: which values are added at elements that several vectors change."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MergingRule:
    """Rule that resolves conflicts between vectors."""

    name: str
    """In the configuration (`methods.*.conflicts`)."""
    paper: str
    code: str = ""
    """Module of the package whose `survivors` decides; empty if all values are added."""


_ENTRIES = (
    MergingRule("sum", "Ansell et al. 2022, section 3.2; task arithmetic: Ilharco et al. 2023"),
    MergingRule("ties", "the election of TIES-Merging: Yadav et al. 2023, section 4", "deftx.merging.ties"),
    MergingRule("drop-overlap", "a control: the remaining vectors are disjoint", "deftx.merging.drop_overlap"),
)
MERGING_RULES = {entry.name: entry for entry in _ENTRIES}
"""By name."""
