"""Planning does the same for every job, however many languages there are, and no command grows too long to start."""

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling import job_counts
from tests.helpers import project as projects

SIZES = (4, 8, 16)
COUNTING = """
import cProfile, json, pstats, sys
from collections import Counter
from pathlib import Path
import deftx
from snakemake.cli import main

PACKAGE = str(Path(deftx.__file__).parent)

class Named(dict):
    def __missing__(self, file):
        ours = file.endswith((".smk", "Snakefile")) or file.startswith(PACKAGE)
        self[file] = Path(file).name if ours else None
        return self[file]

def called(frame, event, argument):
    return executed if named[frame.f_code.co_filename] else None

def executed(frame, event, argument):
    if event == "line":
        lines[frame.f_code, frame.f_lineno] += 1
    return executed

named, lines, profile = Named(), Counter(), cProfile.Profile()
sys.settrace(called)
try:
    profile.runcall(main, ["--dry-run", "--printshellcmds", *sys.argv[1:]])
except SystemExit as end:
    assert not end.code
sys.settrace(None)
calls = [
    (f"{named[file]}:{caller}", name, count)
    for (_, _, name), (*_, callers) in pstats.Stats(profile).stats.items()
    for (file, _, caller), (_, count, *_) in callers.items()
    if named[file]
]
of_functions = [(f"{named[c.co_filename]}:{c.co_name}", line, n) for (c, line), n in lines.items()]
Path("counts.json").write_text(json.dumps({"calls": calls, "lines": of_functions}))
"""
"""A dry run that leaves which function of ours called what, and which of its lines were executed, and how often.

A comprehension is a function of its own. What runs in C counts once, however long it takes: `x in a_list`, `sum`.
"""

Key = tuple[str, str | int]


@dataclass(frozen=True)
class Counted:
    """A dry run, its calls by who called what, and lines by function and number."""

    output: str
    calls: Counter[Key]
    lines: Counter[Key]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Counted]:
    """Dry runs by the number of target languages, with a method more, whose task starts anew in each of them.

    Languages have names of 10,000 letters: plans of the largest experiment are longer than an argument may be.
    """
    found = {}
    for size in SIZES:
        folder = tmp_path_factory.mktemp(f"languages{size}")
        content = scaling.experiment(size)
        content["methods"]["mlm-then-task"] = {"task": "dense", "language": "dense", "target_adaptation": True}
        for language in content["languages"].values():
            language["name"] = 10_000 * "x"
        config = scaling.write(content, folder)
        arguments = ["--snakefile", str(scaling.PROJECT / "Snakefile"), "--configfile", str(config)]
        paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(scaling.PROJECT)}
        command = [sys.executable, "-c", COUNTING, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=projects.clean_environment() | paths, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        counts = json.loads((folder / "counts.json").read_text())
        found[size] = Counted(done.stdout, added(counts["calls"]), added(counts["lines"]))
    return found


def added(counts: list[tuple[str, str | int, int]]) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for function, what, count in counts:
        total[function, what] += count
    return total


def faster(few: Counter[Key], some: Counter[Key], many: Counter[Key]) -> dict[Key, tuple[int, int, int]]:
    """What grows from 8 to 16 languages more than twice as much as from 4 to 8."""
    return {
        key: (few[key], some[key], many[key])
        for key in many
        if many[key] - some[key] > 2 * max(some[key] - few[key], 1)
    }


def test_jobs_grow_with_languages(counted: dict[int, Counted]) -> None:
    few, some, many = (job_counts(counted[size].output)["total"] for size in SIZES)
    assert many - some == 2 * (some - few) > 0


def test_calls_grow_no_faster_than_jobs(counted: dict[int, Counted]) -> None:
    """For each of our functions and each it calls."""
    few, some, many = (counted[size].calls for size in SIZES)
    assert ("graph.py:needs", "modules_of") in many
    assert not faster(few, some, many)


def test_lines_grow_no_faster_than_jobs(counted: dict[int, Counted]) -> None:
    """For each line: a loop over languages that each job runs need not call anything."""
    few, some, many = (counted[size].lines for size in SIZES)
    assert any(function == "graph.py:modules_of" for function, _ in many)
    assert not faster(few, some, many)


def test_long_plans_are_handed_over_as_files(counted: dict[int, Counted], tmp_path: Path) -> None:
    for size, long in ((4, False), (16, True)):
        commands = [line for line in counted[size].output.splitlines() if line.startswith("Shell command: deftx ")]
        assert [c.split()[3] for c in commands if "--plan <(printf %s '{" in c] == ["tables", "costs"] * long
        assert all(len(word) < 131_071 for c in commands if "<(printf" not in c for word in shlex.split(c))


def test_a_command_reads_what_the_shell_hands_over(tmp_path: Path) -> None:
    settings = shlex.quote(json.dumps({"knob": 200_000 * "x"}))
    script = tmp_path / "script"
    script.write_text(
        f"{sys.executable} -m deftx.cli.app sweeps scores.csv --settings <(printf %s {settings}) --out figure\n"
    )
    done = subprocess.run(["bash", script], cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: settings: knob: ")
