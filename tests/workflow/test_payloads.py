"""No text of a configuration reaches a shell as anything but a word, or Snakemake as anything but a name."""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deftx.core.errors import ConfigError
from deftx.experiment.load import validate
from tests.helpers import project as projects
from tests.helpers.project import PICO, Project

PAYLOADS = (
    *("$(touch hit)", "`touch hit`", "; touch hit", "| touch hit", "& touch hit", "&& touch hit", "> hit", ">> hit"),
    *("' ; touch hit ; '", '" ; touch hit ; "', "$HOME", "${HOME}", "~", "a b", "!x", "\\", "a\nb", "\ttab", "#x", "*"),
)
"""What a shell would run, fill in, or split."""
PINNED = {"path": "data/rows.csv", "url": "https://example.org/rows.csv", "sha256": "0" * 64}


def sample() -> dict[str, Any]:
    """The pico experiment, with texts that it leaves out."""
    content = copy.deepcopy(PICO)
    content["root"] = "results/shared"
    content["languages"]["nolo"]["name"] = "Nolo"
    content["methods"]["lt-sft"]["title"] = "LT-SFT"
    content["datasets"]["pinned"] = {"layout": "csv", "languages": ["suma"], "files": {"suma": {"test": PINNED}}}
    return content


def texts(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every text."""
    if isinstance(content, str):
        yield place
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from texts(value, (*place, key))
    elif isinstance(content, list):
        for n, value in enumerate(content):
            yield from texts(value, (*place, n))


def put(content: Any, place: tuple[Any, ...], text: str) -> None:
    for key in place[:-1]:
        content = content[key]
    content[place[-1]] = text


PLACES = list(texts(sample()))


def accepted(payload: str) -> list[tuple[Any, ...]]:
    """Places at which the payload is refused by no message about the configuration."""
    places = []
    for place in PLACES:
        content = sample()
        put(content, place, payload)
        try:
            validate(content)
        except ConfigError:
            continue
        places.append(place)
    return places


@pytest.mark.parametrize("name", ["ind\n", "ind\n\n", "$(x)", "a b", "a/b", "..", "", "-x", "ä"])
def test_names_are_parts_of_file_names(name: str) -> None:
    content = sample()
    content["languages"][name] = {"testbed": {}}
    with pytest.raises(ConfigError, match="cannot be part of a file name"):
        validate(content)


@pytest.mark.parametrize("place", ["", " ", "a\nb", "a\tb", "text{v1}.txt", "a*", "a?", "a[0]", "a\0b"])
def test_places_hold_nothing_that_snakemake_takes_for_a_pattern(place: str) -> None:
    for key in (("root",), ("languages", "nolo", "corpus", "files", 0, "path")):
        content = sample()
        put(content, key, place)
        with pytest.raises(ConfigError, match="cannot be the place of files"):
            validate(content)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_plan_runs_nothing(commands: Path, tmp_path: Path, payload: str) -> None:
    """With the payload wherever the configuration takes it. A plan evaluates every parameter of every job."""
    project = projects.create(tmp_path / "project", commands)
    content = sample()
    for place in accepted(payload):
        trial = copy.deepcopy(content)
        put(trial, place, payload)
        try:
            validate(trial)
        except ConfigError:  # not together with the others
            continue
        content = trial
    project.configure(lambda config: (config.clear(), config.update(content)))
    project.snakemake("--dry-run", "--printshellcmds")
    assert not list(project.folder.rglob("hit"))


@pytest.mark.parametrize("payload", ["$(touch hit)", "a b ' \" ; touch hit"])
def test_a_run_takes_it_as_a_word(commands: Path, tmp_path: Path, payload: str) -> None:
    """In the folder of the results, in the name of a raw file, and in titles."""
    project: Project = projects.create(tmp_path / "project", commands)
    raw = f"texts/{payload}.txt"
    shutil.move(project.folder / "texts/nolo.txt", project.folder / raw)

    def change(config: dict[str, Any]) -> None:
        config["root"] = f"results/{payload}"
        config["languages"]["nolo"]["corpus"]["files"] = [{"path": raw}]
        config["languages"]["nolo"]["name"] = payload
        config["methods"]["lt-sft"]["title"] = payload.replace("$", "")

    project.configure(change)
    project.run()
    assert not list(project.folder.rglob("hit"))
    assert (project.folder / f"results/{payload}/scores/lt-sft/sentiment/nolo/seed0.json").is_file()
    assert (project.results / "tables/scores.csv").is_file()
