"""Loading of an experiment: YAML files are read, overlaid and validated."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deftx.core import strict_yaml
from deftx.core.errors import ConfigError
from deftx.experiment import validate as validate_module
from deftx.experiment.config import Experiment


def load(path: Path) -> Experiment:
    """Load and validate a configuration file.

    Raises:
        ConfigError: the file is missing, not YAML, or does not describe an experiment.
    """
    return merged([path])


def merged(paths: Iterable[Path]) -> Experiment:
    """Load an experiment from configuration files, each overlaid on those before it, as Snakemake does.

    Raises:
        ConfigError: a file is missing, not YAML, or the whole does not describe an experiment.
    """
    first, *rest = paths
    content = read(first)
    for path in rest:
        content = _overlay(content, read(path))
    return validate(content, " with ".join(map(str, (first, *rest))))


def _overlay(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _overlay(below.get(key), value) for key, value in above.items()}


def read(path: Path) -> Any:
    """Load the content of a YAML file, without validation.

    Raises:
        ConfigError: the file is missing, not YAML, or a key occurs twice.
    """
    try:
        return strict_yaml.parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None


def validate(content: Any, origin: str = "the configuration") -> Experiment:
    """Validate the content of a configuration, as Snakemake passes it.

    Entries that an overlay has set to null are removed. Keys are validated first; whether blocks fit together is
    checked only if all keys are valid.

    Raises:
        ConfigError: with every problem and its place, one per line.
    """
    problems = list(_find_booleans(content))
    if not problems:
        try:
            experiment = Experiment.model_validate(_without_nulls(content))
        except ValidationError as error:
            problems = [_format_error(e) for e in error.errors()]
        else:
            problems = list(validate_module.problems(experiment))
            if not problems:
                return experiment
    raise ConfigError("\n".join([f"{origin} cannot be used:", *(f"  {p}" for p in problems)]))


NAMED_BLOCKS = ("languages", "datasets", "views", "tasks", "selections", "methods", "sweeps")
"""Blocks whose keys are names given by the experiment."""


def _without_nulls(content: Any) -> Any:
    """Return the content without null entries of named blocks, by which an overlay removes entries below it."""
    if not isinstance(content, Mapping):
        return content
    blocks = {name: content[name] for name in NAMED_BLOCKS if isinstance(content.get(name), Mapping)}
    without_nulls = {}
    for name, block in blocks.items():
        without_nulls[name] = {key: value for key, value in block.items() if value is not None}
    return {**content, **without_nulls}


def _format_error(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    problem = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; config/README.md lists the keys"
    return f"{where}: {problem}" if where else problem


def _find_booleans(content: Any, where: str = "") -> Iterator[str]:
    """Yield language codes that YAML has read as a truth value (`no` is Norwegian, and False)."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(key, bool):
                yield _describe_boolean(where, key)
            yield from _find_booleans(value, f"{where}.{key}".lstrip("."))
    elif isinstance(content, list):
        for value in content:
            if isinstance(value, bool):
                yield _describe_boolean(where, value)
            yield from _find_booleans(value, where)
    elif isinstance(content, bool) and where.rsplit(".", 1)[-1] in {"source"}:
        yield _describe_boolean(where, content)


def _describe_boolean(where: str, value: bool) -> str:
    code = "no" if value is False else "yes"
    return (
        f"{where}: YAML read a language code as the truth value {value} "
        f'(unquoted {code}, on, off, true and false are truth values); write "{code}" in quotes'
    )
