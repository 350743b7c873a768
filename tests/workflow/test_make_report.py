"""`make report`: from stored results alone, and nothing runs again because of it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.helpers import browser
from tests.helpers.browser import Browser
from tests.helpers.project import REPOSITORY, Project, clean_environment, create

OPEN = """new Promise((done) => {
    const timer = setInterval(() => {
        const link = [...document.querySelectorAll("a")].find((each) => each.textContent.includes("01 Scores"));
        if (link) { clearInterval(timer); link.click(); setTimeout(() => done(document.body.innerText), 200); }
    }, 50);
})"""
"""Opens the first subject of Snakemake's report, as soon as it is there."""
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


def assert_it_opens(command: str, archive: Path, folder: Path) -> None:
    """Snakemake's report, unpacked, in a browser: it asks for nothing from elsewhere, and its subjects open."""
    with zipfile.ZipFile(archive) as report:
        report.extractall(folder / "unpacked")
    opened = Browser(command, folder / "profile")
    try:
        opened.open(folder / "unpacked/report/report.html", 1280)
        shown = opened.evaluate(OPEN)
        assert "figure" in shown and "table" in shown
        assert {url.partition(":")[0] for url in opened.requests} <= {"file", "data"}
    finally:
        opened.close()


def test_make_report(project: Project, tmp_path: Path) -> None:
    """Nothing is trained, though deltas are gone and the training's code has changed; times make nothing run again."""
    for path in (project.results / "deltas").rglob("*.safetensors"):
        path.unlink()
    project.edit(
        "deftx/finetuning/common.py", "torch.set_num_threads(threads())", "torch.set_num_threads(int(threads()))"
    )
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
    if command := browser.find():
        assert_it_opens(command, project.results / "report.zip", tmp_path)
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
