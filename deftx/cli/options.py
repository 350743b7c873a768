"""Options that several verbs share, and how the text of one becomes settings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deftx.core.errors import ConfigError

Out = Annotated[Path, typer.Option(help="File or folder to write.")]
Base = Annotated[Path, typer.Option(help="base.json, the description of the base model.")]
Settings = Annotated[str, typer.Option(help="Settings as JSON, or the name of a YAML file.")]
Language = Annotated[str, typer.Argument(help="Code of the language.")]
Family = Annotated[str | None, typer.Option(help="For a synthetic language: its family, as JSON.")]
Pinned = Annotated[list[str] | None, typer.Option(help="SHA256=FILE: what a pinned raw file must hold.")]
Mirror = Annotated[Path | None, typer.Option(envvar="DEFTX_MIRROR", help="Folder that is looked in first.")]
Train = Annotated[Path, typer.Option(help="Corpus (text) or dataset (CSV) to train on.")]
Valid = Annotated[Path, typer.Option(help="Held-out part of it.")]
Processes = Annotated[int, typer.Option(min=0, help="Train in so many, one on each GPU; 0 and 1: in this one.")]
Recipe = Annotated[Path, typer.Argument(help="Recipe of a composed model.")]
Results = Annotated[Path, typer.Argument(help="Folder of the experiment's results.")]


def named(entry: str) -> tuple[str, Path]:
    """Return NAME and FILE of NAME=FILE."""
    name, _, path = entry.partition("=")
    return name, Path(path)


def parsed(kind: Any, settings: str) -> Any:
    """Return settings as an instance of a pydantic type, from JSON, a YAML file, or what a shell substitutes (`<(…)`).

    Raises:
        SourceError: the file cannot be read as text.
        ConfigError: neither JSON nor YAML, a key that stands twice, or not of this type.
    """
    from pydantic import TypeAdapter, ValidationError

    from deftx.core import strict_yaml
    from deftx.core.readers import read_text

    path = Path(settings)
    names_file = path.suffix in (".yaml", ".yml", ".json") or settings.startswith("/dev/fd/")
    is_file = settings[:1] not in "{[" and names_file
    try:
        text = read_text(path) if is_file else settings
        origin = str(path) if is_file else "the text of the settings"
        return TypeAdapter(kind).validate_python(strict_yaml.parse(text, origin))
    except ValidationError as error:
        problem = error.errors()[0]
        where = "".join(f"{part}: " for part in [".".join(map(str, problem["loc"]))] if part)
        raise ConfigError(f"settings: {where}{problem['msg']}") from None
