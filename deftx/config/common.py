"""Parts that all blocks of the configuration share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"


def _is_name(value: str) -> str:
    if not re.match(NAME, value) or value == "base":
        raise ValueError(
            f"{value!r} cannot be part of a file name here: use letters, digits, '_', '.', '-' (and not 'base')"
        )
    return value


Name = Annotated[str, AfterValidator(_is_name)]


Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A block of the configuration: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
