"""What a run will do, before it does anything: jobs by stage, downloads, disk, hours.

The jobs are those of Snakemake's own dry run; what each of them reads, writes and trains stands in its command. No
model is loaded: its shapes follow from base.json, from the config.json of a local copy, or from its name.

Hours are the operations of forward and backward pass over the speed of a machine. `MACHINES` says of each speed whether
it was measured, and where, or computed from a data sheet.
"""

import json
import math
import os
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deftx.config import Experiment
from deftx.errors import ConfigError
from deftx.fetching import in_mirror
from deftx.settings import File, Lora, Phase, Pretraining

COMMAND = "Shell command: deftx "
LETTERS_A_TOKEN = 3.0
"""Characters of text a piece stands for: an assumption, in the middle of what unseen and known languages need."""
UNPACKED = 1.7
"""Text of a Parquet file in bytes, over its size: an assumption."""
HELD_OUT_BLOCKS = 256
"""A look at held-out text takes so many blocks (`objectives.VALID_BLOCKS`)."""
START_SECONDS = 6.0
"""Start of a process with torch and a model: 4.2 s of processor time for XLM-R's class, and reading weights."""
CHOOSING, DENOISING = 1.65, 12.6
"""Seconds to choose, and to denoise, XLM-R base's entries on two cores (docs/performance.md)."""
ENTRY_BYTES, POSITION_BYTES = 5.01, 1.01
"""Bytes of an entry of a stored vector with its position, and of a position alone (docs/performance.md)."""
ROWS = {
    "IndoNLP/indonlu": {"train": 11_000, "valid": 1_260},
    "nyu-mll/multi_nli": {"train": 392_702, "valid": 9_815},
}
"""Rows of datasets as published, before any are dropped; for those not yet loaded."""


ATTENTION = ("self.query", "self.key", "self.value", "output.dense")
FROZEN = {"adapter": "adapters", "lora": "LoRA"}
"""Stages that train modules beside an encoder that stays, by their verb."""


@dataclass(frozen=True)
class Shape:
    """The shapes of an encoder of the BERT family."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    positions: int = 512

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Shape of each weight matrix of a layer, by its module."""
        attention = {f"attention.{part}": (self.hidden, self.hidden) for part in ATTENTION}
        inner = {
            "intermediate.dense": (self.intermediate, self.hidden),
            "output.dense": (self.hidden, self.intermediate),
        }
        return attention | inner

    @property
    def body(self) -> int:
        """Parameters of the layers, each of which takes part in every token."""
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate + 9 * self.hidden + self.intermediate
        return self.layers * layer

    @property
    def total(self) -> int:
        """Parameters of the encoder."""
        return self.body + (self.vocabulary + self.positions + 3) * self.hidden


SHAPES = {
    "FacebookAI/xlm-roberta-base": Shape(12, 768, 3072, 250_002, 514),
    "FacebookAI/xlm-roberta-large": Shape(24, 1024, 4096, 250_002, 514),
}


@dataclass(frozen=True)
class Machine:
    """How fast a machine trains."""

    title: str
    operations: float
    """Sustained floating-point operations a second."""
    bandwidth: float
    """Bytes a second between processor and memory; without a limit where `operations` was measured on whole runs."""
    launch: float
    """Seconds a step takes however small it is."""
    origin: str


def _gpu(title: str, peak: float, bandwidth: float, kind: str = "bf16") -> Machine:
    """A third of a data sheet's dense peak (TFLOP/s), half of its bandwidth (GB/s), and 20 ms for each step."""
    origin = f"computed from operations: a third of {peak:g} TFLOP/s ({kind}), half of {bandwidth:g} GB/s, 20 ms a step"
    return Machine(title, peak * 1e12 / 3, bandwidth * 1e9 / 2, 0.02, origin)


