"""Clocks that disagree: a node behind the others, and files from tomorrow."""

import os
import shutil
import time
from pathlib import Path

from tests.helpers.project import Project
from tests.workflow.test_runs import digests, failed

HOUR = 3600


def test_a_node_whose_clock_is_behind(finished: Project, project: Project, tmp_path: Path) -> None:
    """Every result comes out an hour older than what it was made from; none is made twice."""
    (tmp_path / "late").mkdir()
    late, before, aged = (tmp_path / name for name in ("late/deftx", "before", "aged"))
    late.write_text(
        f'#!/bin/bash\ntouch {before}\n{finished.commands}/deftx "$@" || exit\n'
        f"find results -type f -newer {before} -exec touch --date '1 hour ago' {{}} + -print >> {aged}\n"
    )
    late.chmod(0o755)
    for name in (
        "masks/language/deft-x",
        "sfts/language/deft-x",
        "composed/deft-x/sentiment",
        "predictions/deft-x/sentiment",
        "scores/deft-x/sentiment",
    ):
        shutil.rmtree(project.results / name / "nolo")
    output = Project(project.folder, late.parent).run("results/pico/scores/deft-x/sentiment/nolo/seed0.json")
    assert "modification time" not in output
    assert "results/pico/masks/language/deft-x/nolo/seed0.safetensors\n" in aged.read_text()
    assert digests(project) == digests(finished)
    assert project.planned() == set()


def test_results_from_tomorrow(project: Project) -> None:
    """As of a login node whose clock ran ahead, which has been set right since: they have not changed."""
    tomorrow = time.time() + 24 * HOUR
    for folder in ("corpora", "deltas", "masks", "sfts"):
        for path in (project.results / folder).rglob("*"):
            os.utime(path, (tomorrow, tomorrow))
    assert project.planned() == set()


def test_a_text_from_tomorrow(project: Project) -> None:
    """What is made of it cannot be younger: Snakemake says so, names both, and goes on once the time is set right."""
    text, tomorrow = project.folder / "texts/nolo.csv", time.time() + 24 * HOUR
    os.utime(text, (tomorrow, tomorrow))
    shutil.rmtree(project.results / "datasets/trial/nolo")
    target = "results/pico/datasets/trial/nolo/test.csv"
    output = failed(project, target)
    assert "has older modification time" in output and "than input texts/nolo.csv" in output
    text.touch()
    project.run(target)
