"""Light stages start at once: what they import, not how long it takes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deftx.cli.app import app
from deftx.core import hashing
from deftx.modules import lora
from deftx.modules import vectors as vector_files
from tests.helpers import REPOSITORY, pico, results, vectors
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


def test_corpus_and_dataset_import_no_torch(tmp_path: Path) -> None:
    text, rows = pico.text(tmp_path / "text.txt"), pico.rows(tmp_path / "rows.csv")
    settings = '{"files": [{"path": "text.txt"}], "min_lines": 10, "valid": 0.2}'
    heavy = imported(
        ["corpus", "xx", "--settings", settings, "--raw", text, "--evaluation", rows, "--out", tmp_path / "out"],
        ["dataset", "xx", "test", "--settings", '{"layout": "csv"}', "--labels", '["bad", "good"]', "--raw", rows,
         "--out", tmp_path / "test.csv"],
    )  # fmt: skip
    assert not heavy & {"torch", "transformers", "pandas", "scipy", "sklearn"}


def test_tables_import_no_torch(tmp_path: Path) -> None:
    import json

    results.predictions(tmp_path, ("a", "b"), [0])
    heavy = imported(
        ["tables", tmp_path, "--plan", json.dumps(results.plan(("a", "b"), [0])), "--out", tmp_path / "out"]
    )
    assert not heavy & {"torch", "transformers", "sklearn", "matplotlib"}


def test_the_report_imports_no_torch(tmp_path: Path) -> None:
    captions = (REPOSITORY / "captions").glob("*.rst")
    columns = "task,method,title,language,name,score,sd,low,high,p_holm,seeds,note"
    (tmp_path / "scores.csv").write_text(f"{columns}\nmood,a,A,mean,mean of targets,50,,40,60,,1,\n")
    (tmp_path / "base.json").write_text('{"model": "m", "revision": null, "hash": "", "tokenizer": "", "shapes": {}}')
    named = '{"name": "x", "base": {}, "languages": {}, "tasks": {}, "methods": {"a": {}}}'
    options = [part for caption in captions for part in ("--captions", caption)]
    options += ["--base", tmp_path / "base.json", "--out", tmp_path / "report.html"]
    heavy = imported(["report", tmp_path, "--config", named, *options])
    assert not heavy & {"torch", "transformers", "sklearn", "matplotlib"}


def test_sweeps_import_no_torch(tmp_path: Path) -> None:
    columns = "task,method,title,language,score,low,high,metric"
    (tmp_path / "scores.csv").write_text(f"{columns}\nmood,a,A,mean,50,40,60,macro_f1\n")
    settings = '{"x": {"title": "x", "at": [1], "series": {"s": ["a"]}}}'
    heavy = imported(["sweeps", tmp_path / "scores.csv", "--settings", settings, "--out", tmp_path / "sweeps"])
    assert not heavy & {"torch", "transformers", "sklearn", "scipy"}


@pytest.mark.parametrize("verb", ["compose", "mask", "overlap", "prune", "random-mask"])
def test_what_works_on_vectors_imports_no_transformers(tmp_path: Path, verb: str) -> None:
    import json

    vector_files.save(vectors.dense(), tmp_path / "delta")
    vector_files.save(vectors.sparse(kind="mask"), tmp_path / "mask")
    content = {"model": "pico", "revision": None, "hash": vectors.BASE, "tokenizer": "t", "shapes": vectors.SHAPES}
    (tmp_path / "base.json").write_text(json.dumps(content))
    options = {
        "compose": ["--base", tmp_path / "base.json"],
        "mask": ["--selection", '{"rank": "gavish-donoho"}', "--k", "0.1", "--report", tmp_path / "report"],
        "overlap": [],
        "prune": ["--mask", tmp_path / "mask"],
        "random-mask": ["--k", "0.1", "--report", tmp_path / "report"],
    }
    vector = f"a={tmp_path / 'delta'}" if verb == "overlap" else tmp_path / "delta"
    heavy = imported([verb, vector, *options[verb], "--out", tmp_path / "out"])
    assert not heavy & {"transformers", "accelerate", "pandas", "sklearn"}
    assert ("torch" in heavy) is (verb in ("mask", "prune", "random-mask"))


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
    assert "deftx.finetuning.lora" not in hashing._reached([f"deftx.{stage}" for stage in stages])
    rows = pico.rows(tmp_path / "rows.csv")
    command = [
        *("train", "--spec", spec(labels=["bad", "good"]), "--base", pico_bert),
        *("--train", rows, "--valid", rows, "--out", tmp_path / "delta"),
    ]
    heavy = imported(command)
    assert "transformers" in heavy and "peft" not in heavy
