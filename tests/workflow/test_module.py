"""The workflow as a module of a user's own: their target stays theirs, their rules use its results."""

import shutil
import signal
import zipfile
from dataclasses import replace
from pathlib import Path

import yaml

from tests.helpers.project import Project, each

OWN = """
configfile: "own.yaml"


shell.prefix("export OWN=theirs; ")


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
        "{{{{ echo $OWN; trap -p TERM; }}}} > shell.txt && head -n 2 {{input}} > {{output}}"
"""
MINE = """
rule mine:
    output:
        "mine.csv",
    benchmark:
        "mine.jsonl"
    cache: True
    shell:
        "touch {output}"
"""
ASKING = """
print("local", *workflow._localrules)
print("without", *(rule.name for rule in workflow.rules if not rule.benchmark))
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
    commands, seen = tmp_path / "commands", tmp_path / "seen"
    commands.mkdir()
    (commands / "deftx").write_text(
        f'#!/bin/sh\necho $OWN > {seen}\ngrep SigCgt /proc/$PPID/status >> {seen}\nexec {user.commands}/deftx "$@"\n'
    )
    (commands / "deftx").chmod(0o755)
    output = replace(user, commands=commands).run("--cores", "2", **package)
    assert {line.split()[0] for line in output.splitlines() if line.startswith(("best", "deftx_"))} == each(
        "{best,best_method,deftx_tables}"
    )
    assert (user.folder / "best.csv").read_text().startswith("task,method,")
    assert not {line for line in output.splitlines() if "deftx_full" in line}
    assert "localrules" not in output
    # What the user puts before commands is before all, what the module does before its own alone.
    assert (user.folder / "shell.txt").read_text() == "theirs\n"
    prefix, (_, caught) = seen.read_text().splitlines()[0], seen.read_text().splitlines()[1].split()
    assert prefix == "theirs" and int(caught, 16) >> (signal.SIGTERM - 1) & 1


def test_a_module_changes_no_rule_of_its_user(finished: Project, tmp_path: Path) -> None:
    """Its own run where Snakemake does, by the names the user gave them, and are not timed where they may be shared."""
    user = own(finished, tmp_path / "user")
    snakefile = user.folder / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("\nmodule deftx:", f"{MINE}\n\nmodule deftx:") + ASKING)
    shared = {"PYTHONPATH": str(finished.folder), "SNAKEMAKE_OUTPUT_CACHE": str(tmp_path)}
    done = user.snakemake("--list-rules", "--cache", **shared)
    # What Snakemake says of the user's own rule, which is theirs to mend.
    assert done.returncode and "Rules with a benchmark directive may not" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    said = {words[0]: set(words[1:]) for words in lines if words and words[0] in ("local", "without")}
    assert said["local"] == {"deftx_all", "deftx_fetch", "deftx_score"}
    shared_rules = each("deftx_{fetch,base,full_language,sparse_language}")
    assert said["without"] == shared_rules | {"best", "best_method", "deftx_all"}


def test_the_report_of_its_user_holds_the_module_s(finished: Project, tmp_path: Path) -> None:
    """With the answers of the module's experiment."""
    user = own(finished, tmp_path / "user")
    user.run("--report", "own.zip", "deftx_all", PYTHONPATH=str(finished.folder))
    with zipfile.ZipFile(user.folder / "own.zip") as report:
        shown = report.read("own/report.html").decode()
    assert "How measured." in shown and "Highest on the mean of targets" in shown