MACHINES = {
    "h200": _gpu("NVIDIA H200", 989, 4800),
    "h100": _gpu("NVIDIA H100 SXM", 989, 3350),
    "a100": _gpu("NVIDIA A100", 312, 2039),
    "l40s": _gpu("NVIDIA L40S", 362, 864),
    "l4": _gpu("NVIDIA L4", 121, 300),
    "v100": _gpu("NVIDIA V100", 15.7, 900, "fp32; it has no bf16"),
    "t4": _gpu("NVIDIA T4", 8.1, 300, "fp32; it has no bf16"),
    "cpu": Machine(
        "two cores of an AMD EPYC",
        3.2e11,
        math.inf,
        0.0,
        "measured: all trainings of docs/nusax-cpu.md over the run's 79 minutes of processor time, 2026-11",
    ),
}


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
    seconds: float = 0.0
    """What does not depend on the machine."""
    result: float = 0.0
    """Bytes it leaves."""
    checkpoint: float = 0.0
    """Bytes on disk beside it while it runs."""


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
    shape = shape_of(experiment)
    made = Plan(experiment.name, job_counts(output), model=_named_model(experiment), shape=shape)
    for command in commands:
        if command[0] == "fetch":
            file = File.model_validate_json(_option(command, "--file") or "")
            (made.mirrored if mirror and in_mirror(file, mirror) else made.downloads).append(file)
    if shape:
        budgets = {_option(c, "--out"): _entries(str(_option(c, "--k")), shape) for c in commands if "mask" in c[0]}
        made.works = [work(command, experiment, shape, budgets) for command in commands]
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


def shape_of(experiment: Experiment) -> Shape | None:
    """The base model's shapes, from what is known without loading it; None where nothing is."""
    described = Path(experiment.folder) / "base.json"
    if described.is_file():
        return _shape_of_parameters(json.loads(described.read_text())["shapes"])
    base = experiment.base
    if base.pretrain:
        return _pretrained(base.pretrain, experiment)
    local = Path(os.environ.get("DEFTX_BASE") or base.model or "") / "config.json"
    if local.is_file():
        config = json.loads(local.read_text())
        return Shape(
            config["num_hidden_layers"],
            config["hidden_size"],
            config["intermediate_size"],
            config["vocab_size"],
            config["max_position_embeddings"],
        )
    return SHAPES.get(base.model or "")


def _shape_of_parameters(shapes: dict[str, list[int]]) -> Shape | None:
    words = next((s for n, s in shapes.items() if n.endswith("word_embeddings.weight")), None)
    places = next((s for n, s in shapes.items() if n.endswith("position_embeddings.weight")), [0])
    inner = [s for n, s in shapes.items() if n.endswith("intermediate.dense.weight")]
    return Shape(len(inner), words[1], inner[0][0], words[0], places[0]) if words and inner else None


def _pretrained(settings: Pretraining, experiment: Experiment) -> Shape:
    from deftx import testbed

    assert experiment.testbed is not None
    pieces = len(testbed.inventory(experiment.testbed))
    return Shape(settings.layers, settings.hidden, settings.intermediate or 4 * settings.hidden, pieces, settings.block)


def _named_model(experiment: Experiment) -> str | None:
    """The base model, if it has to come from the hub."""
    model = experiment.base.model
    local = os.environ.get("DEFTX_BASE") or (model and Path(model).is_dir())
    return None if local or (Path(experiment.folder) / "base.json").is_file() else model


def _option(command: Sequence[str], name: str) -> str | None:
    return command[command.index(name) + 1] if name in command else None


def _entries(k: str, shape: Shape) -> float:
    return float(k) * shape.total if "." in k else float(k)


def work(command: Sequence[str], experiment: Experiment, shape: Shape, budgets: dict[str | None, float]) -> Work:
    """What one command costs.

    Args:
        budgets: entries of the masks that are still to be made, by file.
    """
    verb, out = command[0], _option(command, "--out")
    if verb in ("train", *FROZEN):
        return _training(command, experiment, shape, budgets)
    if verb == "mask":
        share = shape.total / SHAPES["FacebookAI/xlm-roberta-base"].total
        denoised = json.loads(_option(command, "--selection") or "")["rank"] != "none"
        seconds = CHOOSING * share + denoised * DENOISING * share * shape.hidden / 768
        return Work("mask", seconds=seconds, result=POSITION_BYTES * budgets[out])
    if verb == "random-mask":
        return Work("mask", seconds=START_SECONDS, result=POSITION_BYTES * budgets[out])
    if verb == "prune":
        entries = _known_budget(str(_option(command, "--mask")), budgets)
        return Work("pruned deltas", seconds=START_SECONDS, result=ENTRY_BYTES * entries)
    if verb in ("compose", "evaluate"):
        return Work(verb, seconds=START_SECONDS)
    return Work(verb)


