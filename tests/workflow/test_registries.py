"""Registries: every entry names its paper and code that does what its kind must; a new one is a file and a line."""

import csv
import os
import subprocess
import sys
from dataclasses import fields, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deftx.core.hashing import code_of_entry
from deftx.experiment.load import validate
from deftx.masks.registry import MASK_SCORES
from deftx.merging.registry import MERGING_RULES
from deftx.models.registry import ARCHITECTURES
from deftx.modules.registry import MODULE_TYPES
from deftx.tasks.forwards.registry import FORWARDS
from deftx.tasks.registry import OBJECTIVES, TASK_KINDS
from deftx.views.registry import TRANSFORMS
from tests.experiment.test_config import changed
from tests.helpers.project import Project

REGISTRIES = (
    MODULE_TYPES, MASK_SCORES, MERGING_RULES, OBJECTIVES, TASK_KINDS, FORWARDS, ARCHITECTURES, TRANSFORMS
)  # fmt: skip
ENTRIES: list[Any] = [entry for registry in REGISTRIES for entry in registry.values()]


def identity(entry: Any) -> str:
    return f"{type(entry).__name__}-{entry.name}"


@pytest.mark.parametrize("entry", ENTRIES, ids=identity)
def test_an_entry_is_data_and_names_its_paper(entry: Any) -> None:
    assert entry.paper
    assert all(isinstance(getattr(entry, field.name), str | bool | int | tuple) for field in fields(entry))
    known = {type.name: type for type in MODULE_TYPES.values()}
    for name in (getattr(entry, "ranks", ""), getattr(entry, "starts_as", "")):
        assert not name or name in known


@pytest.mark.parametrize("entry", MODULE_TYPES.values(), ids=identity)
def test_code_of_a_type_loads_checks_and_applies_and_something_makes_it(entry: Any) -> None:
    code, make = import_module(entry.code), import_module(entry.make)
    assert len(signature(code.load).parameters) == 1
    assert len(signature(code.check).parameters) == 2 and len(signature(code.apply).parameters) == 3
    assert callable(make.train if entry.trained else make.build)
    assert not (entry.trained and not entry.block) or entry.phase


@pytest.mark.parametrize("entry", OBJECTIVES.values(), ids=identity)
def test_code_of_an_objective_makes_it_and_a_model(entry: Any) -> None:
    code = import_module(entry.code)
    assert list(signature(code.objective).parameters) == ["data", "description"]
    assert list(signature(code.model).parameters) == ["data", "description", "seed"]
    assert entry.role in ("language", "task")


@pytest.mark.parametrize("entry", TASK_KINDS.values(), ids=identity)
def test_a_kind_names_an_objective_and_a_way_forward_that_suits_it(entry: Any) -> None:
    assert OBJECTIVES[entry.objective].role == "task"
    assert entry.forward in FORWARDS and entry.metrics


@pytest.mark.parametrize("entry", FORWARDS.values(), ids=identity)
def test_code_of_a_forward_encodes_and_computes_logits(entry: Any) -> None:
    code = import_module(entry.code)
    assert list(signature(code.model).parameters) == ["description", "labels", "seed"]
    assert list(signature(code.encode).parameters) == ["tokenizer", "rows", "max_length"]
    assert list(signature(code.logits).parameters) == ["model", "batch"]
    assert set(entry.kinds) <= set(TASK_KINDS)


@pytest.mark.parametrize("entry", MASK_SCORES.values(), ids=identity)
def test_code_of_a_score_builds_masks(entry: Any) -> None:
    assert list(signature(import_module(entry.code).build).parameters) == ["delta", "selection", "k", "out", "report"]


@pytest.mark.parametrize("entry", [entry for entry in MERGING_RULES.values() if entry.code], ids=identity)
def test_code_of_a_rule_decides_for_each_element_and_the_same_twice(entry: Any) -> None:
    values = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    decide = import_module(entry.code).survivors
    survivors = decide(values)
    assert survivors.shape == values.shape and survivors.dtype == bool
    assert np.array_equal(survivors, decide(values.copy()))


