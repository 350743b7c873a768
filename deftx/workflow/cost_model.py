"""What a job costs, from its command: operations and bytes that any machine has to get through, and seconds."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deftx.config.modules import Lora
from deftx.config.training import Phase
from deftx.experiment.config import Experiment
from deftx.models.architectures import SHAPES, Shape, is_target
from deftx.workflow import workload

HELD_OUT_BLOCKS = 256
"""A look at held-out text takes so many blocks (`objectives.VALID_BLOCKS`)."""
MEASURED = "measured on two cores of an AMD EPYC, 2026-11 (docs/reference/performance.md)"
"""Where and when the seconds below were."""
START_SECONDS = 8.0
"""Start of a process with torch and a model of 40 million parameters, measured (docs/reference/performance.md)."""
COMPOSING_SECONDS = 0.6
"""Reading and comparing two vectors of such a model, without torch, measured (docs/reference/performance.md);
dense modules take longer."""
CHOOSING, DENOISING = 1.65, 12.6
"""Seconds to choose, and to denoise, XLM-R base's entries on two cores (docs/reference/performance.md)."""
ENTRY_BYTES, POSITION_BYTES = 5.01, 1.01
"""Bytes of an entry of a stored vector with its position, and of a position alone (docs/reference/performance.md)."""
TEXT_LENGTH = 0.5
"""Tokens of a task's text, over the most that are let in: an assumption."""
FROZEN = {"adapter": "adapters", "lora": "LoRA"}
"""Stages that train modules beside an encoder that stays, by their verb."""


@dataclass
class Work:
    """What a job costs."""

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
    """Processor time that is taken to be the same on every machine."""
    result: float = 0.0
    """Bytes it leaves."""
    checkpoint: float = 0.0
    """Bytes on disk beside it while it runs."""


def estimate(command: Sequence[str], experiment: Experiment, shape: Shape, budgets: dict[str | None, float]) -> Work:
    """What one command costs.

    Args:
        budgets: entries of the masks that are still to be made, by file.
    """
    verb, out = command[0], option(command, "--out")
    if verb in ("train", *FROZEN):
        return _training(command, experiment, shape, budgets)
    if verb == "mask":
        share = shape.total / SHAPES["FacebookAI/xlm-roberta-base"].total
        denoised = json.loads(option(command, "--selection") or "")["rank"] != "none"
        seconds = CHOOSING * share + denoised * DENOISING * share * shape.hidden / 768
        return Work("mask", seconds=seconds, result=POSITION_BYTES * budgets[out])
    if verb == "random-mask":
        return Work("mask", seconds=START_SECONDS, result=POSITION_BYTES * budgets[out])
    if verb == "prune":
        entries = _known_budget(str(option(command, "--mask")), budgets)
        return Work("pruned deltas", seconds=START_SECONDS, result=ENTRY_BYTES * entries)
    if verb == "compose":
        return Work(verb, seconds=COMPOSING_SECONDS)
    if verb == "evaluate":
        return _evaluation(command, experiment, shape)
    return Work(verb)


def _evaluation(command: Sequence[str], experiment: Experiment, shape: Shape) -> Work:
    """One forward pass over a test set; where its size is not known, the start of the process alone."""
    test = Path(str(option(command, "--dataset")))
    length = int(option(command, "--max-length") or 0) * TEXT_LENGTH
    rows = workload.rows(test, experiment, test.stem) or 0
    return Work("evaluate", forward=rows * length * _operations_a_token(shape, length), seconds=START_SECONDS)


def option(command: Sequence[str], name: str) -> str | None:
    """The value of an option of a command."""
    return command[command.index(name) + 1] if name in command else None


def budgets_of(commands: Iterable[Sequence[str]], shape: Shape) -> dict[str | None, float]:
    """Entries of the masks that commands make, by file."""
    return {option(c, "--out"): _entries(str(option(c, "--k")), shape) for c in commands if "mask" in c[0]}


def _entries(k: str, shape: Shape) -> float:
    return float(k) * shape.total if "." in k else float(k)


