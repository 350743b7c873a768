"""Artifacts: every kind of result, where it lies, and which one lies at a path.

This module alone writes and reads paths of results; what each is made from is in `deftx.workflow.graph`. An artifact is
known by its coordinates; wildcards may stand for them, which makes its path a pattern:

    Module("language", lang="ind", selection="lt-sft", seed="0", type="sft").path
        ->  sfts/language/lt-sft/ind/seed0.safetensors
    module_pattern("sft", "task").path  ->  sfts/task/{selection}/{task}/{start}/seed{seed}.safetensors

Paths are relative to the folder of the experiment's results. Nothing here reads a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import ClassVar, Literal, TypeVar

from deftx.core.errors import ConfigError
from deftx.modules.registry import BY_FOLDER, MODULE_TYPES, ModuleType

Role = Literal["language", "task"]


@dataclass(frozen=True)
class Artifact:
    """A result of a job. Coordinates are text; in a pattern each is its name in braces."""

    stage: ClassVar[str]
    """The rule that makes it, and the folder of that rule's logs and benchmarks."""

    @property
    def path(self) -> str:
        """Where its main file lies."""
        raise NotImplementedError

    @property
    def record(self) -> str:
        """The JSON beside its main file: statistics, a training's record, provenance or checksum."""
        return str(PurePosixPath(self.path).with_suffix(".json"))

    @property
    def place(self) -> str:
        """Its log and benchmark, below the folders `logs` and `benchmarks`, without ending."""
        return f"{self.stage}/" + "/".join(PurePosixPath(self.path).with_suffix("").parts[1:])


A = TypeVar("A", bound=Artifact)


def pattern(kind: type[A], **coordinates: str) -> A:
    """Return an artifact with wildcards for the coordinates that are not given."""
    return kind(**{field.name: coordinates.get(field.name, f"{{{field.name}}}") for field in fields(kind)})


def fill(template: A, wildcards: Mapping[str, str]) -> A:
    """Return the artifact that a pattern becomes with values for its wildcards."""
    values = vars(template)
    filled = {name: wildcards[name] if value == f"{{{name}}}" else value for name, value in values.items()}
    return type(template)(**filled)


@dataclass(frozen=True)
class RawFile(Artifact):
    """A pinned file as it was fetched."""

    stage: ClassVar[str] = "fetch"
    pin: str
    name: str

    @property
    def path(self) -> str:
        return f"raw/{self.pin}/{self.name}"

    @property
    def place(self) -> str:
        return f"{self.stage}/{self.pin}/{self.name}"


@dataclass(frozen=True)
class Corpus(Artifact):
    """Clean text of a language, in two parts, with statistics."""

    stage: ClassVar[str] = "corpus"
    lang: str

    @property
    def path(self) -> str:
        return f"corpora/{self.lang}/train.txt.gz"

    @property
    def valid(self) -> str:
        """The part that is held out."""
        return f"corpora/{self.lang}/valid.txt.gz"

    @property
    def record(self) -> str:
        return f"corpora/{self.lang}/stats.json"

    @property
    def place(self) -> str:
        return f"{self.stage}/{self.lang}"


@dataclass(frozen=True)
class Dataset(Artifact):
    """Labelled rows of a split in a language."""

    stage: ClassVar[str] = "dataset"
    dataset: str
    lang: str
    split: str

    @property
    def path(self) -> str:
        return f"datasets/{self.dataset}/{self.lang}/{self.split}.csv"


@dataclass(frozen=True)
class View(Artifact):
    """Rows of a split of a dataset in a language, changed by a view's transforms."""

    stage: ClassVar[str] = "view"
    view: str
    dataset: str
    lang: str
    split: str

    @property
    def path(self) -> str:
        return f"views/{self.view}/{self.dataset}/{self.lang}/{self.split}.csv"


@dataclass(frozen=True)
class Base(Artifact):
    """The base model's identity; its checkpoint where the workflow trains one."""

    stage: ClassVar[str] = "base"

    @property
    def path(self) -> str:
        return "base.json"

    @property
    def model(self) -> str:
        """Folder of the checkpoint."""
        return "base"

    @property
    def place(self) -> str:
        return self.stage


@dataclass(frozen=True)
class OfTraining(Artifact):
    """What is made for a language, or for a task that starts somewhere, with a seed; below a selection or not."""

    role: str
    lang: str = ""
    task: str = ""
    start: str = ""
    selection: str = ""
    seed: str = ""

    folder: ClassVar[str]

    @property
    def below(self) -> str:
        """Where it lies in its folder, without ending."""
        subject = self.lang if self.role == "language" else f"{self.task}/{self.start}"
        selected = f"{self.selection}/" if self.selection else ""
        return f"{self.role}/{selected}{subject}/seed{self.seed}"

    @property
    def place(self) -> str:
        return f"{self.stage}/{self.below}"


@dataclass(frozen=True)
class Mask(OfTraining):
    """Entries that sparse fine-tuning may move."""

    stage: ClassVar[str] = "mask"
    folder: ClassVar[str] = "masks"

    @property
    def path(self) -> str:
        return f"masks/{self.below}.safetensors"


@dataclass(frozen=True)
class Module(OfTraining):
    """A module of a language or a task, of a registered type."""

    type: str = ""

    @property
    def entry(self) -> ModuleType:
        return MODULE_TYPES[self.type]

    @property
    def path(self) -> str:
        return f"{self.entry.folder}/{self.below}.safetensors"

    @property
    def place(self) -> str:
        return f"{self.entry.stage}/{self.below}"


def module_pattern(type: str, role: Role) -> Module:
    """Return the pattern of a type's modules of languages or tasks."""
    return Module(**_wildcards(role, MODULE_TYPES[type].masked), type=type)


