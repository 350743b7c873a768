"""Snakemake's cache between users: what one has trained another takes, and never anything else."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from deftx.core.hashing import fingerprint
from deftx.core.integrity import sha256_of
from tests.helpers import project as projects
from tests.helpers.project import Project, each, result_of

Config = dict[str, Any]
VECTORS = each("{deltas/language,sfts/language/lt-sft}/{suma,twin}/seed{0,1}")
TARGETS = each("results/pico/sfts/language/lt-sft/{suma,twin}/seed{0,1}.safetensors")


def widen(config: Config) -> None:
    """Two languages that differ in nothing but their names, and two seeds."""
    config["languages"]["twin"] = config["languages"]["suma"]
    config["tasks"]["sentiment"]["targets"] = ["suma", "nolo"]
    config["seeds"] = {"language": [0, 1], "task": [0, 1]}


@pytest.fixture
def clone(tmp_path: Path, commands: Path) -> Project:
    project = projects.create(tmp_path / "clone", commands)
    project.configure(widen)
    return project


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def run(project: Project, cache: Path, *targets: str, **environment: str) -> set[str]:
    """Run a project; returns what it takes from the cache."""
    output = project.run("--cache", "--", *targets, SNAKEMAKE_OUTPUT_CACHE=str(cache), **environment)
    linked, moved = (set(re.findall(rf"{verb} output file (\S+) ", output)) for verb in ("Symlinking", "Moving"))
    return {result_of(name) for name in linked - moved}


def vectors(project: Project) -> dict[str, bytes]:
    return {name: (project.results / f"{name}.safetensors").read_bytes() for name in VECTORS}


def test_a_second_clone_takes_what_the_first_has_trained(clone: Project, cache: Path, tmp_path: Path) -> None:
    other = clone.copy(tmp_path / "other")
    assert not run(clone, cache, *TARGETS)
    taken = run(other, cache, *TARGETS)
    assert taken > VECTORS and {name.split("/")[0] for name in taken - VECTORS} == {"base"}
    assert vectors(other) == vectors(clone)
    assert len(set(vectors(clone).values())) == len(VECTORS)  # neither seeds nor languages were taken for each other
    assert all((other.results / f"{name}.safetensors").resolve().is_relative_to(cache) for name in VECTORS)
    assert not other.planned("--", *TARGETS)


def test_experiments_of_other_names_share_their_languages(clone: Project, cache: Path, tmp_path: Path) -> None:
    def rename(config: Config) -> None:
        config["name"] = "other"

    other = clone.copy(tmp_path / "other")
    other.configure(rename)
    assert not run(clone, cache, *TARGETS)
    taken = run(other, cache, *(name.replace("/pico/", "/other/") for name in TARGETS))
    assert taken > VECTORS and {name.split("/")[0] for name in taken - VECTORS} == {"base"}


def test_downloads_are_shared(clone: Project, cache: Path, tmp_path: Path) -> None:
    text = clone.folder / "texts/nolo.txt"
    pinned = {"path": "nolo.txt", "repository": "some/texts", "commit": 40 * "0", "sha256": sha256_of(text)}

    def pin(config: Config) -> None:
        config["languages"]["nolo"]["corpus"]["files"] = [pinned]

    mirror, empty = tmp_path / "mirror", tmp_path / "empty"
    (mirror / "texts").mkdir(parents=True)
    empty.mkdir()
    shutil.copy(text, mirror / "texts")
    clone.configure(pin)
    other = clone.copy(tmp_path / "other")
    corpus = "results/pico/corpora/nolo/train.txt.gz"
    assert not run(clone, cache, corpus, DEFTX_MIRROR=str(mirror))
    assert run(other, cache, corpus, DEFTX_MIRROR=str(empty)) == {f"raw/{pinned['sha256']}/nolo"}


def test_what_other_threads_compute_is_another_result(clone: Project, cache: Path, tmp_path: Path) -> None:
    """What else computes is in tests/workflow/test_origins.py."""
    other = clone.copy(tmp_path / "other")
    other.edit("rules/train.smk", "threads: TRAIN_THREADS", "threads: 2")
    delta = "results/pico/deltas/language/nolo/seed0.safetensors"
    assert not run(clone, cache, delta)
    assert {name.split("/")[0] for name in run(other, cache, delta)} == {"base"}


def test_the_cache_changes_no_plan_of_finished_results(finished: Project, cache: Path) -> None:
    assert not finished.planned("--cache", SNAKEMAKE_OUTPUT_CACHE=str(cache))


def local_base(folder: Path, finished: Project, weight: float) -> None:
    """The finished project's base, one of its weights changed where no sample of a fingerprint looks."""
    shutil.copytree(finished.results / "base", folder)
    file = folder / "model.safetensors"
    state = load_file(file) | {"ballast": np.zeros(1 << 20, dtype=np.float32)}
    save_file(state, file, metadata={"format": "pt"})
    before = fingerprint([file])
    name = next(name for name in state if name.endswith("word_embeddings.weight"))
    state[name][-1, -1] += weight
    save_file(state, file, metadata={"format": "pt"})
    assert fingerprint([file]) == before


def test_two_bases_at_one_path(finished: Project, clone: Project, cache: Path, tmp_path: Path) -> None:
    def named(config: Config) -> None:
        config["base"] = {"model": "./model"}

    clone.configure(named)
    other = clone.copy(tmp_path / "other")
    for project, weight in ((clone, 0.0), (other, 1.0)):
        local_base(project.folder / "model", finished, weight)
        assert not run(project, cache, *TARGETS)
    ours, theirs = vectors(clone), vectors(other)
    assert all(ours[name] != theirs[name] for name in VECTORS)
    again = other.copy(tmp_path / "again")
    shutil.rmtree(again.results)
    assert run(again, cache, *TARGETS) == VECTORS
    assert vectors(again) == theirs