def _training(command: Sequence[str], experiment: Experiment, shape: Shape, budgets: dict[str | None, float]) -> Work:
    settings = json.loads(_option(command, "--settings") or "")
    phase = Phase.model_validate_json(_option(command, "--phase") or "")
    train, mask = Path(str(_option(command, "--train"))), _option(command, "--mask")
    language = "--labels" not in command
    # Texts of a task are taken as half as long as the longest that is let in.
    length = settings["block"] if language else settings["max_length"] / 2
    examples = _blocks(train, experiment, settings["block"]) if language else _rows(train, experiment, "train")
    steps = steps_between(phase, examples)
    forward = _operations_a_token(shape, length)
    output = 2 * settings["mask_probability"] * shape.hidden * shape.vocabulary if language else 0.0
    entries = _trained(command, shape, budgets)
    # Adapters and LoRA pass gradients through weights that have none of their own.
    beside = command[0] in FROZEN
    frozen = beside or settings.get("output_embedding") == "frozen"
    gradient = forward * (1 if beside else 2) + output * (1 if frozen else 2)
    if beside:  # what is trained takes part in every token, too; what it stands on passes gradients through
        passed = _language_adapter(command, experiment, shape)
        forward, gradient = forward + 2 * (entries + passed), gradient + 4 * entries + 2 * passed
    held_out = HELD_OUT_BLOCKS if language else _rows(train.with_name("valid.csv"), experiment, "valid") or 0
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


def _trained(command: Sequence[str], shape: Shape, budgets: dict[str | None, float]) -> float:
    """Entries that a training moves, heads aside."""
    if command[0] == "adapter":
        return _adapter(json.loads(_option(command, "--shape") or ""), shape)
    if command[0] == "lora":
        factors = Lora.model_validate_json(_option(command, "--shape") or "")
        widths = (sum(matrix) for module, matrix in shape.matrices.items() if factors.adapts(module))
        return float(shape.layers * factors.rank * sum(widths))
    mask = _option(command, "--mask")
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
    left_out = json.loads(_option(command, "--shape") or "").get("leave_out_last", False)
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


def _blocks(train: Path, experiment: Experiment, block: int) -> int | None:
    """Blocks of a language's training text: of the clean text if it is there, else by the sizes of the raw files."""
    statistics = train.with_name("stats.json")
    corpus = experiment.languages[train.parts[-2]].corpus
    if statistics.is_file():
        characters = float(json.loads(statistics.read_text())["characters"])
    elif corpus and all(file.size is not None for file in corpus.files):
        characters = sum(
            (file.size or 0) * (UNPACKED if file.path.endswith(".parquet") else 1) for file in corpus.files
        )
    else:
        return None
    return math.ceil(0.95 * characters / LETTERS_A_TOKEN / block)


def _rows(path: Path, experiment: Experiment, split: str) -> int | None:
    """Rows of a split: counted if it is there, else as published."""
    from deftx.datasets import files_of

    statistics = path.with_suffix(".json")
    if statistics.is_file():
        return int(json.loads(statistics.read_text())["rows"])
    dataset, language = experiment.datasets[path.parts[-3]], path.parts[-2]
    if dataset.layout == "testbed" and experiment.testbed:
        return int(getattr(experiment.testbed, split))
    rows = [ROWS.get(f.repository or f.hub or "", {}).get(split) for f in files_of(dataset, language).get(split, ())]
    known = sum(n for n in rows if n is not None) if all(n is not None for n in rows) else None
    most = dataset.train_rows_per_label if split == "train" else None
    labels = next((t.labels for t in experiment.tasks.values() if t.train == path.parts[-3]), ())
    return most * len(labels) if most and known is None else known