def _training(command: Sequence[str], experiment: Experiment, shape: Shape, budgets: dict[str | None, float]) -> Work:
    settings = json.loads(option(command, "--settings") or "")
    phase = Phase.model_validate_json(option(command, "--phase") or "")
    train, mask = Path(str(option(command, "--train"))), option(command, "--mask")
    language = "--labels" not in command
    length = settings["block"] if language else settings["max_length"] * TEXT_LENGTH
    examples = (
        workload.blocks(train, experiment, settings["block"]) if language else workload.rows(train, experiment, "train")
    )
    steps = steps_between(phase, examples)
    forward = _operations_a_token(shape, length)
    output = 2 * settings["mask_probability"] * shape.hidden * shape.vocabulary if language else 0.0
    entries = trained(command, shape, budgets)
    # Adapters and LoRA pass gradients through weights that have none of their own.
    beside = command[0] in FROZEN
    frozen = beside or settings.get("output_embedding") == "frozen"
    gradient = forward * (1 if beside else 2) + output * (1 if frozen else 2)
    if beside:  # what is trained takes part in every token, too; what it stands on passes gradients through
        passed = _language_adapter(command, experiment, shape)
        forward, gradient = forward + 2 * (entries + passed), gradient + 4 * entries + 2 * passed
    held_out = HELD_OUT_BLOCKS if language else workload.rows(train.with_name("valid.csv"), experiment, "valid") or 0
    tokens = phase.batch_size * length
    ends = []
    for n in steps:
        looks = 1 + (math.ceil(n / phase.evaluate_every) if phase.evaluate_every else 1)
        ends.append(n * tokens * (forward + output + gradient) + looks * held_out * length * (forward + output))
    # Each step reads the weights twice and writes gradients; AdamW reads and writes values and two moments.
    traffic = 4 * (3 * shape.total + 7 * entries)
    kept = 4 if phase.keep == "best" else 3
    full = "gradients" if "--gradients" in command else "full fine-tuning"
    return Work(
        FROZEN.get(command[0]) or ("sparse fine-tuning" if mask else full),
        tokens=(steps[0] * tokens, steps[1] * tokens),
        operations=(ends[0], ends[1]),
        traffic=(steps[0] * traffic, steps[1] * traffic),
        steps=steps,
        seconds=START_SECONDS,
        result=ENTRY_BYTES * entries if mask else 4 * (entries if beside else shape.total),
        checkpoint=2 * 4 * kept * entries,
    )


def trained(command: Sequence[str], shape: Shape, budgets: dict[str | None, float]) -> float:
    """Entries that a training moves, heads aside."""
    if command[0] == "adapter":
        return _adapter(json.loads(option(command, "--shape") or ""), shape)
    if command[0] == "lora":
        factors = Lora.model_validate_json(option(command, "--shape") or "")
        widths = (sum(matrix) for module, matrix in shape.matrices.items() if is_target(module, factors.targets))
        return float(shape.layers * factors.rank * sum(widths))
    mask = option(command, "--mask")
    return float(shape.total) if mask is None else _known_budget(mask, budgets)


def _adapter(sizes: dict[str, Any], shape: Shape) -> float:
    """Entries of an adapter's weight matrices."""
    bottlenecks = 2 * shape.hidden**2 // sizes["reduction"] * (shape.layers - sizes.get("leave_out_last", False))
    reduction = sizes.get("invertible_reduction")
    return float(bottlenecks + (4 * (shape.hidden // 2) ** 2 // reduction if reduction else 0))


def _language_adapter(command: Sequence[str], experiment: Experiment, shape: Shape) -> float:
    """Entries of the adapter a task adapter is trained on, in as many layers as that has; LoRA has been merged."""
    recipe = experiment.recipe.adapters
    if command[0] != "adapter" or "--start" not in command or recipe is None:
        return 0.0
    left_out = json.loads(option(command, "--shape") or "").get("leave_out_last", False)
    return _adapter(recipe.language.model_dump() | {"leave_out_last": left_out}, shape)


def _known_budget(mask: str, budgets: dict[str | None, float]) -> float:
    """Entries of a mask; one that has been made says so by its size."""
    path = Path(mask)
    return budgets[mask] if mask in budgets else path.stat().st_size / POSITION_BYTES if path.is_file() else 0.0


def steps_between(phase: Phase, examples: int | None) -> tuple[int, int]:
    """Optimizer steps of a phase, at least and at most; equal where the number of examples is known."""
    most = phase.max_steps or math.inf
    if phase.epochs is not None and examples is not None:
        steps = math.ceil(phase.epochs * math.ceil(examples / phase.batch_size))
        exact = int(max(min(steps, most), phase.min_steps))
        return exact, exact
    if phase.epochs is None:
        return int(max(most, phase.min_steps)), int(max(most, phase.min_steps))
    return phase.min_steps, int(max(phase.min_steps, phase.max_steps or 0))


def _operations_a_token(shape: Shape, length: float) -> float:
    """Operations of the forward pass: two for each weight, and attention to `length` tokens."""
    return 2 * shape.body + 4 * shape.layers * shape.hidden * length