@pytest.mark.parametrize("entry", ENTRIES, ids=identity)
def test_the_fields_of_an_entry_count_and_its_words_do_not(entry: Any) -> None:
    code = [entry.code] if getattr(entry, "code", "") else []
    before = code_of_entry(entry, *code)
    assert code_of_entry(replace(entry, paper="another"), *code) == before
    assert code_of_entry(replace(entry, name="another"), *code) != before


REFUSALS = r"unknown'.*(types|kinds|transforms) are|'unknown' \(known: |'unknown'.* it may be"


def test_names_of_methods_are_checked_against_the_registries() -> None:
    for place, value in (
        ("methods/lt-sft/task", "unknown"),
        ("methods/lt-sft/language", [{"type": "unknown"}]),
        ("methods/lt-sft/conflicts", "unknown"),
        ("selections/lt-sft/select", "unknown"),
        ("tasks/sentiment/kind", "unknown"),
        ("tasks/sentiment/forward", "unknown"),
        ("views", {"v": {"dataset": "smsa", "steps": [{"transform": "unknown"}]}}),
    ):
        with pytest.raises(
            Exception, match=r"unknown'.*(types|kinds|transforms) are|'unknown' \(known: |'unknown'.* it may be"
        ):
            validate(changed(place, value))


TOY_RULE = '''"""A toy: of several values the first survives."""

import numpy as np
from numpy.typing import NDArray


def survivors(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return that the first vector wins."""
    kept = np.zeros(values.shape, bool)
    kept[0] = True
    return kept
'''
TOY_SCORE = '''"""A toy: as many elements as another score would choose."""

from deftx.masks.select import build as build
'''


TOY_TYPE = '"""A toy: full fine-tuning under another name."""\n\nfrom deftx.finetuning.full import train as train\n'
TOY_OBJECTIVE = '''"""A toy: classification under another name."""

from deftx.tasks.classification import model as model
from deftx.tasks.classification import objective as objective
'''
TOY_FORWARD = '''"""A toy: the plain way, with logits turned round."""

from deftx.tasks.forwards.plain import encode as encode
from deftx.tasks.forwards.plain import model as model
from deftx.tasks.forwards import plain


def logits(model, batch):
    """Return the plain way's logits with another sign."""
    return -plain.logits(model, batch)
'''
TOY_TRANSFORM = '''"""A toy: a word before each text."""


def rows(rows, settings, seed):
    """Return rows whose texts begin with the word of the settings."""
    return [row | {"text": f"{settings.word} {row['text']}"} for row in rows]
'''
TOY_SETTINGS = '''class Toy(Strict):
    """Settings of a toy."""

    word: str
    """What texts begin with."""


class Step(Strict):
'''
TOY_ARCHITECTURE = """Architecture(
        "toy",
        "DistilBERT: Sanh et al. 2019",
        model_types=("distilbert",),
        config=("n_layers", "dim", "hidden_dim", "vocab_size", "max_position_embeddings"),
        embeddings="embeddings.",
        word_embeddings="word_embeddings",
        position_embeddings="position_embeddings.weight",
        norms=("layernorm", "layer_norm"),
        layers="transformer.layer.",
        matrices=(
            *((f"attention.{part}_lin", "hidden", "hidden") for part in ("q", "k", "v", "out")),
            ("ffn.lin1", "intermediate", "hidden"),
            ("ffn.lin2", "hidden", "intermediate"),
        ),
        layer_norms=("sa_layer_norm", "output_layer_norm"),
        adapter_norm="output_layer_norm",
        embedding_norm="embeddings.LayerNorm",
        other_rows=2,
        lm_heads=(),
    )"""
