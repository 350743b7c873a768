"""Transforms of rows: what a view is made of, and the code of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Transform:
    """A change of labelled rows, the same for training and test rows."""

    name: str
    """In the configuration (`views.*.steps`)."""
    paper: str
    code: str
    """Module of the package with what `deftx.views.transform_rows.Code` asks for."""
    settings: str = ""
    """Its block of settings, as `module:class` of `deftx.config`; without it a step has no settings."""


_ENTRIES: tuple[Transform, ...] = ()
TRANSFORMS = {entry.name: entry for entry in _ENTRIES}
"""By name."""
