"""Parts that all blocks of the configuration share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


def _is_name(value: str) -> str:
    if not re.fullmatch(NAME, value) or value == "base":
        raise ValueError(
            f"{value!r} cannot be part of a file name here: use letters, digits, '_', '.', '-' (and not 'base')"
        )
    return value


Name = Annotated[str, AfterValidator(_is_name)]


def _is_place(value: str) -> str:
    if not value.strip() or not value.isprintable() or re.search(r"[{}*?\[\]]", value):
        raise ValueError(
            f"{value!r} cannot be the place of files here: Snakemake takes braces, brackets, '*' and '?' for patterns, "
            "and control characters cannot be written in a path. Rename it"
        )
    return value


Place = Annotated[str, AfterValidator(_is_place)]
"""A path that results or raw files have."""


Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A block of the configuration: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
