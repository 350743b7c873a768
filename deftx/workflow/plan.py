"""Plan of a run before it starts: its jobs, downloads, disk space and time.

Snakemake lists the results that are missing or outdated; their costs follow from the artifact graph
(`deftx.workflow.cost_model`). No model is loaded.
"""

import csv
import io
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deftx.config.data import File
from deftx.core.errors import ConfigError
from deftx.data.fetch import in_mirror
from deftx.experiment.config import Experiment
from deftx.models.architectures import Shape, shape_of
from deftx.models.base_model import is_path
from deftx.modules.registry import MODULE_TYPES
from deftx.workflow.artifacts import STAGES, Artifact, Base, Mask, RawFile
from deftx.workflow.cost_model import CHOOSING, DENOISING, MEASURED, START_SECONDS, Machine, Work, estimate, hours
from deftx.workflow.graph import Artifacts


@dataclass
class Plan:
    """Plan of a run."""

    name: str
    jobs: dict[str, int]
    downloads: list[File] = field(default_factory=list)
    """Pinned files to download, which are not in the mirror."""
    mirrored: list[File] = field(default_factory=list)
    model: str | None = None
    """Base model to download by its name."""
    shape: Shape | None = None
    works: list[Work] = field(default_factory=list)


def pending(configs: Sequence[Path]) -> list[tuple[str, str]]:
    """Return the rule and file of each result that Snakemake would build or rebuild, in its order.

    Raises:
        ConfigError: not in the project's folder, or Snakemake refuses; with its message.
    """
    if not Path("Snakefile").is_file():
        raise ConfigError("there is no Snakefile here: run deftx plan in the project's folder")
    command = [sys.executable, "-m", "snakemake", "--summary", "--configfile", *map(str, configs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ConfigError("\n".join(["snakemake cannot plan this:", (done.stdout + done.stderr).strip()]))
    return parse_summary(done.stdout)


def parse_summary(output: str) -> list[tuple[str, str]]:
    """Return rule and file of pending results, from the table of `snakemake --summary`."""
    rows = csv.DictReader(io.StringIO(output), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [(row["rule"], row["output_file"]) for row in rows if row["plan"] == "update pending"]


def plan(experiment: Experiment, results: Iterable[tuple[str, str]], mirror: Path | None) -> Plan:
    """Return the plan that builds results of an experiment; files of earlier runs make it more exact.

    Args:
        results: rule and file of each (`pending`).
        mirror: folder that is searched first for pinned files.
    Raises:
        ConfigError: a file is not a result of the experiment.
    """
    graph = Artifacts(experiment)
    jobs: dict[tuple[str, str], Artifact] = {}
    for rule, file in results:
        artifact = graph.parse(file)
        jobs.setdefault((rule, artifact.place), artifact)
    ordered = sorted(jobs, key=lambda job: list(STAGES).index(job[1].partition("/")[0]))
    counts = Counter([*(rule for rule, _ in ordered), *(["all"] if jobs else [])])
    shape = shape_of(experiment.base, experiment.testbed, Path(graph.at(Base().path)))
    planned = Plan(experiment.name, {**counts, "total": sum(counts.values())}, model=_named_model(graph), shape=shape)
    for artifact in jobs.values():
        if isinstance(artifact, RawFile):
            file_ = graph.pinned[artifact.pin]
            (planned.mirrored if mirror and in_mirror(file_, mirror) else planned.downloads).append(file_)
        if shape:
            planned.works.append(estimate(graph, artifact, shape))
    return planned


def _named_model(graph: Artifacts) -> str | None:
    """Return the base model, if it has to be downloaded from the hub."""
    model = graph.experiment.base.model
    local = os.environ.get("DEFTX_BASE") or (model and (is_path(model) or Path(model).is_dir()))
    return None if local or Path(graph.at(Base().path)).is_file() else model


def disk(planned: Plan, at_once: int = 2) -> dict[str, float]:
    """Return the bytes of the run's results, by kind, and of the checkpoints of its largest trainings.

    Args:
        at_once: trainings that run at once; of a real model two, or one on each GPU (`rules/resources.smk`).
    """
    results: defaultdict[str, float] = defaultdict(float)
    for work in planned.works:
        results[work.stage] += work.result

    def of(name: str) -> float:
        return results[MODULE_TYPES[name].title]

    base = 4.0 * planned.shape.total if planned.shape and planned.model else 0.0
    raw = float(sum(file.size or 0 for file in [*planned.downloads, *planned.mirrored]))
    return {
        "base model": base,
        # Fetched files of the hub lie in its cache, too; clean text and its tokens take about as much again.
        "raw files, clean text": 2 * raw + sum(file.size or 0 for file in planned.downloads if file.hub),
        "deltas": of("dense") + of("gradients"),
        "masks": results[Mask.stage],
        "sparse vectors": of("sft") + of("pruned"),
        "adapters": of("adapter"),
        "LoRA": of("lora"),
        f"checkpoints of {at_once} training{'s' * (at_once > 1)}": sum(
            sorted((work.checkpoint for work in planned.works), reverse=True)[:at_once]
        ),
    }


def render(planned: Plan, machine: Machine, at_once: int = 2) -> str:
    """Return a plan as text for a terminal; `at_once` trainings run at the same time."""
    lines = [f"# {planned.name}: {planned.jobs.get('total', 0):,} jobs to run", ""]
    lines += [f"{count:>7,}  {rule}" for rule, count in planned.jobs.items() if rule != "total"]
    lines += ["", f"## Downloads: {_sum(planned.downloads) if planned.downloads else 'none'}"]
    if planned.mirrored:
        lines.append(f"Also, in the mirror: {_sum(planned.mirrored)}")
    places = Counter(_place(file) for file in planned.downloads)
    lines += [f"  {place}: {_sum(f for f in planned.downloads if _place(f) == place)}" for place in sorted(places)]
    if planned.model:
        size = _size(4.0 * planned.shape.total) if planned.shape else "size not known"
        lines.append(f"  {planned.model}: {size} of float32 weights, by its shapes")
    if planned.shape is None:
        return "\n".join([*lines, "", _unknown(planned)])
    parts = disk(planned, at_once)
    lines += ["", f"## Disk at the peak: {_size(sum(parts.values()))}"]
    lines += [f"{_size(size):>9}  {what}" for what, size in parts.items() if size]
    unknown = sum(file.size is None for file in [*planned.downloads, *planned.mirrored])
    lines += [f"Not counted: {unknown} raw file{'s' * (unknown != 1)} whose pin states no size"] if unknown else []
    low, high = hours(planned.works, machine)
    lines += ["", f"## Hours on {machine.title}, one job at a time: {_between(low, high)}", machine.origin]
    lines.append(
        f"On every machine {START_SECONDS:g} s to start a job with a model, and {CHOOSING:g} to {DENOISING:g} s more "
        f"for a mask of XLM-R base: {MEASURED}"
    )
    for stage in dict.fromkeys(work.stage for work in planned.works):
        works = [work for work in planned.works if work.stage == stage]
        spent = hours(works, machine)
        if spent[1] >= 0.005:
            tokens = tuple(sum(work.tokens[n] for work in works) / 1e6 for n in (0, 1))
            seen = f", {_between(*tokens)} million tokens" if tokens[1] else ""
            lines.append(f"{_between(*spent):>15}  {stage}: {len(works)} jobs{seen}")
    if low < high:
        lines.append("A range is that between fewest and most steps, where the amount of text is not known yet")
    return "\n".join(lines)


def _unknown(planned: Plan) -> str:
    return (
        f"## Disk and hours\nThe shapes of {planned.model or 'the base model'} are not known before it is described: "
        "snakemake results/{name}/base.json, then rerun deftx plan".replace("{name}", planned.name)
    )


def _place(file: File) -> str:
    if file.hub:
        return f"{file.hub} (hub)"
    return f"{file.repository} (GitHub)" if file.repository else str(file.url)


def _sum(files: Iterable[File]) -> str:
    """Return the number of files and their size; files whose pin states no size are counted separately."""
    counted = list(files)
    unknown = sum(file.size is None for file in counted)
    size = _size(sum(file.size or 0 for file in counted))
    parts = [f"{len(counted)} file{'s' * (len(counted) != 1)}"]
    parts += [size] if unknown < len(counted) else []
    parts += (
        [f"and {unknown} whose pin states no size" if unknown < len(counted) else "size not stated"] if unknown else []
    )
    return ", ".join(parts)


def _size(count: float) -> str:
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= power:
            return f"{count / power:.{1 if count < 100 * power else 0}f} {unit}"
    return f"{count:.0f} B"


def _between(low: float, high: float) -> str:
    def number(value: float) -> str:
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"

    return number(low) if number(low) == number(high) else f"{number(low)} to {number(high)}"
