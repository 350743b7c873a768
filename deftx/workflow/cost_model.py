"""Cost model: the workload of each job, and the speed of hardware.

Each speed states whether it was measured, and where, or computed.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deftx.config.modules import LanguageAdapter, Lora, TaskAdapter, TrainingSpec
from deftx.config.training import LanguageTraining, Phase
from deftx.core.integrity import read_json
from deftx.data.layouts import files_of
from deftx.experiment.methods import recipe_of
from deftx.masks.registry import MASK_SCORES
from deftx.models.architectures import SHAPES, Shape, is_target
from deftx.tasks.validation import VALID_BLOCKS
from deftx.workflow.artifacts import Artifact, Composed, Corpus, Dataset, Mask, Module, Predictions
from deftx.workflow.graph import Artifacts
from deftx.workflow.jobs import budget_of, spec_of

LETTERS_A_TOKEN = 3.0
"""Characters per token: an assumption, between those of unseen and of known languages."""
UNPACKED = 1.7
"""Text of a Parquet file in bytes, over its size: an assumption."""
ROWS = {
    "IndoNLP/indonlu": {"train": 11_000, "valid": 1_260},
    "IndoNLP/nusax": {"train": 500, "valid": 100, "test": 400},
    "abteen/americasnli": {"test": 750},
    "nyu-mll/multi_nli": {"train": 392_702, "valid": 9_815},
}
"""Rows of datasets as published, before any are dropped; for those not yet loaded."""
MEASURED = "measured on two cores of an AMD EPYC, 2026-11 (docs/reference/performance.md)"
"""Place and time of the measurements below."""
START_SECONDS = 8.0
"""Start of a process with torch and a model of 40 million parameters, measured (docs/reference/performance.md)."""
COMPOSING_SECONDS = 0.6
"""Reading and comparing two vectors of such a model, without torch, measured (docs/reference/performance.md);
dense modules take longer."""
CHOOSING, DENOISING = 1.65, 12.6
"""Seconds to select, and to denoise, XLM-R base's elements on two cores (docs/reference/performance.md)."""
ENTRY_BYTES, POSITION_BYTES = 5.01, 1.01
"""Bytes of an element of a stored vector with its position, and of a position (docs/reference/performance.md)."""
TEXT_LENGTH = 0.5
"""Tokens of a task's text, over the maximum length: an assumption."""


@dataclass
class Work:
    """Workload of a job."""

    stage: str
    tokens: tuple[float, float] = (0.0, 0.0)
    """Tokens of all training steps, at least and at most."""
    operations: tuple[float, float] = (0.0, 0.0)
    traffic: tuple[float, float] = (0.0, 0.0)
    """Bytes of weights, gradients and moments that all steps read and write."""
    steps: tuple[int, int] = (0, 0)
    forward: float = 0.0
    """Operations of forward passes in float32: those of an evaluation."""
    seconds: float = 0.0
    """Processor time that is assumed to be the same on every machine."""
    result: float = 0.0
    """Bytes of its result."""
    checkpoint: float = 0.0
    """Bytes of its checkpoint while it runs."""


def estimate(graph: Artifacts, artifact: Artifact, shape: Shape) -> Work:
    """Return the workload of an artifact's job."""
    match artifact:
        case Module(type="pruned"):
            entries = _entries(budget_of(graph, graph.mask_of(artifact)), shape)
            return Work(artifact.entry.title, seconds=START_SECONDS, result=ENTRY_BYTES * entries)
        case Module():
            return _training(graph, artifact, shape)
        case Mask():
            return _choice(graph, artifact, shape)
        case Composed():
            return Work(artifact.stage, seconds=COMPOSING_SECONDS)
        case Predictions():
            return _evaluation(graph, artifact, shape)
    return Work(artifact.stage)


def _choice(graph: Artifacts, mask: Mask, shape: Shape) -> Work:
    """Return the workload of selecting a mask; a random one costs only the start of a process."""
    selection = graph.experiment.selections[mask.selection]
    result = POSITION_BYTES * _entries(budget_of(graph, mask), shape)
    if MASK_SCORES[selection.select].drawn:
        return Work(mask.stage, seconds=START_SECONDS, result=result)
    share = shape.total / SHAPES["FacebookAI/xlm-roberta-base"].total
    denoising = DENOISING * share * shape.hidden / 768 if selection.rank != "none" else 0.0
    return Work(mask.stage, seconds=CHOOSING * share + denoising, result=result)


def _evaluation(graph: Artifacts, cell: Predictions, shape: Shape) -> Work:
    """Return the workload of one forward pass over a test set; if its size is unknown, only of the start."""
    length = graph.experiment.task_recipe(cell.task).max_length * TEXT_LENGTH
    task = graph.experiment.tasks[cell.task]
    count = rows(graph, Dataset(graph.experiment.dataset_of(task.test), cell.lang, task.split)) or 0
    return Work(cell.stage, forward=count * length * _operations_a_token(shape, length), seconds=START_SECONDS)


