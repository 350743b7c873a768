"""From YAML files to an experiment: reading them, laying one over the other, and telling all that is wrong."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deftx.core import strict_yaml
from deftx.core.errors import ConfigError
from deftx.experiment import validate as validate_module
from deftx.experiment.config import Experiment


def load(path: Path) -> Experiment:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file is missing, not YAML, or does not describe an experiment.
    """
    return merged([path])


def merged(paths: Iterable[Path]) -> Experiment:
    """The experiment that configuration files make up, each laid over those before it, as Snakemake does.

    Raises:
        ConfigError: a file is missing, not YAML, or the whole does not describe an experiment.
    """
    first, *rest = paths
    content = read(first)
    for path in rest:
        content = _laid_over(content, read(path))
    return validate(content, " with ".join(map(str, (first, *rest))))


def _laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _laid_over(below.get(key), value) for key, value in above.items()}


def read(path: Path) -> Any:
    """The content of a YAML file, not yet checked.

    Raises:
        ConfigError: the file is missing, not YAML, or a key stands twice.
    """
    try:
        return strict_yaml.parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None


def validate(content: Any, origin: str = "the configuration") -> Experiment:
    """Check a configuration that has been read already, as Snakemake does.

    What an overlay has set to null is taken out. Keys come first: whether parts fit together shows once each of them
    is right.

    Raises:
        ConfigError: with every problem and where it stands, one a line.
    """
    problems = list(_booleans(content))
    if not problems:
        try:
            experiment = Experiment.model_validate(_without_nulls(content))
        except ValidationError as error:
            problems = [_readable(e) for e in error.errors()]
        else:
            problems = list(validate_module.problems(experiment))
            if not problems:
                return experiment
    raise ConfigError("\n".join([f"{origin} cannot be used:", *(f"  {p}" for p in problems)]))


NAMED = ("languages", "datasets", "views", "tasks", "selections", "methods", "sweeps")
"""Blocks whose keys are names given by the experiment."""


def _without_nulls(content: Any) -> Any:
    """The content without entries of named blocks that are null: an overlay adds to what it lies over, or takes out."""
    if not isinstance(content, Mapping):
        return content
    blocks = {name: content[name] for name in NAMED if isinstance(content.get(name), Mapping)}
    kept = {}
    for name, block in blocks.items():
        kept[name] = {key: value for key, value in block.items() if value is not None}
    return {**content, **kept}


def _readable(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; config/README.md lists the keys"
    return f"{where}: {what}" if where else what


def _booleans(content: Any, where: str = "") -> Iterator[str]:
    """Language codes that YAML has read as a truth value (`no` is Norwegian, and False)."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(key, bool):
                yield _boolean(where, key)
            yield from _booleans(value, f"{where}.{key}".lstrip("."))
    elif isinstance(content, list):
        for value in content:
            if isinstance(value, bool):
                yield _boolean(where, value)
            yield from _booleans(value, where)
    elif isinstance(content, bool) and where.rsplit(".", 1)[-1] in {"source"}:
        yield _boolean(where, content)


def _boolean(where: str, value: bool) -> str:
    code = "no" if value is False else "yes"
    return (
        f"{where}: YAML read a language code as the truth value {value} "
        f'(unquoted {code}, on, off, true and false are truth values); write "{code}" in quotes'
    )
