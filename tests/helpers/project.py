"""A project folder of its own: a copy of the workflow and of the package, with a pico experiment."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from deftx.config.data import Family, Variety
from deftx.data import synthetic
from tests.helpers import REPOSITORY

WARM = Path(__file__).with_name("warm.py")
PARTS = ("Snakefile", "rules", "captions", "profiles", "envs", "deftx")
FAMILY = {
    "seed": 1,
    "nouns": 4,
    "adjectives": 3,
    "verbs": 2,
    "adverbs": 2,
    "words": 100,
    "affixes": 20,
    "lines": 120,
    "train": 24,
    "valid": 6,
    "test": 24,
}
SHORT = {"max_steps": 3, "batch_size": 8, "learning_rate": 1.0e-3}
PICO = {
    "name": "pico",
    "testbed": FAMILY,
    "languages": {
        "keda": {"testbed": {"cognates": 0.6, "word_order": "SOV"}},
        "sumi": {"testbed": {}},
        "suma": {"testbed": {"cognates": 0.8}},
        "nolo": {"corpus": {"files": [{"path": "texts/nolo.txt"}], "min_lines": 20, "valid": 0.2}},
    },
    "base": {"pretrain": {"languages": ["keda"], "layers": 1, "hidden": 16, "heads": 2, "block": 16, "phase": SHORT}},
    "datasets": {
        "reviews": {"layout": "testbed", "languages": ["sumi"]},
        "trial": {
            "layout": "csv",
            "languages": ["suma", "nolo"],
            "files": {"suma": {"test": {"path": "texts/suma.csv"}}, "nolo": {"test": {"path": "texts/nolo.csv"}}},
        },
    },
    "tasks": {
        "sentiment": {
            "labels": ["negative", "neutral", "positive"],
            "source": "sumi",
            "train": "reviews",
            "test": "trial",
            "targets": ["suma", "nolo"],
        }
    },
    "recipe": {
        "language": {"block": 16, "precision": "fp32", "full": SHORT, "sparse": SHORT},
        "task": {"max_length": 32, "precision": "fp32", "full": SHORT, "sparse": SHORT},
    },
    "selections": {
        "lt-sft": {"rank": "none", "k": {"language": 0.2, "task": 0.1}},
        "deft-x": {"rank": {"variance": 0.9}, "k": {"language": 0.2, "task": 0.1}},
    },
    "methods": {
        "full-ft": {"task": "dense", "language": "none"},
        "task-sft": {"language": "none", "selection": "lt-sft"},
        "lt-sft": {"selection": "lt-sft"},
        "deft-x": {"selection": "deft-x"},
    },
    "seeds": {"language": [0], "task": [0]},
}
"""One known language (keda), one source (sumi), two targets: suma of the testbed, nolo with local files.

