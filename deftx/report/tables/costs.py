"""Costs: what each method trains, stores and takes for one language, compared with its score.

Parameters and bytes are those of the modules of the model: what a user who has the base model would have to download.
Memory and time include every training and mask they needed, and the initialization of the task's training. What several
methods share is counted for each of them. Memory is main memory; the memory of GPUs is not measured. Times and memory
come from Snakemake's benchmark files and depend on the machine, so no other table contains them. If a training was
resumed, only its last part is timed.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from deftx.core.files import write_text
from deftx.core.integrity import read_json
from deftx.evaluation.names import MEAN
from deftx.report.tables.storage import read_table
from deftx.workflow import benchmarks
from deftx.workflow.artifacts import BENCHMARKS

MEASURES = ["parameters", "bytes", "peak_mb", "seconds", "cpu_seconds"]
KEYS = ["task", "method", "language"]


class Plan(BaseModel):
    """Modules to count. A module is named by its file below the results, without its ending."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: dict[str, str]
    """Titles by method."""
    languages: dict[str, str]
    """Names by language."""
    modules: dict[str, dict[str, dict[str, tuple[str, ...]]]]
    """Modules of the model by task, method and target language."""
    made: dict[str, tuple[str, ...]]
    """Modules and masks that each was made from."""
    stages: dict[str, str]
    """Folder of the benchmarks by the first part of a module's name, where they differ."""


def build(results: Path, plan: Plan, scores: Path, out: Path) -> None:
    """Write costs.csv (per task, method and target language, and their means, with scores) and costs.md (the means).

    `scores` is the table of scores (scores.csv), in percent. A missing benchmark or vector leaves a gap, also in sums.
    """
    rows: list[dict[str, Any]] = []
    for task, methods in plan.modules.items():
        for method, languages in methods.items():
            keys = {"task": task, "method": method, "title": plan.methods[method]}
            cells = [
                keys | {"language": lang, "name": plan.languages.get(lang, lang)} | sum_costs(results, modules, plan)
                for lang, modules in languages.items()
            ]
            means = {measure: float(np.mean([cell[measure] for cell in cells])) for measure in MEASURES}
            rows += [*cells, keys | {"language": MEAN, "name": "mean of targets"} | means]
    columns = [*KEYS, "score", "low", "high", "signature"]
    table = pd.DataFrame(rows).merge(read_table(scores)[columns], on=KEYS, how="left", validate="one_to_one")
    write_text(out / "costs.csv", table.to_csv(index=False, float_format="%.1f", lineterminator="\n"))
    write_text(out / "costs.md", markdown(table))


def sum_costs(results: Path, modules: Iterable[str], plan: Plan) -> dict[str, float]:
    """Return the costs of the model of one language: sums, and the largest memory of any job."""
    modules = list(modules)
    jobs = [_read_benchmark(results, job, plan.stages) for job in collect_needed(modules, plan.made)]
    stored = [(results / module).with_name(f"{Path(module).name}.safetensors") for module in modules]
    return {
        "parameters": float(sum(_count_parameters(results / f"{module}.json") for module in modules)),
        "bytes": float(sum(path.stat().st_size if path.is_file() else float("nan") for path in stored)),
        "peak_mb": float(np.max([job["max_rss"] for job in jobs])),
        "seconds": sum(job["s"] for job in jobs),
        "cpu_seconds": sum(job["cpu_time"] for job in jobs),
    }


def collect_needed(modules: Iterable[str], sources: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the modules and everything they were made from, at any depth, each once."""
    needed: dict[str, None] = {}
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in needed:
            needed[module] = None
            queue += sources.get(module, ())
    return list(needed)


def _count_parameters(path: Path) -> float:
    """Return the trained parameters of a module, head included; NaN where nothing was trained."""
    return float(read_json(path)["trained_parameters"]) if path.is_file() else float("nan")


def _read_benchmark(results: Path, module: str, stages: Mapping[str, str]) -> dict[str, float]:
    """Return time (seconds) and memory (MB) of the job that made a module; NaN where Snakemake measured none."""
    family, _, rest = module.partition("/")
    path = results / BENCHMARKS / stages.get(family, family) / f"{rest}.jsonl"
    measured = benchmarks.last_run(path) or {}
    return {name: measured.get(name, float("nan")) for name in ("s", "cpu_time", "max_rss")}


def markdown(table: pd.DataFrame) -> str:
    """Return the means over target languages as a table."""
    lines = [
        "| task | method | mean of targets | parameters | stored (MB) | main memory (MB) | seconds | CPU seconds |",
        "|:--|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for _, row in table[table["language"] == MEAN].iterrows():
        cells = [
            f"{row['score']:.1f} [{row['low']:.1f}\N{EN DASH}{row['high']:.1f}]",
            f"{row['parameters']:,.0f}",
            f"{row['bytes'] / 1e6:.1f}",
            *(f"{row[measure]:,.0f}" for measure in ("peak_mb", "seconds", "cpu_seconds")),
        ]
        lines.append(f"| {row['task']} | {row['title']} | {' | '.join(cells).replace('nan', '')} |")
    note = (
        "Scores in percent with their 95 % bootstrap interval. Costs are those of the model of one language, mean over "
        "the targets, first seed. Parameters and storage are those of its task module (with head) and language module; "
        "main memory is that of the largest job (what a GPU holds is not measured), time that of all trainings and "
        "masks they needed, as if for this language alone."
    )
    return "\n".join([*lines, "", note, ""])
