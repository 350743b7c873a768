"""What jobs ask of a machine: seen in Snakemake's own plans and runs. GPUs are files in a folder."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.project import Project, each

COMPUTING = {"base", "full_language", "full_task", "mask_language", "mask_task", "sparse_language", "sparse_task",
             "evaluate"}  # fmt: skip


def with_gpus(project: Project, number: int) -> None:
    """Let the package find so many GPUs."""
    devices = project.folder / "devices"
    devices.mkdir()
    for n in range(number):
        (devices / f"nvidia{n}").touch()
    project.edit("deftx/core/gpus.py", 'Path("/dev")', f"Path({str(devices)!r})")


def planned(project: Project, *arguments: str, **environment: str) -> str:
    """The output of a dry run that shows resources, which Snakemake does for rules without a message."""
    for path in (project.folder / "rules").glob("*.smk"):
        path.write_text(re.sub(r"^ +message:\n +.*\n", "", path.read_text(), flags=re.M))
    return project.run("-n", *arguments, "--quiet", "host", **{"CUDA_VISIBLE_DEVICES": "0,1"} | environment)


def asked(output: str) -> dict[str, set[str]]:
    """The GPUs that jobs of each rule ask for, by the output of a dry run."""
    found: dict[str, set[str]] = {}
    for rule, body in re.findall(r"^(?:local)?rule (\w+):\n(.*?)(?=^\[|^Job stats|\Z)", output, re.M | re.S):
        found.setdefault(rule, set()).update(re.findall(r"\bgpu=(\d+)", body) or {"none"})
    return found


@pytest.mark.parametrize("number", [0, 2])
def test_what_computes_takes_one_gpu_where_there_is_one(project: Project, number: int) -> None:
    with_gpus(project, number)
    rules = asked(planned(project, "--forceall", "--jobs", "2"))  # --jobs may mean --cores
    expected = "1" if number else "0"
    assert {rule: rules[rule] for rule in COMPUTING} == {rule: {expected} for rule in COMPUTING}
    assert all(found <= {"none", "0"} for rule, found in rules.items() if rule not in COMPUTING)


@pytest.mark.parametrize(("gpus", "threads"), [(0, 4), (4, 2)])
def test_as_many_jobs_fit_as_there_are_gpus(project: Project, gpus: int, threads: int) -> None:
    """Snakemake counts the threads of jobs against the cores, so each takes a share that leaves no GPU idle."""
    with_gpus(project, gpus)
    project.configure(lambda c: c.update(base={"model": "owner/real"}))
    names = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(gpus)))}
    body = planned(project, "--forceall", "--cores", "8", **names).split("rule full_language:")[1].split("\n\n")[0]
    assert f"threads: {threads}\n" in body


def test_this_machine_says_nothing_of_others(project: Project) -> None:
    with_gpus(project, 2)
    elsewhere = ("--cores", "1", "--resources", "elsewhere=1", "--set-threads", "full_language=4")
    body = planned(project, "--forcerun", "full_language", *elsewhere).split("rule full_language:")[1].split("\n\n")[0]
    assert "threads: 4" in body and "gpu=0" in body


def test_with_one_gpu_never_two_jobs_are_on_it(project: Project, tmp_path: Path) -> None:
    with_gpus(project, 1)
    commands, seen = tmp_path / "commands", tmp_path / "seen"
    commands.mkdir()
    (commands / "deftx").write_text(
        f'#!/bin/sh\necho begin $1 >> {seen}\nsleep 0.5\n{project.commands}/deftx "$@"\necho end $1 >> {seen}\n'
    )
    (commands / "deftx").chmod(0o755)
    wanted = [f"results/pico/deltas/language/{lang}/seed0.safetensors" for lang in ("suma", "sumi", "nolo")]
    for delta in wanted:
        (project.folder / delta).unlink()
    replace(project, commands=commands).run(*wanted, "--cores", "3", CUDA_VISIBLE_DEVICES="0")
    assert seen.read_text().splitlines() == ["begin train", "end train"] * 3


def test_memory_follows_the_size_of_the_model(project: Project) -> None:
    def memory() -> int:
        body = planned(project, "--forcerun", "full_language").split("rule full_language:")[1]
        found = re.search(r"mem_mb=(\d+)", body)
        assert found
        return int(found[1])

    small = memory()
    (project.results / "base.json").unlink()
    project.configure(lambda c: c["base"]["pretrain"].update(hidden=768, layers=12, intermediate=3072))
    assert small == 2000 and 3900 < memory() < 4200  # 85 million parameters in layers


ASKING = """

from types import SimpleNamespace
for each in workflow.rules:
    for name in each.resources.keys() & {"mem_mb", "runtime"}:
        of = lambda mb, attempt: each.resources[name].evaluate(None, input=SimpleNamespace(size_mb=mb), attempt=attempt)
        print("asks", each.name, name, *(of(*which).value for which in ((0, 1), (0, 3), (100, 1))))
"""
"""What every rule asks for without data, in its third attempt, and for 100 MB."""


def test_memory_and_time_follow_model_data_and_attempt(project: Project) -> None:
    """Limits of trainings alone do not rise: they go on from what they have saved."""
    project.configure(lambda c: c.update(base={"model": "FacebookAI/xlm-roberta-large"}))
    (project.results / "base.json").unlink()
    project.edit("Snakefile", "\nrule all:", ASKING + "\nrule all:")
    asks = (line.split() for line in project.run("--list-rules").splitlines() if line.startswith("asks "))
    found = {(rule, name): tuple(map(int, amounts)) for _, rule, name, *amounts in asks}
    trainings = {rule for rule, name in found if name == "runtime" and found[rule, name] == (720, 720, 720)}
    assert trainings == each("{full,sparse,gradients,adapter,lora}_{language,task}")
    rising = {key: amounts for key, amounts in found.items() if key not in {(rule, "runtime") for rule in trainings}}
    assert len(rising) == 2 * 30 - len(trainings)
    assert all(third == 3 * first > 0 for first, third, _ in rising.values())
    with_data = {rule for (rule, _), (first, _, much) in found.items() if much > first}
    assert with_data == {"corpus", "dataset", "view"}
    assert found["corpus", "mem_mb"] == (2000, 6000, 3200) and found["corpus", "runtime"] == (60, 180, 80)
    assert found["mask_language", "runtime"][0] > 60 and found["tables", "runtime"][0] == 30  # the model is large
