"""Removal of deltas: the space it frees, and the time to rebuild them later.

Deltas are the largest results: four bytes for each parameter of the model. Masks are selected from them, and models
with dense modules contain them. Once masks exist nothing else reads them, until a new setting needs another mask:
Snakemake then retrains the deltas that it needs, and recomputes everything that depends on them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deftx.core.errors import ConfigError
from deftx.modules.registry import MODULE_TYPES
from deftx.workflow import benchmarks
from deftx.workflow.artifacts import BENCHMARKS, Composed, Mask, Predictions

DELTAS = MODULE_TYPES["dense"].folder
DEPENDENTS = {
    MODULE_TYPES["dense"].stage: "full fine-tunings",
    f"{MODULE_TYPES['gradients'].stage}/task": "accumulated gradients of tasks",
    Mask.stage: "masks",
    MODULE_TYPES["sft"].stage: "sparse fine-tunings",
    MODULE_TYPES["pruned"].stage: "pruned deltas",
    Composed.stage: "compositions",
    Predictions.stage: "evaluations",
}
"""Results that depend on deltas, by the folder of their benchmarks; also gradients that start from a vector."""


@dataclass(frozen=True)
class Completed:
    """Completed jobs of one stage, and their time."""

    stage: str
    jobs: int
    seconds: float
    """Time of the jobs that Snakemake has measured."""


def deltas(results: Path) -> list[Path]:
    """Return the files of an experiment's deltas, in a fixed order, without records and checkpoints."""
    return sorted((results / DELTAS).rglob("*.safetensors"))


def list_dependents(results: Path) -> list[Completed]:
    """Return the completed jobs that Snakemake would rerun, with their times from the benchmark files."""
    completed = []
    for folder, stage in DEPENDENTS.items():
        runs = [benchmarks.last_run(path) or {} for path in (results / BENCHMARKS / folder).rglob("*.jsonl")]
        if runs:
            completed.append(Completed(stage, len(runs), sum(run.get("s", 0.0) for run in runs)))
    return completed


def warning(results: Path, files: list[Path]) -> str:
    """Return the space and the time that removing the deltas frees and costs, as text for a terminal."""
    return "\n".join(_lines(results, files))


def _lines(results: Path, files: list[Path]) -> Iterator[str]:
    size = sum(path.stat().st_size for path in files)
    yield f"{results}/{DELTAS}: {len(files)} deltas, {size / 1e6:,.1f} MB"
    yield "No complete result needs them. But a new setting (a selection, a method) retrains the deltas that it needs,"
    yield "and rebuilds what depends on them. At most that is all of these, which took, one job at a time:"
    for stage in list_dependents(results):
        yield f"{stage.seconds / 3600:>10,.2f} h  {stage.jobs:,} {stage.stage}"
    yield "Models with dense modules can no longer be exported. Records, masks, vectors and scores stay."


def remove(files: list[Path]) -> None:
    """Remove deltas.

    Raises:
        ConfigError: Snakemake is running in this folder.
    """
    if any(Path(".snakemake/locks").glob("*")):
        raise ConfigError(
            "Snakemake is running in this folder and may need the deltas. Wait for it, "
            "or if it was killed, run `snakemake --unlock`"
        )
    for path in files:
        path.unlink(missing_ok=True)
