"""How planning grows with the number of languages: jobs, processor time and memory of Snakemake's dry run.

    python -m benchmarks.scaling 10 100 1000 --figure docs/figures/scaling.svg

Each experiment is made up: N target languages with a corpus and a test set of their own (empty local files, which a dry
run asks nothing more of), four methods, three seeds. Two runs of each are measured as processes of their own: reading
the rules alone (`snakemake --list-rules`; every job on a cluster does that once more), and planning all jobs with every
command printed (`snakemake --dry-run --printshellcmds`). Times are processor time, which hardly depends on what else
the machine does; memory is the largest resident set.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import say

PROJECT = Path(__file__).parent.parent
SOURCE = "source"
PHASE = {"max_steps": 1000, "batch_size": 8, "learning_rate": 5.0e-5}


@dataclass(frozen=True)
class Planned:
    """What planning took."""

    languages: int
    jobs: int
    reading: float
    """Processor seconds to read the rules."""
    planning: float
    """Processor seconds of the dry run, reading included."""
    mb: float
    """Largest resident memory of the dry run, in MB (2**20 bytes)."""


def job_counts(output: str) -> dict[str, int]:
    """Jobs by rule, from the table of a dry run; none when nothing is to be done."""
    lines = iter(output.splitlines())
    counts: dict[str, int] = {}
    for line in lines:
        if line == "Job stats:":
            next(lines), next(lines)
            for row in lines:
                if not row.strip():
                    return counts
                rule, count = row.split()
                counts[rule] = int(count)
    return counts


def experiment(languages: int) -> dict[str, Any]:
    """The configuration of an experiment with so many target languages, four methods and three seeds."""
    targets = [f"l{number:04}" for number in range(languages)]
    texts = {code: {"corpus": {"files": [{"path": f"texts/{code}.txt"}]}} for code in (SOURCE, *targets)}
    learned = {split: {"path": f"rows/{SOURCE}-{split}.csv"} for split in ("train", "valid")}
    scored = {code: {"test": {"path": f"rows/{code}.csv"}} for code in targets}
    budgets = {"language": 1000, "task": 1000}
    return {
        "name": "scaling",
        "base": {"model": "base"},
        "languages": texts,
        "datasets": {
            "learned": {"layout": "csv", "languages": [SOURCE], "files": {SOURCE: learned}},
            "scored": {"layout": "csv", "languages": targets, "files": scored},
        },
        "tasks": {
            "sentiment": {
                "labels": ["negative", "positive"],
                "source": SOURCE,
                "train": "learned",
                "test": "scored",
                "targets": targets,
            }
        },
        "recipe": {
            "language": {"block": 256, "full": PHASE, "sparse": PHASE},
            "task": {"max_length": 128, "full": PHASE, "sparse": PHASE},
        },
        "selections": {
            "lt-sft": {"rank": "none", "k": budgets},
            "deft-x": {"rank": {"variance": 0.9}, "k": budgets},
        },
        "methods": {
            "full-ft": {"task": "dense", "language": "none"},
            "task-sft": {"language": "none", "selection": "lt-sft"},
            "lt-sft": {"selection": "lt-sft"},
            "deft-x": {"selection": "deft-x"},
        },
        "seeds": {"language": [0, 1, 2], "task": [0, 1, 2]},
    }


def write(content: dict[str, Any], folder: Path) -> Path:
    """Write an experiment and the empty files it names; returns the configuration's file."""
    corpora = [file for language in content["languages"].values() for file in language["corpus"]["files"]]
    splits = [split for dataset in content["datasets"].values() for split in dataset["files"].values()]
    for file in [*corpora, *(file for split in splits for file in split.values())]:
        path = folder / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    return config


def measure(languages: int, folder: Path) -> Planned:
    """Plan an experiment with so many languages in an empty folder."""
    config = write(experiment(languages), folder)
    reading, _ = run(folder, "--list-rules", "--configfile", str(config))
    planning, mb = run(folder, "--dry-run", "--printshellcmds", "--configfile", str(config))
    return Planned(languages, job_counts((folder / "output.txt").read_text())["total"], reading, planning, mb)


def run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Processor seconds and largest memory (MB) of `snakemake`, whose output goes to a file in the folder."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), *arguments]
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, stdout=output)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def table(rows: Sequence[Planned]) -> str:
    """Rows as a Markdown table."""
    lines = [
        "| languages | jobs | reading the rules (s) | planning (s) | planning a job (ms) | memory (MB) |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        each = 1000 * (row.planning - row.reading) / row.jobs
        cells = (f"{row.reading:.1f}", f"{row.planning:.1f}", f"{each:.2f}", f"{row.mb:.0f}")
        lines.append(f"| {row.languages:,} | {row.jobs:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: Sequence[Planned], path: Path) -> None:
    """Time and memory against the number of jobs, beside growth in proportion to it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from deftx.report.figures.style import COLOURS, COLUMN, STYLE

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * COLUMN, 2.2))
        jobs = [row.jobs for row in rows]
        time, memory = figure.subplots(1, 2)
        time.plot(jobs, [row.planning for row in rows], "o-", ms=3, color=COLOURS[3], label="planning")
        time.set_ylabel("processor time (s)")
        memory.plot(jobs, [row.mb for row in rows], "o-", ms=3, color=COLOURS[3], label="planning")
        memory.set_ylabel("memory (MB)")
        for axes, last in ((time, rows[-1].planning), (memory, rows[-1].mb)):
            proportional = [last * count / jobs[-1] for count in jobs]
            axes.plot(jobs, proportional, ":", color=COLOURS[0], label="in proportion to jobs")
            axes.set(xscale="log", yscale="log", xlabel="jobs")
            axes.legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*", type=int, default=[10, 100, 1000])
    parser.add_argument("--figure", type=Path, help="SVG file to draw")
    options = parser.parse_args()
    rows = []
    for count in options.languages:
        say(f"== {count} languages")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(count, Path(folder)))
    print(table(rows))
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
