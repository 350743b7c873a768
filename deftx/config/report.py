"""Comparisons and figures of the report."""

from typing import Annotated

from pydantic import Field, model_validator

from deftx.config.common import Name, Strict


class Sweep(Strict):
    """Methods that differ in one hyper-parameter, for a figure of the score against it."""

    title: str
    """Name of the hyper-parameter, for the axis."""
    at: Annotated[tuple[int | float | str, ...], Field(min_length=1)]
    """Values of the hyper-parameter, in the order of the axis."""
    series: Annotated[dict[str, tuple[Name, ...]], Field(min_length=1)]
    """Lines of the figure by title: a method for each value."""
    beside: tuple[Name, ...] = ()
    """Methods without the hyper-parameter, drawn as horizontal lines for comparison."""

    @model_validator(mode="after")
    def _complete(self) -> "Sweep":
        for title, methods in self.series.items():
            if len(methods) != len(self.at):
                raise ValueError(f"the series {title!r} has {len(methods)} methods for {len(self.at)} values")
        return self


class Published(Strict):
    """Published scores, and the method to compare with each."""

    scores: str
    """A set of published scores, by its name in deftx/evaluation/published.json."""
    methods: Annotated[dict[str, Name], Field(min_length=1)]
    """Our method by the system of the set."""
    note: str | None = None
    """Other differences than the method: a sentence below the table."""


class Compare(Strict):
    """Methods of the stars, statements and gains in the report."""

    reference: Name | None = None
    """Method that every other is tested against, for stars and statements. Default: `lt-sft`, if there is such a
    method."""
    proposed: Name | None = None
    """Method that is tested against all others, for statements. Default: `deft-x`, if there is such a method."""
    control: Name | None = None
    """Method without a language module that gains are computed over. Default: `task-sft`, if there is such a method."""
