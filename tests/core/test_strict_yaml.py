"""YAML as PyYAML reads it, but for keys that stand twice."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deftx.core.errors import ConfigError
from deftx.core.strict_yaml import parse
from tests.helpers.command import refused

CONTENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab: #", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(CONTENTS, st.booleans())
def test_what_has_no_key_twice_is_read_as_ever(content: Any, flow: bool) -> None:
    assert parse(yaml.safe_dump(content, default_flow_style=flow), "x") == content
    assert parse(json.dumps(content), "x") == content


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", ["line 3: the key a is already in line 1; keep one"]),
        ("a:\n  b: 1\n  b: 1\n", ["line 3: the key b is already in line 2; keep one"]),
        ("- {a: 1}\n- {a: 1, 'a': 2}\n", ["line 2: the key a is already in line 2; keep one"]),
        (
            "a: {}\nb:\n  c: 1\n  c: 2\n  c: 3\na: {}\n",
            [f"line {line}: the key {key} is already in line {first}; keep one"
             for line, key, first in ((4, "c", 3), (5, "c", 3), (6, "a", 1))],
        ),
    ],
    ids=["at the top", "below", "in a list", "three at once"],
)  # fmt: skip
def test_keys_that_stand_twice_are_all_named(text: str, lines: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text, "c.yaml")
    assert str(refusal.value).splitlines() == ["c.yaml cannot be used:", *(f"  {line}" for line in lines)]


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1}\nb: {x: 2}\n",
        "a: &a {x: 1}\nb: *a\nc: *a\n",
        "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 3}\nd: {e: {<<: [*b, *a]}}\n",
        "1: a\n'1': b\n",
        "",
    ],
    ids=["elsewhere", "alias", "merged in and overridden", "of another type", "nothing"],
)
def test_what_is_no_repetition(text: str) -> None:
    assert parse(text, "c.yaml") == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["a: [", "a: 2001-99-99", "a: 1\n---\nb: 1\n"])
def test_what_is_no_yaml(text: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml is not YAML"):
        parse(text, "c.yaml")


def test_settings_of_a_command() -> None:
    message = refused("fetch", "--file", '{"path": "a", "path": "b"}', "--out", "never")
    assert "the text of the settings cannot be used:\n  line 1: the key path is already in line 1" in message
