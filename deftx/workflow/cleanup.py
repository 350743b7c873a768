"""Removing deltas: what that frees, and what it costs later.

Deltas are the largest results: four bytes for each entry of the model. Masks are chosen from them, and models with
dense modules hold them. Once masks are there nothing else reads them, until a new setting asks for another mask:
Snakemake then trains those again that it needs, and makes anew all that came of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deftx.core.errors import ConfigError
from deftx.modules.registry import MODULE_TYPES
from deftx.workflow import benchmarks
from deftx.workflow.artifacts import BENCHMARKS, Composed, Mask, Predictions

DELTAS = MODULE_TYPES["dense"].folder
MADE = {
    MODULE_TYPES["dense"].stage: "full fine-tunings",
    f"{MODULE_TYPES['gradients'].stage}/task": "accumulated gradients of tasks",
    Mask.stage: "masks",
    MODULE_TYPES["sft"].stage: "sparse fine-tunings",
    MODULE_TYPES["pruned"].stage: "pruned deltas",
    Composed.stage: "compositions",
    Predictions.stage: "evaluations",
}
"""What comes of deltas, by the folder of its benchmarks; gradients of a task, where it starts from a vector."""


@dataclass(frozen=True)
class Made:
    """Jobs of one stage that have run, and what they took."""

    stage: str
    jobs: int
    seconds: float
    """Time of those that Snakemake has measured."""


def deltas(results: Path) -> list[Path]:
    """Files of the deltas of an experiment, in a fixed order; their records and checkpoints are not among them."""
    return sorted((results / DELTAS).rglob("*.safetensors"))


def made(results: Path) -> list[Made]:
    """Jobs that Snakemake would do again, as far as they have been done, with their times from the benchmark files."""
    found = []
    for folder, stage in MADE.items():
        runs = [benchmarks.last_run(path) or {} for path in (results / BENCHMARKS / folder).rglob("*.jsonl")]
        if runs:
            found.append(Made(stage, len(runs), sum(run.get("s", 0.0) for run in runs)))
    return found


def warning(results: Path, files: list[Path]) -> str:
    """What removing the deltas frees and costs, as text for a terminal."""
    return "\n".join(_lines(results, files))


def _lines(results: Path, files: list[Path]) -> Iterator[str]:
    size = sum(path.stat().st_size for path in files)
    yield f"{results}/{DELTAS}: {len(files)} deltas, {size / 1e6:,.1f} MB"
    yield "Nothing that is complete needs them. But the next new setting (a selection, a method) trains again those"
    yield "that it needs, and makes anew all that came of them: at most what is there, which took, one job at a time:"
    for one in made(results):
        yield f"{one.seconds / 3600:>10,.2f} h  {one.jobs:,} {one.stage}"
    yield "Models with dense modules can no longer be exported. Records, masks, vectors and scores stay."


def remove(files: list[Path]) -> None:
    """Remove deltas.

    Raises:
        ConfigError: Snakemake is at work in this folder.
    """
    if any(Path(".snakemake/locks").glob("*")):
        raise ConfigError(
            "Snakemake is at work in this folder, and may need the deltas: wait for it, "
            "or if it was killed run `snakemake --unlock` first"
        )
    for path in files:
        path.unlink(missing_ok=True)
