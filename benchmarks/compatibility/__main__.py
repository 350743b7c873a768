"""Are the results of a commit and those of the present tree the same, byte for byte?

    python -m benchmarks.compatibility                  against the last commit before the packages
    python -m benchmarks.compatibility COMMIT --touch   and whether `snakemake --touch` accepts that commit's results

Makes the experiments in `experiments/` (every kind of module, selection and method, on models of two layers) once by
the commit's code and once by the present tree's, changes that are not committed included, from the same raw files and
with a thread a job, and compares the results. Vectors, masks, predictions, corpora and datasets are compared as bytes;
JSON by its content, where only what `declared.py` names may be new; tables by the text of their cells, new columns
last; of pictures, pages, logs and times only the names of the files. Ends with 1 on any other difference.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compatibility import compare, raw, sides
from benchmarks.measure import say
from tests.helpers import project as projects
from tests.helpers.project import Project

BASELINE = "cdefa83"
"""The last commit before the packages."""
EXPERIMENTS = Path(__file__).with_name("experiments")
SHIPPED = [
    [EXPERIMENTS / "bert.yaml"],
    [EXPERIMENTS / "bert.yaml", EXPERIMENTS / "shared.yaml"],
    [EXPERIMENTS / "xlmr.yaml"],
]


def timed(what: str, started: float) -> None:
    """Say how long something took."""
    say(f"{what}: {time.monotonic() - started:.0f} s")


def touched(old: Project, new: Project, experiments: list[list[Path]], shown: int) -> bool:
    """Say what a run of the new code over the old results would make after `snakemake --touch`."""
    side = sides.with_results_of(old, new, new.folder.with_name("touched"))
    accepted = True
    for configs in experiments:
        jobs = sides.planned_after_touch(side, configs)
        title = " + ".join(config.stem for config in configs)
        print(f"after snakemake --touch, {title}: {f'{len(jobs)} jobs are planned' if jobs else 'nothing is planned'}")
        lines = [*jobs[:shown], *compare.and_more(jobs, shown, "jobs")]
        print("".join(f"    {line}\n" for line in lines), end="")
        accepted &= not jobs
    return accepted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default=BASELINE, help=f"the old side; {BASELINE} without it")
    parser.add_argument(
        "--config",
        action="append",
        nargs="+",
        type=lambda path: Path(path).resolve(),
        help="an experiment in place of those in experiments/, and what is laid over it; may be repeated",
    )
    parser.add_argument("--touch", action="store_true", help="see whether `snakemake --touch` accepts the old results")
    parser.add_argument("--cores", type=int, default=2, help="jobs at once; each has one thread")
    parser.add_argument("--show", type=int, default=5, help="files a kind, and lines a file, that are printed")
    parser.add_argument("--keep", type=Path, help="a new folder to make the two sides in; otherwise a temporary one")
    chosen = parser.parse_args()
    experiments = chosen.config or SHIPPED
    with tempfile.TemporaryDirectory() as temporary:
        folder = (chosen.keep or Path(temporary)).resolve()
        commands = folder / "bin"
        commands.mkdir(parents=True)
        raw.write(folder / "raw")
        old = sides.of_commit(chosen.commit, folder / "old", commands)
        new = sides.of_present(folder / "new", commands)
        with projects.serving(commands):
            for side in (old, new):
                started = time.monotonic()
                shutil.copytree(folder / "raw", side.folder, dirs_exist_ok=True)
                for configs in experiments:
                    sides.make(side, configs, cores=chosen.cores)
                timed(f"{side.folder.name} side made", started)
            accepted = touched(old, new, experiments, chosen.show) if chosen.touch else True
        comparison = compare.compare(old.folder / "results", new.folder / "results")
    print(compare.report(comparison, chosen.show))
    sys.exit(not (comparison.same and accepted))


if __name__ == "__main__":
    main()
