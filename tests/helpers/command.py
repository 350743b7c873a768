"""The command line as a user meets it, but in this process: importing torch anew takes seconds."""

import json
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from deftx.cli.app import app
from deftx.core import gpus


def run(*arguments: Any) -> str:
    """What a command that must succeed says on stderr."""
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stderr


def refused(*arguments: Any) -> str:
    """The one message of a command that must fail; any error but a clean exit counts as a traceback."""
    result = invoke(*arguments)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1
    messages = result.stderr.split("error: ")
    assert len(messages) == 2, result.stderr
    return messages[1]


def invoke(*arguments: Any) -> Result:
    """Run a command; a GPU it has taken is free again, as at the end of a process."""
    try:
        return CliRunner().invoke(app, [str(a) for a in arguments])
    finally:
        gpus.release()


def spec(type: str = "dense", labels: Any = None, phase: Any = None, sizes: Any = None, **settings: Any) -> str:
    """The spec of a training as JSON: of a task where there are labels, of a language otherwise."""
    role = {"language": settings} if labels is None else {"task": settings, "labels": list(labels)}
    content = {"type": type, "phase": phase or {"max_steps": 1, "learning_rate": 1e-3}, "seed": 0}
    return json.dumps(content | role | ({"sizes": sizes} if sizes else {}))


def files(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