def _entries(budget: float, shape: Shape) -> float:
    return budget * shape.total if isinstance(budget, float) else float(budget)


def _training(graph: Artifacts, module: Module, shape: Shape) -> Work:
    entry, spec = module.entry, TrainingSpec.model_validate(spec_of(graph, module))
    settings, phase = spec.language or spec.task, spec.phase
    assert settings is not None
    if isinstance(settings, LanguageTraining):
        length: float = settings.block
        examples = blocks(graph, Corpus(module.lang), settings.block)
        held_out = VALID_BLOCKS
        output = 2 * settings.mask_probability * shape.hidden * shape.vocabulary
        frozen_output = settings.output_embedding == "frozen"
    else:
        task = graph.experiment.tasks[module.task]
        length = settings.max_length * TEXT_LENGTH
        examples = rows(graph, Dataset(graph.experiment.dataset_of(task.train), task.source, "train"))
        held_out = rows(graph, Dataset(graph.experiment.dataset_of(task.train), task.source, "valid")) or 0
        output, frozen_output = 0.0, False
    steps = steps_between(phase, examples)
    forward = _operations_a_token(shape, length)
    entries = trained(graph, module, shape)
    # Adapters and LoRA pass gradients through weights that have none of their own.
    beside = bool(entry.block)
    gradient = forward * (1 if beside else 2) + output * (1 if beside or frozen_output else 2)
    if beside:  # what is trained takes part in every token, too; what it stands on passes gradients through
        passed = _passed(graph, module, shape)
        forward, gradient = forward + 2 * (entries + passed), gradient + 4 * entries + 2 * passed
    tokens = phase.batch_size * length
    ends = []
    for n in steps:
        evaluations = 1 + (math.ceil(n / phase.evaluate_every) if phase.evaluate_every else 1)
        ends.append(n * tokens * (forward + output + gradient) + evaluations * held_out * length * (forward + output))
    # Each step reads the weights twice and writes gradients; AdamW reads and writes values and two moments.
    traffic = 4 * (3 * shape.total + 7 * entries)
    copies = 4 if phase.keep == "best" else 3
    dense = 4 * (entries if beside else shape.total)
    return Work(
        entry.title,
        tokens=(steps[0] * tokens, steps[1] * tokens),
        operations=(ends[0], ends[1]),
        traffic=(steps[0] * traffic, steps[1] * traffic),
        steps=steps,
        seconds=START_SECONDS,
        result=ENTRY_BYTES * entries if entry.masked else dense,
        checkpoint=2 * 4 * copies * entries,
    )


def trained(graph: Artifacts, module: Module, shape: Shape) -> float:
    """Return the number of trainable parameters of a training, without heads."""
    if module.entry.masked:
        return _entries(budget_of(graph, graph.mask_of(module)), shape)
    if not module.entry.block:
        return float(shape.total)
    return module_entries(recipe_of(graph.experiment, module.entry, module.task or None), shape)


def module_entries(sizes: Any, shape: Shape) -> float:
    """Return the number of elements of a module with its own sizes."""
    if isinstance(sizes, Lora):
        widths = (sum(matrix) for module, matrix in shape.matrices.items() if is_target(module, sizes.targets))
        return float(shape.layers * sizes.rank * sum(widths))
    return _adapter(sizes, shape, getattr(sizes, "leave_out_last", False))