def hours(works: Iterable[Work], machine: Machine) -> tuple[float, float]:
    """Hours the jobs take one after the other, at least and at most."""
    ends = [0.0, 0.0]
    for one in works:
        for n in (0, 1):
            busy = one.operations[n] / machine.operations + one.traffic[n] / machine.bandwidth
            ends[n] += (busy + one.steps[n] * machine.launch + one.seconds) / 3600
    return ends[0], ends[1]


def disk(made: Plan) -> dict[str, float]:
    """Bytes that the run leaves, by what they are, and what the largest job needs while it runs."""
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
        "checkpoints of one training": max((one.checkpoint for one in made.works), default=0.0),
    }


def render(made: Plan, machine: Machine) -> str:
    """A plan as text for a terminal."""
    lines = [f"# {made.name}: {made.jobs.get('total', 0):,} jobs to run", ""]
    lines += [f"{count:>7,}  {rule}" for rule, count in made.jobs.items() if rule != "total"]
    lines += ["", f"## Downloads: {_sum(made.downloads) if made.downloads else 'none'}"]
    if made.mirrored:
        lines.append(f"Besides, in the mirror: {_sum(made.mirrored)}")
    places = Counter(_place(file) for file in made.downloads)
    lines += [f"  {place}: {_sum(f for f in made.downloads if _place(f) == place)}" for place in sorted(places)]
    if made.model:
        size = _size(4.0 * made.shape.total) if made.shape else "size not known"
        lines.append(f"  {made.model}: {size} of float32 weights, by its shapes")
    if made.shape is None:
        return "\n".join([*lines, "", _unknown(made)])
    parts = disk(made)
    lines += ["", f"## Disk at the peak: {_size(sum(parts.values()))}"]
    lines += [f"{_size(size):>9}  {what}" for what, size in parts.items() if size]
    unknown = sum(file.size is None for file in [*made.downloads, *made.mirrored])
    lines += [f"Not counted: {unknown} raw file{'s' * (unknown != 1)} whose pin states no size"] if unknown else []
    low, high = hours(made.works, machine)
    lines += ["", f"## Hours on {machine.title}, one job at a time: {_between(low, high)}", machine.origin]
    for stage in dict.fromkeys(one.stage for one in made.works):
        some = [one for one in made.works if one.stage == stage]
        spent = hours(some, machine)
        if spent[1] >= 0.005:
            tokens = tuple(sum(one.tokens[n] for one in some) / 1e6 for n in (0, 1))
            seen = f", {_between(*tokens)} million tokens" if tokens[1] else ""
            lines.append(f"{_between(*spent):>15}  {stage}: {len(some)} jobs{seen}")
    if low < high:
        lines.append("A range is that between fewest and most steps, where the amount of text is not known yet")
    return "\n".join(lines)


def _unknown(made: Plan) -> str:
    return (
        f"## Disk and hours\nThe shapes of {made.model} are not known before it is described: "
        "snakemake results/{name}/base.json, then ask again".replace("{name}", made.name)
    )


def _place(file: File) -> str:
    if file.hub:
        return f"{file.hub} (hub)"
    return f"{file.repository} (GitHub)" if file.repository else str(file.url)


def _sum(files: Iterable[File]) -> str:
    """How many files, and their size; those whose pin states none are counted apart."""
    some = list(files)
    unknown = sum(file.size is None for file in some)
    size = _size(sum(file.size or 0 for file in some))
    parts = [f"{len(some)} file{'s' * (len(some) != 1)}"]
    parts += [size] if unknown < len(some) else []
    parts += (
        [f"and {unknown} whose pin states no size" if unknown < len(some) else "size not stated"] if unknown else []
    )
    return ", ".join(parts)


def _size(count: float) -> str:
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= power:
            return f"{count / power:.{1 if count < 100 * power else 0}f} {unit}"
    return f"{count:.0f} B"


def _between(low: float, high: float) -> str:
    def shown(value: float) -> str:
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"

    return shown(low) if shown(low) == shown(high) else f"{shown(low)} to {shown(high)}"
