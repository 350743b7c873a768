"""Registries: every entry names its paper and code that does what its kind must; a new one is a file and a line."""

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
from deftx.modules.registry import MODULE_TYPES
from tests.experiment.test_config import changed
from tests.helpers.project import Project

ENTRIES = [*MODULE_TYPES.values(), *MASK_SCORES.values(), *MERGING_RULES.values()]


def identity(entry: Any) -> str:
    return f"{type(entry).__name__}-{entry.name}"


@pytest.mark.parametrize("entry", ENTRIES, ids=identity)
def test_an_entry_is_data_and_names_its_paper(entry: Any) -> None:
    assert entry.paper
    assert all(isinstance(getattr(entry, field.name), str | bool) for field in fields(entry))
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
    code = [entry.code] if entry.code else []
    before = code_of_entry(entry, *code)
    assert code_of_entry(replace(entry, paper="another"), *code) == before
    assert code_of_entry(replace(entry, name="another"), *code) != before


def test_names_of_methods_are_checked_against_the_registries() -> None:
    for place, value in (
        ("methods/lt-sft/task", "unknown"),
        ("methods/lt-sft/language", [{"type": "unknown"}]),
        ("methods/lt-sft/conflicts", "unknown"),
        ("selections/lt-sft/select", "unknown"),
    ):
        with pytest.raises(Exception, match=r"'unknown' \(known: |unknown'.*types are"):
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


def add(project: Project, module: str, source: str, registry: str, entry: str) -> None:
    """Add one file and one line to the project's own copy of the package."""
    (project.folder / "deftx" / module).write_text(source)
    project.edit(f"deftx/{registry}/registry.py", "_ENTRIES = (\n", f"_ENTRIES = (\n    {entry},\n")


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
