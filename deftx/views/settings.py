"""Settings of the steps of a view, by the block that each transform names."""

from importlib import import_module
from typing import cast

from pydantic import BaseModel, ValidationError

from deftx.config.data import Step
from deftx.core.errors import ConfigError
from deftx.views.registry import TRANSFORMS


def settings_of(step: Step) -> BaseModel | None:
    """Return the settings of a step; None for a transform that has none.

    Raises:
        ConfigError: there is no such transform, or the settings are not its.
    """
    entry = TRANSFORMS.get(step.transform)
    if entry is None:
        known = ", ".join(TRANSFORMS) or "none in this version"
        raise ConfigError(f"there is no transform {step.transform!r} (known: {known})")
    if not entry.settings:
        if step.settings:
            raise ConfigError(f"the transform {entry.name} has no settings: leave out {', '.join(step.settings)}")
        return None
    module, _, name = entry.settings.partition(":")
    block = cast(type[BaseModel], getattr(import_module(module), name))
    try:
        return block.model_validate(step.settings)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(("settings", *map(str, problem["loc"])))
        raise ConfigError(f"the transform {entry.name}: {place}: {problem['msg']}") from None
