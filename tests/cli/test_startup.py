"""Light stages start at once: what they import, not how long it takes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import startup
from deftx.cli.app import app
from deftx.core import hashing
from deftx.modules import lora
from tests.helpers import REPOSITORY, pico, vectors
from tests.helpers.command import spec

IMPORTS = """
import sys
from typer.testing import CliRunner
from deftx.cli.app import app
for arguments in {commands!r}:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (arguments, result.output, result.exception)
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
DRIVER = """
import json, sys
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

forking = get_context("fork")

def serve(connection, libraries):
    for library in libraries:
        import_module(library)
    while arguments := connection.recv():
        child = forking.Process(target=work, args=(connection, arguments))
        child.start()
        child.join()

def work(connection, arguments):
    from deftx.cli.app import app
    try:
        app(arguments, standalone_mode=False)
        connection.send(sorted({name.partition(".")[0] for name in sys.modules}))
    except BaseException as error:
        connection.send(f"{arguments}: {error!r}")

servers, found = {}, {}
for verb, arguments, libraries in json.load(sys.stdin):
    if libraries not in [known for known, _ in servers.values()]:
        ours, theirs = forking.Pipe()
        forking.Process(target=serve, args=(theirs, libraries), daemon=False).start()
        servers[len(servers)] = libraries, ours
    connection = next(connection for known, connection in servers.values() if known == libraries)
    connection.send(arguments)
    found[verb] = connection.recv()
for _, connection in servers.values():
    connection.send([])
Path("found.json").write_text(json.dumps(found))
"""
"""Runs verbs one after the other, each in a fork of a process that has imported what the verb may import, and nothing
else: importing torch and transformers anew for each would take most of the time."""
FIRST = {"transformers": "transformers.models.bert.modeling_bert"}
"""What to import of a library first, where the library itself imports little."""
VERBS = sorted(command.name or "" for command in app.registered_commands)


def imported(*commands: list[Any]) -> set[str]:
    """Packages that a process has imported after these commands."""
    code = IMPORTS.format(commands=[[str(argument) for argument in command] for command in commands])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_help_imports_nothing_heavy() -> None:
    assert {"corpus", "dataset", "train", "mask", "compose", "evaluate", "tables", "figures"} <= set(VERBS)
    commands: list[list[Any]] = [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)]
    assert not imported(*commands) & {"torch", "transformers", "numpy", "pandas", "scipy", "sklearn", "yaml"}


ARRAYS = frozenset({"numpy"})
TABLES = ARRAYS | {"pandas", "pyarrow", "scipy"}
TENSORS = ARRAYS | {"torch"}
MODELS = TENSORS | {"transformers", "accelerate", "scipy"}
"""transformers imports accelerate and scipy itself, for any model."""
IMPORTS_OF: dict[str, frozenset[str]] = {
    **dict.fromkeys(("fetch", "corpus", "dataset", "status", "clean-deltas", "schema"), frozenset()),
    **dict.fromkeys(("adopt", "compose", "convert", "score", "overlap"), ARRAYS),
    **dict.fromkeys(("tables", "costs", "report"), TABLES),
    **dict.fromkeys(("figures", "sweeps"), TABLES | {"matplotlib"}),
    **dict.fromkeys(("mask", "random-mask", "prune"), TENSORS),
    **dict.fromkeys(("base", "train", "export", "predict", "evaluate"), MODELS),
}
"""Large libraries that each verb may import, with a classifier, vectors and text to work on."""


