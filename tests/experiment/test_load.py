"""From files to an experiment: one laid over the other, and all that is wrong told at once."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deftx.core.errors import ConfigError
from deftx.experiment.load import load, merged, validate
from tests.experiment.test_config import EXPERIMENT, PHASE, changed


def test_what_is_laid_over(tmp_path: Path) -> None:
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text(yaml.safe_dump(EXPERIMENT))
    above.write_text("name: other\nselections: {lt-sft: {k: {task: 7}}}\n")
    both = merged([below, above])
    assert (both.name, both.selections["lt-sft"].k.task, both.selections["lt-sft"].k.language) == ("other", 7, 0.05)
    with pytest.raises(ConfigError, match=r"no\.yaml does not exist"):
        merged([below, tmp_path / "no.yaml"])


def test_what_is_taken_out(tmp_path: Path) -> None:
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text(yaml.safe_dump(changed("methods/other", {"task": "dense", "language": "none"})))
    above.write_text("methods: {other: null}\n")
    assert set(load(below).methods) == {"lt-sft", "other"}
    assert set(merged([below, above]).methods) == {"lt-sft"}
    above.write_text("datasets: {nusax: null}\nrecipe: null\n")
    with pytest.raises(ConfigError, match="recipe: "):
        merged([below, above])
    above.write_text("datasets: {nusax: null}\n")
    with pytest.raises(ConfigError, match="there is no dataset 'nusax'"):
        merged([below, above])


def test_a_duplicate_key(tmp_path: Path) -> None:
    """Each file by itself: what lies over another repeats its keys."""
    text = yaml.safe_dump(EXPERIMENT)
    (tmp_path / "c.yaml").write_text(f"{text}name: other\n")
    line, first = len(text.splitlines()) + 1, text.splitlines().index("name: pico") + 1
    with pytest.raises(ConfigError, match=rf"c\.yaml cannot be used:\n  line {line}: the key name .* line {first};"):
        load(tmp_path / "c.yaml")


def test_all_that_does_not_fit_together_is_told_at_once() -> None:
    content = changed("methods/x", {"selection": "nowhere", "start_selection": "neither"})
    content["sweeps"] = {"s": {"title": "s", "at": [1], "series": {"A": ["nobody"]}}}
    content["datasets"]["smsa"]["drop_near_copies"]["dataset"] = "nothing"
    content["tasks"]["sentiment"] |= {"test": "nothing", "source": "xx", "targets": ["yy"]}
    with pytest.raises(ConfigError) as refusal:
        validate(content)
    assert str(refusal.value).splitlines() == [
        "the configuration cannot be used:",
        "  methods.x: there is no selection 'nowhere' (known: lt-sft)",
        "  methods.x: there is no selection 'neither' (known: lt-sft)",
        "  sweeps.s: there is no method 'nobody' (known: lt-sft, x)",
        "  datasets.smsa: there is no dataset 'nothing' (known: nusax, smsa)",
        "  tasks.sentiment: there is no dataset 'nothing' (known: nusax, smsa)",
        "  tasks.sentiment: dataset smsa does not contain the source language xx",
        "  tasks.sentiment: xx is not among the languages (known: ind, ace)",
        "  tasks.sentiment: yy is not among the languages (known: ind, ace)",
    ]


INDEPENDENT = {
    ("methods", "a"): ({"task": "adapter", "language": "adapter"}, "methods.a: adapter needs recipe.adapters"),
    ("methods", "b"): ({"task": "lora", "language": "lora"}, "methods.b: LoRA needs recipe.lora"),
    ("methods", "c"): ({"selection": "nowhere"}, "methods.c: there is no selection 'nowhere'"),
    ("languages", "lora-ind"): (
        {},
        "languages.lora-ind: adapter of lora-ind and languages.ind: LoRA of ind would both be called",
    ),
    ("languages", "art"): ({"testbed": {}}, "languages.art: a synthetic language needs the block `testbed`"),
    ("selections", "g"): (
        {"select": "accumulated-gradient", "k": {"language": 1, "task": 1}},
        "selections.g: selecting by accumulated-gradient needs recipe.task.gradients",
    ),
    ("sweeps", "s"): ({"title": "s", "at": [1], "series": {"A": ["nobody"]}}, "sweeps.s: there is no method 'nobody'"),
    ("datasets", "d"): ({"layout": "testbed", "languages": ["ind"]}, "datasets.d: ind is not a synthetic"),
    ("base", "pretrain"): ({"languages": ["xx"], "phase": PHASE}, "base.pretrain.languages: xx is not among the"),
    ("tasks", "costs"): (EXPERIMENT["tasks"]["sentiment"], "tasks.costs: a table of the report has this name"),
}
"""Mistakes by their place: what stands there, and how the message begins."""


@given(st.sets(st.sampled_from(sorted(INDEPENDENT)), min_size=1))
def test_no_problem_hides_another(places: set[tuple[str, str]]) -> None:
    content = copy.deepcopy(EXPERIMENT)
    for block, name in places:
        if block == "base":
            content[block] = {}  # a model, or what is pretrained
        content.setdefault(block, {})[name] = INDEPENDENT[block, name][0]
    with pytest.raises(ConfigError) as refusal:
        validate(content)
    told = str(refusal.value).splitlines()
    for place in places:
        assert sum(line.startswith(f"  {INDEPENDENT[place][1]}") for line in told) == 1
    assert len(told) == len(set(told))


def test_a_task_that_is_tried_on_what_it_is_trained_on() -> None:
    content = changed("tasks/sentiment/test", "smsa")
    content["tasks"]["sentiment"]["source"] = "ace"
    with pytest.raises(ConfigError, match=r"(?s)contain the source language ace\n.*contain the target language ace"):
        validate(content)


def test_other_labels_are_told_once() -> None:
    content = changed("tasks/mood", EXPERIMENT["tasks"]["sentiment"] | {"labels": ["sad", "glad"]})
    with pytest.raises(ConfigError) as refusal:
        validate(content)
    assert str(refusal.value).count("other labels") == 1
