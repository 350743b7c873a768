"""The shipped profiles: they speak of rules that exist, and forget none that computes."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.scaling import job_counts
from tests.helpers import project as projects
from tests.helpers.project import Project, each

PROFILES = sorted((projects.REPOSITORY / "profiles").glob("*/profile.yaml"))
ASKING = """
print("computes", *(each.name for each in workflow.rules if "gpu" in each.resources))
"""


def words(content: dict[str, Any], key: str) -> list[str]:
    """Entries of `groups` and the like, `RULE=GROUP`, by what stands before the sign."""
    return [entry.partition("=")[0] for entry in content.get(key, [])]


def test_profiles_speak_of_rules_that_exist(finished: Project, tmp_path: Path) -> None:
    """Renamed, a rule would silently lose its GPU. A base that is trained here is tiny, and needs none."""
    project = finished.copy(tmp_path / "project")
    project.edit("Snakefile", "\nrule all:", ASKING + "\n\nrule all:")
    lines = project.run("--list-rules").splitlines()
    computing = next(set(line.split()[1:]) for line in lines if line.startswith("computes ")) - {"base"}
    assert computing >= each("{full,sparse,mask}_{language,task}") and len(PROFILES) == 3
    for path in PROFILES:
        content = yaml.safe_load(path.read_text())
        named = {*content.get("set-resources", {}), *content.get("set-threads", {}), *words(content, "groups")}
        assert named <= set(lines), path
        if "elsewhere=1" in content.get("resources", []):  # the rules find no GPUs there, so the profile names them
            with_gpu = {rule for rule, asked in content["set-resources"].items() if asked.get("gpu")}
            assert with_gpu - {"compose"} == computing, path
        grouped = set(words(content, "groups"))
        assert set(words(content, "group-components")) == {e.partition("=")[2] for e in content.get("groups", [])}
        asked = [content["set-resources"][rule] for rule in grouped]
        assert all(one == asked[0] for one in asked), path


@pytest.mark.skipif(
    not importlib.util.find_spec("snakemake_executor_plugin_slurm"), reason="the plugin for SLURM is not installed"
)
def test_scores_are_grouped_also_where_gpus_are_generic_resources(finished: Project, tmp_path: Path) -> None:
    """One cell is composed already, another is not, so that a score and a composition come first in one job."""
    project = finished.copy(tmp_path / "project")
    for _ in range(2):
        project.edit("profiles/slurm/profile.yaml", "    gpu: 1\n", "    gpu: 0\n    gres: \"'gpu:1'\"\n")
    for name in ("composed/lt-sft/sentiment/suma", "scores/lt-sft", "predictions/lt-sft"):
        shutil.rmtree(project.results / name)
    (project.results / "tables/scores.csv").unlink()
    counts = job_counts(project.run("-n", "--profile", "profiles/slurm", "--rerun-triggers", "mtime"))
    assert (counts["compose"], counts["evaluate"]) == (1, 2)