def mask_pattern(role: Role) -> Mask:
    """Return the pattern of masks for languages or tasks."""
    return Mask(**_wildcards(role, masked=True))


def _wildcards(role: Role, masked: bool) -> dict[str, str]:
    names = ["lang"] if role == "language" else ["task", "start"]
    return {"role": role} | {name: f"{{{name}}}" for name in (*names, *(["selection"] if masked else []), "seed")}


@dataclass(frozen=True)
class Cell(Artifact):
    """What belongs to a method, task, scored language and seed."""

    method: str
    task: str
    lang: str
    seed: str

    @property
    def cell(self) -> str:
        return f"{self.method}/{self.task}/{self.lang}/seed{self.seed}"


@dataclass(frozen=True)
class Composed(Cell):
    """The recipe of a composed model."""

    stage: ClassVar[str] = "compose"

    @property
    def path(self) -> str:
        return f"composed/{self.cell}.json"


@dataclass(frozen=True)
class Predictions(Cell):
    """Every prediction of a composed model on a test set; the record holds what they were made with."""

    stage: ClassVar[str] = "evaluate"

    @property
    def path(self) -> str:
        return f"predictions/{self.cell}.csv"


@dataclass(frozen=True)
class Scores(Cell):
    """Measures of predictions."""

    stage: ClassVar[str] = "score"

    @property
    def path(self) -> str:
        return f"scores/{self.cell}.json"

    @property
    def place(self) -> str:
        """All seeds are scored by one job."""
        return f"{self.stage}/{self.method}/{self.task}/{self.lang}"


@dataclass(frozen=True)
class Table(Artifact):
    """A table of the report, below the report's own folder."""

    stage: ClassVar[str] = "tables"
    name: str
    ending: str = "csv"

    @property
    def path(self) -> str:
        return f"tables/{self.name}.{self.ending}"

    @property
    def place(self) -> str:
        return self.stage


@dataclass(frozen=True)
class Overlap(Artifact):
    """The table of overlaps between the vectors of a selection, below the report's own folder."""

    stage: ClassVar[str] = "overlap"
    selection: str

    @property
    def path(self) -> str:
        return f"tables/overlap-{self.selection}.csv"

    @property
    def place(self) -> str:
        return f"{self.stage}/{self.selection}"


@dataclass(frozen=True)
class Figure(Artifact):
    """A figure of the report, below the report's own folder."""

    stage: ClassVar[str] = "figures"
    name: str
    ending: str = "svg"

    @property
    def path(self) -> str:
        return f"figures/{self.name}.{self.ending}"

    @property
    def place(self) -> str:
        return self.stage


@dataclass(frozen=True)
class Page(Artifact):
    """The report on one page, below the report's own folder."""

    stage: ClassVar[str] = "report"

    @property
    def path(self) -> str:
        return "report.html"

    @property
    def place(self) -> str:
        return self.stage


LOGS, BENCHMARKS = "logs", "benchmarks"
"""Folders of what Snakemake writes beside results, with a folder for each stage."""
STAGES = {
    "fetch": "raw file",
    "corpus": "corpus",
    "dataset": "dataset",
    "view": "view",
    "base": "base model",
    "full": "full fine-tuning",
    "gradients": "accumulated gradients",
    "mask": "mask",
    "sparse": "sparse fine-tuning",
    "prune": "pruned delta",
    "adapter": "adapter",
    "lora": "LoRA",
    **{entry.stage: entry.title for entry in MODULE_TYPES.values()},
    "compose": "compose",
    "evaluate": "evaluate",
    "score": "score",
    "overlap": "overlap",
    "tables": "tables",
    "costs": "costs",
    "figures": "figures",
    "sweeps": "sweeps",
    "report": "report",
}
"""Titles of stages by the folder of their logs and benchmarks, in the order in which jobs run."""
CELLS = {"composed": Composed, "predictions": Predictions, "scores": Scores}
"""Kinds that belong to a cell of the tables, by folder."""


def parse(below: str) -> Artifact:
    """Return the artifact whose main file, or its record, lies at a place below the experiment's folder.

    Raises:
        ConfigError: no artifact lies there.
    """
    path = PurePosixPath(below)
    folder, *rest = path.parts
    stem = path.with_suffix("").name
    seed = stem.removeprefix("seed")
    match folder, rest:
        case (("base.json" | "base"), []):
            return Base()
        case "report.html", []:
            return Page()
        case "tables", [name] if name.startswith("overlap-"):
            return Overlap(stem.removeprefix("overlap-"))
        case "tables", [_]:
            return Table(stem, path.suffix.removeprefix("."))
        case "figures", [_]:
            return Figure(stem, path.suffix.removeprefix("."))
        case "raw", [pin, name]:
            return RawFile(pin, name)
        case "corpora", [lang, _]:
            return Corpus(lang)
        case "datasets", [dataset, lang, _]:
            return Dataset(dataset, lang, stem)
        case "views", [view, dataset, lang, _]:
            return View(view, dataset, lang, stem)
        case _, [method, task, lang, _] if folder in CELLS:
            return CELLS[folder](method, task, lang, seed)
        case _, [role, *middle, _] if folder == Mask.folder or folder in BY_FOLDER:
            masked = folder == Mask.folder or BY_FOLDER[folder].masked
            subject = {"language": ["lang"], "task": ["task", "start"]}.get(role, [])
            names = [*(["selection"] if masked else []), *subject]
            if subject and len(names) == len(middle):
                coordinates = dict(zip(names, middle, strict=True)) | {"role": role, "seed": seed}
                if folder == Mask.folder:
                    return Mask(**coordinates)
                return Module(**coordinates, type=BY_FOLDER[folder].name)
    raise ConfigError(f"{below} is not a result of an experiment")