It is written to config/quickstart.yaml, so that bare `snakemake` runs it.
"""


Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Project:
    """A folder in which `snakemake` runs, and the folder of the `deftx` that its jobs start."""

    folder: Path
    commands: Path | None = None

    @property
    def config(self) -> Path:
        return self.folder / "config/quickstart.yaml"

    @property
    def results(self) -> Path:
        return self.folder / "results/pico"

    def snakemake(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `snakemake`, standard error among the output."""
        with self.started(*arguments, **environment) as process:
            output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def started(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start `snakemake` in a process group of its own."""
        path = [*([str(self.commands)] if self.commands else []), str(Path(sys.executable).parent), os.environ["PATH"]]
        own = {"PATH": os.pathsep.join(path), "PYTHONPATH": str(self.folder)}
        return subprocess.Popen(
            ["snakemake", *arguments],
            cwd=self.folder,
            env=clean_environment() | own | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> str:
        """Run `snakemake` to success; returns its output."""
        done = self.snakemake(*arguments, **environment)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def planned(self, *arguments: str, **environment: str) -> set[str]:
        """The results that `snakemake` would make or make again, by the names of `result_of`."""
        lines = self.run("--summary", *arguments, **environment).splitlines()
        header = next(n for n, line in enumerate(lines) if line.startswith("output_file\t"))
        rows = [dict(zip(lines[header].split("\t"), line.split("\t"), strict=True)) for line in lines[header + 1 :]]
        assert {row["plan"] for row in rows} <= {"update pending", "no update"}
        return {result_of(row["output_file"]) for row in rows if row["plan"] == "update pending"}

    def configure(self, change: Change) -> None:
        """Change the configuration in place."""
        content = yaml.safe_load(self.config.read_text())
        change(content)
        self.config.write_text(yaml.safe_dump(content, sort_keys=False))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file, which must hold it."""
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{name} no longer holds {old!r}; correct the test"
        path.write_text(text.replace(old, new, 1))

    def copy(self, folder: Path) -> "Project":
        """The project in another folder, with all times and Snakemake's own records."""
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return Project(folder, self.commands)


def create(folder: Path, commands: Path | None = None) -> Project:
    """A project that has not run yet."""
    folder.mkdir()
    for part in PARTS:
        source = REPOSITORY / part
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / part)
    project = Project(folder, commands)
    project.config.parent.mkdir()
    project.config.write_text(yaml.safe_dump(PICO, sort_keys=False))
    write_texts(folder / "texts")
    return project


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """Put a `deftx` that starts at once into a folder, served by a process of its own."""
    command = folder / "deftx"
    with tempfile.TemporaryDirectory() as short:  # the address of a socket holds 100 characters at most
        address = f"{short}/socket"
        call = shlex.join([sys.executable, "-IS", str(WARM), "call", address])
        command.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        command.chmod(0o755)
        serve = [sys.executable, str(WARM), "serve", address]
        with subprocess.Popen(serve, env=clean_environment()) as server:
            try:
                while not Path(address).exists():
                    assert server.poll() is None, "the server did not start"
                    time.sleep(0.05)
                yield
            finally:
                server.kill()


def write_texts(folder: Path) -> None:
    """The local files of the targets, written by the testbed: a corpus, and test sets."""
    folder.mkdir()
    family = Family.model_validate(FAMILY)
    for name in ("suma", "nolo"):
        language = Variety(cognates=0.8)
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in synthetic.corpus(family, name, language)))
        rows = synthetic.dataset(family, name, language, "test")
        (folder / f"{name}.csv").write_text(
            "".join(f"{line}\n" for line in ("text,label", *(f'"{row["text"]}",{row["label"]}' for row in rows)))
        )


def clean_environment() -> dict[str, str]:
    """The environment without what would steer Snakemake, deftx or the number of threads."""
    prefixes = ("DEFTX_", "SNAKEMAKE_", "OMP_", "PYTEST_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def result_of(output: str) -> str:
    """One name for all outputs of a job: its file below the experiment's folder without ending, or its folder."""
    path = Path(*Path(output).parts[2:])  # below results/NAME
    match path.parts:
        case ("corpora", lang, _):
            return f"corpora/{lang}"
        case ("tables", name) if not name.startswith("overlap-"):
            return "tables"
        case ("figures", _):
            return "figures"
        case ("predictions", *rest):
            path = Path("scores", *rest)
    return str(path.with_suffix(""))


def each(*names: str) -> set[str]:
    """Names with braces spelled out as a shell does: `a/{b,c}` is a/b and a/c."""
    spelled = set()
    for name in names:
        parts = [part.split(",") if n % 2 else [part] for n, part in enumerate(name.replace("}", "{").split("{"))]
        spelled |= {"".join(choice) for choice in product(*parts)}
    return spelled


def kill_when(process: "subprocess.Popen[str]", ready: Callable[[], bool], seconds: float = 120) -> None:
    """SIGKILL to a process and everything it has started, as soon as `ready`."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, f"ended too early: {process.communicate()[0]}"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