ASK_ARCHITECTURE = """
from transformers import DistilBertConfig, DistilBertModel
from deftx.models.architectures import shape_of_parameters
from deftx.models.base_model import Description
from deftx.modules import adapters
config = DistilBertConfig(n_layers=2, dim=12, n_heads=2, hidden_dim=20, vocab_size=50, max_position_embeddings=16)
model = DistilBertModel(config)
shapes = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
shape = shape_of_parameters(shapes)
assert shape.architecture.name == "toy", shape
assert shape.total == sum(parameter.numel() for parameter in model.parameters())
assert adapters.shape_of(Description("m", None, "", "", shapes), 2, 2, 0).layers == 2
adapters.insert(model, [adapters.Adapter(adapters.shape_of(Description("m", None, "", "", shapes), 2, 2, 0))])
"""


def add(project: Project, module: str, source: str, registry: str, entry: str, before: str = "_ENTRIES = (\n") -> None:
    """Add one file and one line to the project's own copy of the package."""
    (project.folder / "deftx" / module).write_text(source)
    project.edit(f"deftx/{registry}/registry.py", before, f"{before}    {entry},\n")


def scores(project: Project, method: str, lang: str = "suma") -> Path:
    return project.results / f"scores/{method}/sentiment/{lang}/seed0.json"


def make(project: Project, path: Path) -> Path:
    """Make a result of the pico experiment."""
    project.run("--", str(path.relative_to(project.folder)))
    return path


def test_a_new_merging_rule_is_one_file_and_one_line(project: Project) -> None:
    add(project, "merging/toy.py", TOY_RULE, "merging", 'MergingRule("toy", "nobody", "deftx.merging.toy")')
    assert project.planned() == set(), "a new entry reruns nothing"
    project.configure(lambda config: config["methods"].update(toy={"selection": "lt-sft", "conflicts": "toy"}))
    target = "results/pico/scores/toy/sentiment/suma/seed0.json"
    project.run("--", target)
    assert Path(project.folder, target).is_file()
    assert '"conflicts": "toy"' in (project.results / "composed/toy/sentiment/suma/seed0.json").read_text()


def test_a_new_score_is_one_file_and_one_line(project: Project) -> None:
    entry = 'MaskScore("toy", "nobody", "dense", "deftx.masks.toy", "mask")'
    add(project, "masks/toy.py", TOY_SCORE, "masks", entry)
    assert project.planned() == set(), "a new entry reruns nothing"
    chosen = {"select": "toy", "k": {"language": 0.2, "task": 0.1}}
    project.configure(lambda config: config["selections"].update(toy=chosen))
    project.configure(lambda config: config["methods"].update(toy={"selection": "toy"}))
    mask = "masks/language/{}/suma/seed0.safetensors"
    project.run("--", f"results/pico/{mask.format('toy')}")
    assert (project.results / mask.format("toy")).read_bytes() == (
        project.results / mask.format("lt-sft")
    ).read_bytes(), "the toy chooses as the plain score does"


def test_a_new_type_of_module_is_one_file_and_one_line(project: Project) -> None:
    entry = (
        'ModuleType("toy", "nobody", folder="toys", stage="toy", title="toy", code="deftx.modules.addition", '
        'make="deftx.finetuning.toy", phase="full", start="toy-{lang}")'
    )
    add(project, "finetuning/toy.py", TOY_TYPE, "modules", entry)
    assert project.planned() == set(), "a new entry reruns nothing"
    project.configure(lambda config: config["methods"].update(toy={"task": "toy", "language": "toy"}))
    make(project, scores(project, "toy"))
    seed0 = "language/suma/seed0.safetensors"
    assert (project.results / f"toys/{seed0}").read_bytes() == (project.results / f"deltas/{seed0}").read_bytes()
    assert (project.results / "toys/task/sentiment/toy-sumi/seed0.safetensors").is_file(), "it starts where it says"
    assert (project.results / "benchmarks/toy").is_dir() and (project.results / "logs/toy").is_dir()


