"""`make report`: from stored results alone, and nothing runs again because of it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from project import REPOSITORY, Project, clean_environment, create

SHOWN = ("Scores", "Differences", "Seeds", "Gains", "Spectra", "Masks", "Overlap of vectors", "Costs", "Trainings")


def make(project: Project, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the repository's Makefile in a project, with the Python of this process."""
    shutil.copy2(REPOSITORY / "Makefile", project.folder)
    # What a `make test` around it was given is not for it.
    environment = {
        name: value for name, value in clean_environment().items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project.folder),
    }
    return subprocess.run(
        ["make", "READY=", *arguments],
        cwd=project.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def page_command(project: Project) -> list[str]:
    """The arguments of `snakemake` by which `make report` makes the page."""
    line = next(line for line in make(project, "-n", "report").stdout.splitlines() if " report --cores" in line)
    return shlex.split(line.removesuffix("\\"))[1:]


def test_make_report(project: Project) -> None:
    """Nothing is trained, though deltas are gone and the training's code has changed; times make nothing run again."""
    for path in (project.results / "deltas").rglob("*.safetensors"):
        path.unlink()
    project.edit("deftx/training.py", "torch.set_num_threads(threads())", "torch.set_num_threads(int(threads()))")
    before = {path: path.stat().st_mtime_ns for path in project.results.rglob("*") if path.suffix != ".log"}
    page = page_command(project)
    assert project.planned(*page) == {"report"}
    made = make(project, "report")
    assert made.returncode == 0, made.stdout
    assert made.stdout.endswith("report: results/pico/report.html and results/pico/report.zip\n")
    changed = {path.name for path, time in before.items() if path.is_file() and path.stat().st_mtime_ns != time}
    assert changed == set()
    text = (project.results / "report.html").read_text()
    assert "sparse fine-tuning (language)" in text and "layout: testbed" in text and text.count("<figure>") == 5
    with zipfile.ZipFile(project.results / "report.zip") as report:
        names = {Path(name).name for name in report.namelist()}
        shown = report.read("report/report.html").decode()
    figures = {f"{name}.svg" for name in ("scores", "gains", "spectra", "density", "overlap")}
    tables = {f"{name}.csv" for name in ("scores", "seeds", "comparisons", "gains", "costs", "training")}
    assert names == figures | tables | {"overlap-lt-sft.csv", "overlap-deft-x.csv", "report.html"}
    for number, title in enumerate(SHOWN, 1):
        assert json.dumps(f"{number:02} {title}") in shown
    assert shown.count("How measured.") >= 13 and "Highest on the mean of targets" in shown
    # Times that change make nothing run, not even the page, which `make report` forces.
    benchmark = project.results / "benchmarks/tables.jsonl"
    benchmark.write_text(json.dumps(json.loads(benchmark.read_text()) | {"s": 1e6}) + "\n")
    place = page.index("--forcerun")
    assert project.planned(*page[:place], *page[place + 2 :]) == set()


def test_a_report_of_what_is_not_finished(tmp_path: Path) -> None:
    """It trains nothing, and says what to do."""
    refused = make(create(tmp_path / "project"), "report")
    assert refused.returncode == 2
    assert "Missing input files" in refused.stdout
    finish = "finish the experiment first: snakemake --cores all --configfile config/quickstart.yaml\n"
    assert f"no report of pico, for the reason above; where files are missing, {finish}" in refused.stdout
