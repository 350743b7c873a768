"""What a run will do, before it does anything: its jobs, what they fetch, and what they leave on the disk.

The jobs are those of Snakemake's own dry run; what each of them reads, writes and trains stands in its command, and
`deftx.workflow.cost_model` says what that costs. No model is loaded (`deftx.models.architectures`).
"""

import os
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deftx.config.data import File
from deftx.core.errors import ConfigError
from deftx.data.fetch import in_mirror
from deftx.experiment.config import Experiment
from deftx.models.architectures import Shape, shape_of
from deftx.models.base_model import is_path
from deftx.workflow.cost_model import Work, budgets_of, estimate, option

COMMAND = "Shell command: deftx "


@dataclass
class Plan:
    """What a run will do."""

    name: str
    jobs: dict[str, int]
    downloads: list[File] = field(default_factory=list)
    """Pinned files that are still to be fetched and that no mirror holds."""
    mirrored: list[File] = field(default_factory=list)
    model: str | None = None
    """Base model that is loaded by its name."""
    shape: Shape | None = None
    works: list[Work] = field(default_factory=list)


def dry_run(configs: Sequence[Path]) -> str:
    """The output of Snakemake's dry run, with every command.

    Raises:
        ConfigError: not in the project's folder, or Snakemake refuses; with its message.
    """
    if not Path("Snakefile").is_file():
        raise ConfigError("there is no Snakefile here: run deftx plan in the project's folder")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", "--configfile", *map(str, configs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ConfigError("\n".join(["snakemake cannot plan this:", (done.stdout + done.stderr).strip()]))
    return done.stdout


def plan(experiment: Experiment, output: str, mirror: Path | None) -> Plan:
    """What the dry run `output` of an experiment comes to; files a run has left make it more exact."""
    commands = [shlex.split(line.removeprefix(COMMAND)) for line in output.splitlines() if line.startswith(COMMAND)]
    shape = shape_of(experiment.base, experiment.testbed, Path(experiment.folder) / "base.json")
    made = Plan(experiment.name, job_counts(output), model=_named_model(experiment), shape=shape)
    for command in commands:
        if command[0] == "fetch":
            file = File.model_validate_json(option(command, "--file") or "")
            (made.mirrored if mirror and in_mirror(file, mirror) else made.downloads).append(file)
    if shape:
        budgets = budgets_of(commands, shape)
        made.works = [estimate(command, experiment, shape, budgets) for command in commands]
    return made


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


def _named_model(experiment: Experiment) -> str | None:
    """The base model, if it has to come from the hub."""
    model = experiment.base.model
    local = os.environ.get("DEFTX_BASE") or (model and (is_path(model) or Path(model).is_dir()))
    return None if local or (Path(experiment.folder) / "base.json").is_file() else model


def disk(made: Plan, at_once: int = 2) -> dict[str, float]:
    """Bytes that the run leaves, by what they are, and what its largest trainings need while they run.

    Args:
        at_once: trainings that run at once; of a real model two, or one on each GPU (`rules/resources.smk`).
    """
    results: defaultdict[str, float] = defaultdict(float)
    for one in made.works:
        results[one.stage] += one.result
    base = 4.0 * made.shape.total if made.shape and made.model else 0.0
    raw = float(sum(file.size or 0 for file in [*made.downloads, *made.mirrored]))
    return {
        "base model": base,
        # Fetched files of the hub lie in its cache, too; clean text and its tokens take about as much again.
        "raw files, clean text": 2 * raw + sum(file.size or 0 for file in made.downloads if file.hub),
        "deltas": results["full fine-tuning"] + results["gradients"],
        "masks": results["mask"],
        "sparse vectors": results["sparse fine-tuning"] + results["pruned deltas"],
        "adapters": results["adapters"],
        "LoRA": results["LoRA"],
        f"checkpoints of {at_once} training{'s' * (at_once > 1)}": sum(
            sorted((one.checkpoint for one in made.works), reverse=True)[:at_once]
        ),
    }