def test_a_new_objective_and_a_new_kind_of_task_are_one_file_and_a_line_each(project: Project) -> None:
    entry = 'ObjectiveType("toy", "nobody", role="task", code="deftx.tasks.toy")'
    kind = 'TaskKind("toy", "nobody", objective="toy", forward="plain", metrics=("macro_f1",))'
    add(project, "tasks/toy.py", TOY_OBJECTIVE, "tasks", entry, "_OBJECTIVES = (\n")
    project.edit("deftx/tasks/registry.py", "_KINDS = (\n", f"_KINDS = (\n    {kind},\n")
    assert project.planned() == set(), "a new entry reruns nothing"
    predictions = project.results / "predictions/full-ft/sentiment/suma/seed0.csv"
    before = predictions.read_bytes()
    project.configure(lambda config: config["tasks"]["sentiment"].update(kind="toy"))
    make(project, scores(project, "full-ft"))
    assert predictions.read_bytes() == before, "the toy learns what classification does"
    [delta] = (project.results / "deltas/task/sentiment/base").glob("*.safetensors")
    assert b'"objective":"toy"' in delta.read_bytes().replace(b'\\"', b'"').replace(b'": "', b'":"')


def test_a_new_way_forward_is_one_file_and_one_line(project: Project) -> None:
    entry = 'Forward("toy", "nobody", kinds=("classification",), code="deftx.tasks.forwards.toy")'
    add(project, "tasks/forwards/toy.py", TOY_FORWARD, "tasks/forwards", entry)
    assert project.planned() == set(), "a new entry reruns nothing"
    project.configure(lambda config: config["tasks"]["sentiment"].update(forward="toy"))
    predictions = make(project, project.results / "predictions/full-ft/sentiment/suma/seed0.csv")
    assert '"forward": "toy"' in predictions.with_suffix(".json").read_text()


def test_a_new_transform_is_one_file_one_block_and_one_line(project: Project) -> None:
    entry = 'Transform("toy", "nobody", "deftx.views.toy", "deftx.config.data:Toy")'
    (project.folder / "deftx/views/toy.py").write_text(TOY_TRANSFORM)
    project.edit("deftx/views/registry.py", "= ()\n", f"= ({entry},)\n")
    project.edit("deftx/config/data.py", "class Step(Strict):\n", TOY_SETTINGS)
    assert project.planned() == set(), "a new entry reruns nothing"
    steps = [{"transform": "toy", "settings": {"word": "hey"}}]

    def change(config: dict[str, Any]) -> None:
        config["views"] = {"greeted": {"dataset": "trial", "steps": steps}}
        config["tasks"]["sentiment"]["test"] = "greeted"

    project.configure(change)
    make(project, scores(project, "full-ft"))
    view = project.results / "views/greeted/trial/suma/test.csv"
    with view.open(newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    assert texts and all(text.startswith("hey ") for text in texts)
    assert '"transform": "toy"' in view.with_suffix(".json").read_text()
    steps[0]["settings"] = {"words": "hey"}
    project.configure(change)
    refused = project.snakemake("--dry-run")
    assert refused.returncode and "views.greeted: the transform toy: settings.word: Field required" in refused.stdout


def test_a_new_architecture_is_one_entry(project: Project) -> None:
    project.edit("deftx/models/registry.py", "_ENTRIES = (\n", f"_ENTRIES = (\n    {TOY_ARCHITECTURE},\n")
    assert project.planned() == set(), "a new entry reruns nothing"
    environment = os.environ | {"PYTHONPATH": str(project.folder)}
    subprocess.run([sys.executable, "-c", ASK_ARCHITECTURE], cwd=project.folder, env=environment, check=True)


def test_an_edit_of_what_is_used_reruns_it_and_nothing_else(project: Project) -> None:
    project.edit("deftx/models/registry.py", "other_rows=3", "other_rows=2 + 2")
    planned = project.planned()
    assert {"deltas/language/suma/seed0", "masks/language/lt-sft/suma/seed0"} <= {
        name.partition(".")[0] for name in planned
    }
    project.edit("deftx/models/registry.py", "other_rows=2 + 2", "other_rows=3")
    assert project.planned() == set()
    project.edit("deftx/tasks/classification.py", "POOL = 50", "POOL = 51")
    planned = {name.partition(".")[0] for name in project.planned()}
    assert any(name.startswith("deltas/task/") for name in planned)
    assert not any(name.startswith(("deltas/language/", "sfts/language/", "masks/language/")) for name in planned)