@pytest.fixture(scope="module")
def large_imports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Large libraries that are imported after each verb: those it may import, and what it has imported besides."""
    folder = tmp_path_factory.mktemp("startup")
    startup.prepare(folder)
    verbs = [
        (verb, line, sorted(FIRST.get(library, library) for library in IMPORTS_OF.get(verb, ())))
        for verb, line in startup.commands(folder, folder).items()
    ]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(verbs), cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "found.json").read_text())
    assert not {verb: message for verb, message in found.items() if isinstance(message, str)}
    return {verb: set(names).intersection(startup.HEAVY) for verb, names in found.items()}


def test_every_verb_is_covered(large_imports: dict[str, set[str]]) -> None:
    assert large_imports.keys() | startup.LEFT_OUT == set(VERBS)
    assert large_imports.keys() == IMPORTS_OF.keys()


@pytest.mark.parametrize("verb", IMPORTS_OF)
def test_a_verb_imports_what_it_needs_alone(large_imports: dict[str, set[str]], verb: str) -> None:
    assert large_imports[verb] <= IMPORTS_OF[verb]


def test_languages_are_trained_without_datasets(tmp_path: Path, pico_bert: Path) -> None:
    """Token ids are kept in a file that numpy maps."""
    text = pico.text(tmp_path / "train.txt")
    command = ["train", "--spec", spec(block=16), "--base", pico_bert, "--train", text, "--valid", text]
    heavy = imported([*command, "--out", tmp_path / "delta"])
    assert not heavy & {"datasets", "pyarrow", "pandas", "peft", "sklearn", "matplotlib"}


def test_adapters_are_composed_without_transformers(tmp_path: Path) -> None:
    from deftx.modules import adapters

    shape = adapters.Shape(width=4, layers=1, bottleneck=2)
    parameters = {name: p.detach().numpy() for name, p in adapters.Adapter(shape).named_parameters()}
    metadata = adapters.Metadata(
        role="task", base=vectors.BASE, base_model="pico", shape=shape, objective="classification", seed=0, threads=1
    )
    adapters.save(adapters.Stored(metadata, parameters), tmp_path / "adapter")
    content = {"model": "pico", "revision": None, "hash": vectors.BASE, "tokenizer": "t", "shapes": vectors.SHAPES}
    (tmp_path / "base.json").write_text(json.dumps(content))
    command = ["compose", tmp_path / "adapter", "--base", tmp_path / "base.json", "--out", tmp_path / "recipe.json"]
    assert not imported(command) & {"transformers", "accelerate", "pandas", "sklearn"}


def test_lora_is_composed_without_torch(tmp_path: Path) -> None:
    import numpy as np

    shape = lora.Shape(rank=1, alpha=2, matrices={"layer.weight": (5, 4)})
    factors = {name: np.ones(size, np.float32) for name, size in shape.parameters().items()}
    metadata = lora.Metadata(
        role="language", base=vectors.BASE, base_model="pico", shape=shape, objective="masked-lm", seed=0, threads=1
    )
    lora.save(lora.Stored(metadata, factors), tmp_path / "lora")
    content = {"model": "pico", "revision": None, "hash": vectors.BASE, "tokenizer": "t", "shapes": vectors.SHAPES}
    (tmp_path / "base.json").write_text(json.dumps(content))
    command = ["compose", tmp_path / "lora", "--base", tmp_path / "base.json", "--out", tmp_path / "recipe.json"]
    assert not imported(command) & {"torch", "peft", "transformers", "accelerate", "pandas", "sklearn"}


def test_peft_is_imported_by_the_training_of_lora_alone(tmp_path: Path, pico_bert: Path) -> None:
    """By no other module, and transformers, which looks whether it is there, does not import it either."""
    sources = hashing.PACKAGE.rglob("*.py")
    users = {str(path.relative_to(hashing.PACKAGE)) for path in sources if "peft import" in path.read_text()}
    assert users == {"finetuning/lora.py"}
    trainings = ("finetuning.full", "finetuning.sparse", "finetuning.gradients", "finetuning.adapters")
    stages = (*trainings, "merging.recipe", "evaluation.predict", "masks.select", "modules.lora")
    assert "deftx.finetuning.lora" not in hashing._collect_imports([f"deftx.{stage}" for stage in stages])
    rows = pico.rows(tmp_path / "rows.csv")
    command = [
        *("train", "--spec", spec(labels=["bad", "good"]), "--base", pico_bert),
        *("--train", rows, "--valid", rows, "--out", tmp_path / "delta"),
    ]
    heavy = imported(command)
    assert "transformers" in heavy and "peft" not in heavy
