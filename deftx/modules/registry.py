"""Types of modules: what the configuration calls them, where their files lie, and the code behind each.

A registry holds data alone and imports nothing heavy. It is outside every hash of code
(`deftx.core.hashing.code_of`): a new entry reruns nothing, and whoever uses an entry adds its code.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ModuleType:
    """What a method may be made of, or what is trained on the way to it."""

    name: str
    """In the configuration (`methods.*.task`, `methods.*.language`)."""
    paper: str
    folder: str
    """Folder of its files, below that of the experiment's results."""
    stage: str
    """First word of its rules, and folder of their logs and benchmarks."""
    title: str
    """Of its jobs."""
    code: str
    """Module of the package that loads, checks and applies its files."""
    make: str
    """Module of the package that trains it, or takes it from a delta."""
    group: str = "vector"
    """Types of one group make up a model together; `vector`: sparse and dense differences to the base."""
    masked: bool = False
    """Whether it moves the entries of a mask, so that its place names the selection."""
    trained: bool = True
    phase: str = ""
    """Key of its phase in `recipe.language` and `recipe.task`; without it `recipe` has a block of its own."""
    block: str = ""
    """Key of its block in `recipe`: sizes and phase of languages and tasks."""
    task_key: str = ""
    """Key of a task's own block, where not as `recipe` says."""
    start: str = ""
    """What a task's training on top of this type's language module is called in paths; {selection} and {lang} stand
    for names. Without it, as the type `starts_as`."""
    starts_as: str = ""
    adapts_source: bool = True
    """Whether a task is trained on top of the source language's module where a method does not say."""
    several: bool = True
    """Whether several processes may train it together."""
    shared: bool = False
    """Whether modules of languages may come from the cache that experiments share."""
    in_methods: bool = True
    """Whether a method may name it."""

    @property
    def merges(self) -> bool:
        """Whether its modules end up in the base's own parameters, and so have weights in a sum."""
        return self.group != "adapter"

    @property
    def has_entries(self) -> bool:
        """Whether single entries can be chosen and compared."""
        return self.group == "vector"


_ENTRIES = (
    ModuleType(
        "dense",
        "full fine-tuning; its differences as vectors: Ilharco et al. 2023",
        folder="deltas",
        stage="full",
        title="full fine-tuning",
        code="deftx.modules.addition",
        make="deftx.finetuning.full",
        phase="full",
        start="mlm-{lang}",
        shared=True,
    ),
    ModuleType(
        "sft",
        "Ansell et al. 2022; Simon & Jyothi 2025",
        folder="sfts",
        stage="sparse",
        title="sparse fine-tuning",
        code="deftx.modules.addition",
        make="deftx.finetuning.sparse",
        masked=True,
        phase="sparse",
        start="{selection}-{lang}",
        shared=True,
    ),
    ModuleType(
        "pruned",
        "Simon & Jyothi 2025, section 3.2, without the second training",
        folder="pruned",
        stage="prune",
        title="pruned delta",
        code="deftx.modules.addition",
        make="deftx.masks.prune",
        masked=True,
        trained=False,
        starts_as="sft",
    ),
    ModuleType(
        "adapter",
        "MAD-X: Pfeiffer et al. 2020",
        folder="adapters",
        stage="adapter",
        title="adapter",
        code="deftx.modules.adapters",
        make="deftx.finetuning.adapters",
        group="adapter",
        block="adapters",
        task_key="adapter",
        start="{lang}",
    ),
    ModuleType(
        "lora",
        "Hu et al. 2022; sums of it: Chronopoulou et al. 2023",
        folder="loras",
        stage="lora",
        title="LoRA",
        code="deftx.modules.lora",
        make="deftx.finetuning.lora",
        group="lora",
        block="lora",
        adapts_source=False,
        task_key="lora",
        start="lora-{lang}",
    ),
    ModuleType(
        "gradients",
        "importance by accumulated gradients: ours, after Ansell et al. 2024",
        folder="gradients",
        stage="gradients",
        title="accumulated gradients",
        code="deftx.modules.addition",
        make="deftx.finetuning.gradients",
        phase="gradients",
        several=False,
        in_methods=False,
    ),
)
MODULE_TYPES = {entry.name: entry for entry in _ENTRIES}
"""By name."""
BY_FOLDER = {entry.folder: entry for entry in _ENTRIES}


def names(entries: Iterable[ModuleType] = _ENTRIES) -> list[str]:
    """Return the names of types that a method may name."""
    return [entry.name for entry in entries if entry.in_methods]


def type_of_kind(kind: str) -> ModuleType:
    """Return the type of a file by the kind it states; what no type is named after is a vector's."""
    return MODULE_TYPES.get(kind, MODULE_TYPES["sft"])


def code_of_kind(kind: str) -> str:
    """Return the module of the package that loads, checks and applies files of a kind."""
    return type_of_kind(kind).code
