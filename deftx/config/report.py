"""What the report compares and draws."""

from typing import Annotated

from pydantic import Field, model_validator

from deftx.config.common import Name, Strict


class Sweep(Strict):
    """Methods that differ in one knob, for a figure of the score against it."""

    title: str
    """What is varied, for the axis."""
    at: Annotated[tuple[int | float | str, ...], Field(min_length=1)]
    """Values of the knob, in the order of the axis."""
    series: Annotated[dict[str, tuple[Name, ...]], Field(min_length=1)]
    """Lines of the figure by title: a method for each value."""
    beside: tuple[Name, ...] = ()
    """Methods without the knob, drawn across."""

    @model_validator(mode="after")
    def _complete(self) -> "Sweep":
        for title, methods in self.series.items():
            if len(methods) != len(self.at):
                raise ValueError(f"the series {title!r} names {len(methods)} methods for {len(self.at)} values")
        return self


class Published(Strict):
    """Published scores, and which of our methods each is to be compared with."""

    scores: str
    """A set of published scores, by its name in deftx/evaluation/published.json."""
    methods: Annotated[dict[str, Name], Field(min_length=1)]
    """Our method by the system of the set."""
    note: str | None = None
    """In what the two differ, beside the method: a sentence below the table."""


class Compare(Strict):
    """Which methods stars, statements and gains of the report are about."""

    reference: Name | None = None
    """Method that every other is tested against: stars and statements. Without it `lt-sft`, where there is such a
    method."""
    proposed: Name | None = None
    """Method that is tested against all others, for statements. Without it `deft-x`, where there is such a method."""
    control: Name | None = None
    """Method without a language module that gains are counted from. Without it `task-sft`, where there is such a
    method."""
