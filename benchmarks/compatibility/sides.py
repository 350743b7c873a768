"""The two sides: a tree of code each, in which the same experiments are made of the same raw files."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.helpers import REPOSITORY
from tests.helpers import project as projects
from tests.helpers.project import Project

LEFT_OUT = {"tests", "docs", "results"}
"""What the workflow does without."""


def of_commit(commit: str, folder: Path, commands: Path) -> Project:
    """Unpack a commit into a new folder.

    Raises:
        SystemExit: the history holds no such commit, as in a shallow clone.
    """
    folder.mkdir(parents=True)
    archive = folder / "tree.tar"
    packed = subprocess.run(
        ["git", "archive", "--output", str(archive), commit], cwd=REPOSITORY, capture_output=True, text=True
    )
    if packed.returncode:
        raise SystemExit(f"there is no commit {commit}: {packed.stderr.strip()}. Fetch it: git fetch --unshallow")
    shutil.unpack_archive(archive, folder, filter="data")
    archive.unlink()
    return Project(folder, commands)


def of_present(folder: Path, commands: Path) -> Project:
    """Copy what git tracks or would track of the present tree, changes included, into a new folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = REPOSITORY / name, folder / name
        if Path(name).parts[0] not in LEFT_OUT and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return Project(folder, commands)


def make(side: Project, configs: Sequence[Path], *arguments: str, cores: int = 2) -> None:
    """Make an experiment, or some of its results, each job with one thread.

    Args:
        configs: a configuration, and what is laid over it.
        arguments: files to make, in place of all.
    Raises:
        SystemExit: a job failed.
    """
    done = side.snakemake("--cores", str(cores), "--max-threads", "1", *options(configs), "--", *arguments)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nno results of {side.folder}, for the reason above")


def with_results_of(old: Project, new: Project, folder: Path) -> Project:
    """Copy the new code and the old results, with their times and Snakemake's own records, into a new folder."""
    shutil.copytree(new.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    for name in ("results", ".snakemake"):
        subprocess.run(["cp", "-a", f"{old.folder / name}/.", str(folder / name)], check=True)
    return Project(folder, new.commands)


def planned_after_touch(side: Project, configs: Sequence[Path], *targets: str) -> list[str]:
    """Let `deftx adopt` and `snakemake --touch` accept results of other code; return the jobs a run would still do.

    Raises:
        SystemExit: one of the two, or the plan, fails.
    """
    assert side.commands is not None
    environment = projects.clean_environment() | {"PYTHONPATH": str(side.folder)}
    adopt = [str(side.commands / "deftx"), "adopt", *map(str, configs)]
    adopted = subprocess.run(adopt, cwd=side.folder, env=environment, capture_output=True, text=True)
    if adopted.returncode:
        raise SystemExit(f"{adopted.stderr}\ndeftx adopt failed, for the reason above")
    touched = side.snakemake("--touch", "--cores", "1", *options(configs), "--", *targets)
    if touched.returncode:
        raise SystemExit(f"{touched.stdout}\nsnakemake --touch failed, for the reason above")
    return planned(side, configs, *targets)


def planned(side: Project, configs: Sequence[Path], *targets: str) -> list[str]:
    """Return the jobs that a run would do, each as its message.

    Raises:
        SystemExit: the plan fails.
    """
    done = side.snakemake("--dry-run", "--cores", "1", *options(configs), "--", *targets)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nsnakemake --dry-run failed, for the reason above")
    jobs = re.findall(r"^Job \d+: (.*)$", done.stdout, re.MULTILINE)
    if not jobs and "Nothing to be done" not in done.stdout:
        raise SystemExit(f"{done.stdout}\nthe plan above cannot be read; correct `planned`")
    return jobs


def options(configs: Sequence[Path]) -> list[str]:
    """The options of snakemake that name configurations."""
    return ["--configfile", *map(str, configs)]
