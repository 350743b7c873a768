"""Light stages start at once: what they import, not how long it takes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import startup
from deftx.cli.app import app
from deftx.core import hashing
from deftx.modules import lora
from tests.helpers import pico, vectors
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
    """Large libraries that each verb has imported, each in a process of its own."""
    folder = tmp_path_factory.mktemp("startup")
    startup.prepare(folder)
    verbs = startup.commands(folder, folder)
    return {verb: startup.imported(line, folder).intersection(startup.HEAVY) for verb, line in verbs.items()}


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
    import json

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
    import json

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