def _adapter(sizes: LanguageAdapter | TaskAdapter, shape: Shape, leave_out_last: bool) -> float:
    """Return the number of elements of an adapter's weight matrices."""
    bottlenecks = 2 * shape.hidden**2 // sizes.reduction * (shape.layers - leave_out_last)
    reduction = sizes.invertible_reduction if isinstance(sizes, LanguageAdapter) else None
    return float(bottlenecks + (4 * (shape.hidden // 2) ** 2 // reduction if reduction else 0))


def _passed(graph: Artifacts, module: Module, shape: Shape) -> float:
    """Entries of the adapter a task adapter is trained on, in as many layers as that has; LoRA has been merged."""
    start = graph.start_module(module.start, module.seed) if module.role == "task" else None
    if start is None or start.entry.merges:
        return 0.0
    below, own = (recipe_of(graph.experiment, start.entry, task) for task in (None, module.task))
    return _adapter(below, shape, own.leave_out_last)


def steps_between(phase: Phase, examples: int | None) -> tuple[int, int]:
    """Return the minimum and maximum of a phase's optimizer steps; equal if the number of examples is known."""
    most = phase.max_steps or math.inf
    if phase.epochs is not None and examples is not None:
        steps = math.ceil(phase.epochs * math.ceil(examples / phase.batch_size))
        exact = int(max(min(steps, most), phase.min_steps))
        return exact, exact
    if phase.epochs is None:
        return int(max(most, phase.min_steps)), int(max(most, phase.min_steps))
    return phase.min_steps, int(max(phase.min_steps, phase.max_steps or 0))


def _operations_a_token(shape: Shape, length: float) -> float:
    """Return the operations of the forward pass: two for each weight, and attention to `length` tokens."""
    return 2 * shape.body + 4 * shape.layers * shape.hidden * length


# Workload: how much there is to train and to evaluate on


def blocks(graph: Artifacts, corpus: Corpus, block: int) -> int | None:
    """Return the blocks of a language's training text: of the clean text if it exists, otherwise of its raw files."""
    statistics = Path(graph.at(corpus.record))
    raw = graph.experiment.languages[corpus.lang].corpus
    if statistics.is_file():
        characters = float(read_json(statistics)["characters"])
    elif raw and all(file.size is not None for file in raw.files):
        characters = sum((file.size or 0) * (UNPACKED if file.path.endswith(".parquet") else 1) for file in raw.files)
    else:
        return None
    return math.ceil(0.95 * characters / LETTERS_A_TOKEN / block)


def rows(graph: Artifacts, split: Dataset) -> int | None:
    """Return the rows of a split: counted if it exists, otherwise as published."""
    statistics = Path(graph.at(split.record))
    if statistics.is_file():
        return int(read_json(statistics)["rows"])
    experiment, dataset = graph.experiment, graph.experiment.datasets[split.dataset]
    if dataset.layout == "testbed" and experiment.testbed:
        return int(getattr(experiment.testbed, split.split))
    files = files_of(dataset, split.lang).get(split.split, ())
    published = [ROWS.get(file.repository or file.hub or "", {}).get(split.split) for file in files]
    known = sum(n for n in published if n is not None) if all(n is not None for n in published) else None
    most = dataset.train_rows_per_label if split.split == "train" else None
    labels = next(
        (task.labels for task in experiment.tasks.values() if experiment.dataset_of(task.train) == split.dataset), ()
    )
    return most * len(labels) if most and known is None else known


# Machines


@dataclass(frozen=True)
class Machine:
    """Speed of a machine."""

    title: str
    operations: float
    """Sustained floating-point operations a second of trainings."""
    forward: float
    """The same of evaluations, which run in float32."""
    bandwidth: float
    """Bytes a second between processor and memory; without a limit where `operations` was measured on whole runs."""
    launch: float
    """Seconds a step takes however small it is."""
    origin: str


def _gpu(title: str, half: float | None, single: float, bandwidth: float) -> Machine:
    """A third of a data sheet's dense peaks (TFLOP/s), half of its bandwidth (GB/s), and 20 ms for each step.

    Args:
        half: in bf16; None where the machine has none, and trains in float32.
        single: in float32.
    """
    kind = f"of {half:g} TFLOP/s (bf16)" if half else f"of {single:g} TFLOP/s (fp32; it has no bf16)"
    origin = (
        f"computed from operations: a third {kind}, half of {bandwidth:g} GB/s, 20 ms a step; evaluation a third of "
        f"{single:g} TFLOP/s (fp32)"
    )
    return Machine(title, (half or single) * 1e12 / 3, single * 1e12 / 3, bandwidth * 1e9 / 2, 0.02, origin)


MACHINES = {
    "h200": _gpu("NVIDIA H200", 989, 67, 4800),
    "h100": _gpu("NVIDIA H100 SXM", 989, 67, 3350),
    "a100": _gpu("NVIDIA A100", 312, 19.5, 2039),
    "l40s": _gpu("NVIDIA L40S", 362, 91.6, 864),
    "l4": _gpu("NVIDIA L4", 121, 30.3, 300),
    "v100": _gpu("NVIDIA V100", None, 15.7, 900),
    "t4": _gpu("NVIDIA T4", None, 8.1, 300),
    "cpu": Machine(
        "two cores of an AMD EPYC",
        3.6e11,
        7.0e10,
        math.inf,
        0.0,
        "measured: operations of all trainings of docs/results/nusax-cpu.md, seeds 1 and 2, over processor time, "
        "2026-11; evaluation: AmericasNLI's test set on one core, 2026-11 (docs/reference/performance.md)",
    ),
}


def hours(works: Iterable[Work], machine: Machine) -> tuple[float, float]:
    """Return the minimum and maximum of hours of the jobs, one at a time."""
    ends = [0.0, 0.0]
    for work in works:
        for n in (0, 1):
            busy = work.operations[n] / machine.operations + work.forward / machine.forward
            busy += work.traffic[n] / machine.bandwidth
            ends[n] += (busy + work.steps[n] * machine.launch + work.seconds) / 3600
    return ends[0], ends[1]
