"""`make report`: from stored results alone, and nothing runs again because of it."""

import json
import shlex
import zipfile
from pathlib import Path

from project import REPOSITORY, Project

from deftx.subjects import SUBJECTS


def make_report(results: str) -> list[list[str]]:
    """The arguments of `snakemake` in the Makefile's target `report`, one list for each command."""
    lines = (REPOSITORY / "Makefile").read_text().splitlines()
    target = next(n for n, line in enumerate(lines) if line.startswith("report:"))
    known = {"$(CORES)": "all", "$(CONFIG)": "config/quickstart.yaml", "$(NAME)": results}
    commands = []
    for line in lines[target + 1 : target + 3]:
        for name, value in known.items():
            line = line.replace(name, value)
        word, *arguments = shlex.split(line.strip())
        assert word == "snakemake"
        commands.append(arguments)
    return commands


def test_make_report(project: Project) -> None:
    """Nothing is trained, though deltas are gone and the training's code has changed; times make nothing run again."""
    for path in (project.results / "deltas").rglob("*.safetensors"):
        path.unlink()
    project.edit("deftx/training.py", "torch.set_num_threads(threads())", "torch.set_num_threads(int(threads()))")
    before = {path: path.stat().st_mtime_ns for path in project.results.rglob("*") if path.suffix != ".log"}
    page, archive = make_report("pico")
    assert project.planned(*page) == {"report"}
    for arguments in (page, archive):
        project.run(*arguments)
    changed = {path.name for path, time in before.items() if path.is_file() and path.stat().st_mtime_ns != time}
    assert changed == set()
    text = (project.results / "report.html").read_text()
    assert "sparse fine-tuning, language" in text and "layout: testbed" in text and text.count("<figure>") == 5
    with zipfile.ZipFile(project.results / "report.zip") as report:
        names = {Path(name).name for name in report.namelist()}
        shown = report.read("report/report.html").decode()
    figures = {f"{name}.svg" for name in ("scores", "gains", "spectra", "density", "overlap")}
    tables = {f"{name}.csv" for name in ("scores", "seeds", "comparisons", "gains", "costs", "training")}
    assert names == figures | tables | {"overlap-lt-sft.csv", "overlap-deft-x.csv", "report.html"}
    for number, (subject, title) in enumerate(SUBJECTS.items(), 1):
        there = subject not in ("published", "sweeps", "stages")
        assert (json.dumps(f"{number:02} {title}") in shown) is there
    assert shown.count("How measured.") >= 13 and "is highest on the mean of targets" in shown
    # Times that change make nothing run, not even the page, which `make report` forces.
    benchmark = project.results / "benchmarks/tables.jsonl"
    benchmark.write_text(json.dumps(json.loads(benchmark.read_text()) | {"s": 1e6}) + "\n")
    place = page.index("--forcerun")
    assert project.planned(*page[:place], *page[place + 2 :]) == set()
