"""What each verb imports, and how long it takes from its start to its end with next to nothing to do.

    python -m benchmarks.startup
    python -m benchmarks.startup predict train --runs 9

Every verb works on inputs of a model of two layers, in a process of its own. Prints a Markdown table: the large
libraries that are imported, and wall-clock and processor seconds of the whole process, each the median of several runs
that take turns. docs/reference/performance.md explains them.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import say
from tests.helpers import REPOSITORY, pico, results
from tests.helpers.command import spec

HEAVY = ("torch", "transformers", "accelerate", "peft", "datasets", "pyarrow", "pandas", "scipy", "sklearn",
         "matplotlib", "snakemake", "numpy")  # fmt: skip
"""Libraries that take long to import, the longest first."""
LISTED = """
import atexit, sys
from pathlib import Path
atexit.register(lambda: Path({out!r}).write_text(" ".join(sorted({{n.partition(".")[0] for n in sys.modules}}))))
from deftx.cli.app import app
app()
"""
LABELS = json.dumps(pico.LABELS)
TEXT = json.dumps({"files": [{"path": "train.txt"}], "min_lines": 10, "valid": 0.2})
COSTS = {"methods": {"lt-sft": "LT-SFT"}, "languages": {"bbb": "Language bbb"},
         "modules": {"mood": {"lt-sft": {"bbb": ["sfts/x"]}}}, "made": {}, "stages": {}}  # fmt: skip
SWEEP = {"sweep": {"title": "A sweep", "at": [1], "series": {"LT-SFT": ["lt-sft"]}}}
REPORTED = {"name": "pico", "base": {}, "languages": {}, "tasks": {}, "methods": {"a": {}}}
SCORES = "task,method,title,language,name,score,sd,low,high,p_holm,seeds,note\nmood,a,A,mean,mean,50,,40,60,,1,\n"
LANGUAGES, SEEDS = ("aaa", "bbb"), [0]
EXPERIMENT = REPOSITORY / "config/quickstart.yaml"
LEFT_OUT = {"plan", "view"}
"""Verbs whose time is another program's (`plan` starts Snakemake), or that have nothing to do yet: no transform is
registered for `view`."""


def prepare(made: Path) -> None:
    """Write a pico base model, text, rows, a mirror and predictions to a folder."""
    pico.bert(made)
    for name, count in (("train", 40), ("valid", 10)):
        pico.text(made / f"{name}.txt", count)
        pico.rows(made / f"{name}.csv", count)
    (made / "raw.txt").write_text("one line\n")
    results.predictions(made / "results", LANGUAGES, SEEDS)
    (made / "page").mkdir()
    (made / "page/scores.csv").write_text(SCORES)


def commands(made: Path, out: Path) -> dict[str, list[str]]:
    """Return the arguments of each verb, in an order in which each finds in `made` what one before it has written.

    Args:
        made: folder that `prepare` has filled, and in which the commands ran once with `out` the same.
        out: folder to write to.
    """
    base, recipe, delta, mask = (made / name for name in ("base.json", "recipe.json", "delta", "mask"))
    data = ["--train", made / "train.csv", "--valid", made / "valid.csv"]
    digest = hashlib.sha256((made / "raw.txt").read_bytes()).hexdigest()
    raw = json.dumps({"path": "raw.txt", "url": "http://127.0.0.1:9/raw.txt", "sha256": digest})
    captions = [part for path in sorted((REPOSITORY / "captions").glob("*.rst")) for part in ("--captions", path)]
    plan = json.dumps(results.plan(LANGUAGES, SEEDS))
    tables, page = made / "tables", made / "page"
    lines: dict[str, list[Any]] = {
        "fetch": ["--file", raw, "--mirror", made, "--out", out / "fetched.txt"],
        "corpus": ["xx", "--settings", TEXT, "--raw", made / "train.txt", "--out", out / "corpus"],
        "dataset": ["xx", "test", "--settings", '{"layout": "csv"}', "--labels", LABELS, "--raw", made / "train.csv",
                    "--out", out / "test.csv"],
        "base": ["--settings", json.dumps({"model": str(made / "base")}), "--out", out / "described.json"],
        "train": ["--spec", spec(labels=pico.LABELS), "--base", base, *data, "--out", out / "delta"],
        "mask": [delta, "--k", "0.1", "--selection", "{}", "--out", out / "mask", "--report", out / "mask-report.json"],
        "random-mask": [delta, "--k", "0.1", "--out", out / "random", "--report", out / "random-report.json"],
        "prune": [delta, "--mask", mask, "--out", out / "pruned"],
        "compose": [delta, "--base", base, "--out", out / "recipe.json"],
        "export": [recipe, "--base", base, "--out", out / "checkpoint"],
        "convert": [made / "pruned", out / "converted"],
        "predict": [recipe, "--base", base, "--dataset", made / "valid.csv", "--predictions", out / "predicted.csv"],
        "score": ["--predictions", made / "predicted.csv", "--scores", out / "scores.json"],
        "evaluate": [recipe, "--base", base, "--dataset", made / "valid.csv", "--scores", out / "scores-too.json",
                     "--predictions", out / "predicted-too.csv"],
        "overlap": [f"a={delta}", f"b={made / 'pruned'}", "--out", out / "overlap.csv"],
        "tables": [made / "results", "--plan", plan, "--out", out / "tables"],
        "costs": [made / "results", "--plan", json.dumps(COSTS), "--scores", tables / "scores.csv",
                  "--out", out / "costs"],
        "figures": [tables, "--out", out / "figures"],
        "sweeps": [tables / "scores.csv", "--settings", json.dumps(SWEEP), "--out", out / "sweeps"],
        "report": [page, "--config", json.dumps(REPORTED), "--base", base, *captions, "--out", out / "report.html"],
        "status": [EXPERIMENT],
        "adopt": [EXPERIMENT],
        "clean-deltas": [EXPERIMENT],
        "schema": ["--out", REPOSITORY / "config", "--check"],
    }  # fmt: skip
    return {verb: [verb, *map(str, arguments)] for verb, arguments in lines.items()}


def imported(arguments: Sequence[str], folder: Path) -> set[str]:
    """Run a verb in a folder, and return the top-level modules its process has imported.

    Raises:
        CalledProcessError: it failed.
    """
    listing = folder / "imported.txt"
    _run([sys.executable, "-c", LISTED.format(out=str(listing)), *arguments], folder)
    return set(listing.read_text().split())


def measure(arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall-clock and processor seconds of a verb's process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _run([sys.executable, "-m", "deftx", *arguments], folder)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(command: Sequence[str], folder: Path) -> None:
    paths = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {"PYTHONPATH": paths}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


def table(rows: Sequence[tuple[str, set[str], float, float]]) -> str:
    """Verbs with what they import and their seconds as a Markdown table."""
    lines = ["| verb | imports | start to end (s) | processor (s) |", "|:--|:--|--:|--:|"]
    for verb, modules, wall, processor in rows:
        names = ", ".join(name for name in HEAVY if name in modules)
        lines.append(f"| `{verb}` | {names} | {wall:.2f} | {processor:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verbs", nargs="*", help="all without it")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        prepare(made)
        modules = {}
        for verb, arguments in commands(made, made).items():
            say(f"== {verb}")
            modules[verb] = imported(arguments, made)
        chosen = options.verbs or list(modules)
        runs: dict[str, list[tuple[float, ...]]] = {verb: [] for verb in chosen}
        for number in range(options.runs):
            say(f"== run {number + 1} of {options.runs}")
            out = Path(temporary, f"run{number}")
            out.mkdir()
            written = commands(made, out)
            for verb in chosen:
                runs[verb].append(measure(written[verb], out))
    medians = {verb: [statistics.median(column) for column in zip(*taken, strict=True)] for verb, taken in runs.items()}
    print(table([(verb, modules[verb], *medians[verb]) for verb in chosen]))


if __name__ == "__main__":
    main()
