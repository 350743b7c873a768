"""The workflow as a module of a user's own: their target stays theirs, their rules use its results."""

import shutil
import zipfile
from pathlib import Path

import yaml
from project import Project, each

OWN = """
configfile: "own.yaml"


rule best:
    input:
        "best.csv",


module deftx:
    snakefile: "{snakefile}"
    config: config["deftx"]


use rule * from deftx as deftx_*


rule best_method:
    input:
        rules.deftx_tables.output.scores,
    output:
        "best.csv",
    shell:
        "head -n 2 {{input}} > {{output}}"
"""


def own(finished: Project, folder: Path) -> Project:
    """A user's folder: results made before, and a Snakefile with the workflow as its module."""
    user = finished.copy(folder)
    for part in ("rules", "envs", "deftx", "profiles"):
        shutil.rmtree(user.folder / part)
    (user.folder / "Snakefile").write_text(OWN.format(snakefile=finished.folder / "Snakefile"))
    config = {"yes": "a key of the user's own", "deftx": yaml.safe_load(finished.config.read_text())}
    (user.folder / "own.yaml").write_text(yaml.safe_dump(config))
    return user


def test_a_module_serves_the_rules_of_its_user(finished: Project, tmp_path: Path) -> None:
    user = own(finished, tmp_path / "user")
    package = {"PYTHONPATH": str(finished.folder)}
    everything = user.run("--cores", "2", "--dry-run", "--forceall", "deftx_all", **package)
    assert "rule best" not in everything
    (user.results / "tables/scores.csv").unlink()
    output = user.run("--cores", "2", **package)
    assert {line.split()[0] for line in output.splitlines() if line.startswith(("best", "deftx_"))} == each(
        "{best,best_method,deftx_tables}"
    )
    assert (user.folder / "best.csv").read_text().startswith("task,method,")
    assert not {line for line in output.splitlines() if "deftx_full" in line}


def test_the_report_of_its_user_holds_the_module_s(finished: Project, tmp_path: Path) -> None:
    """With the answers of the module's experiment."""
    user = own(finished, tmp_path / "user")
    user.run("--report", "own.zip", "deftx_all", PYTHONPATH=str(finished.folder))
    with zipfile.ZipFile(user.folder / "own.zip") as report:
        shown = report.read("own/report.html").decode()
    assert "How measured." in shown and "Highest on the mean of targets" in shown
