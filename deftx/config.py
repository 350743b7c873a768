"""The experiment: every key of a configuration file, validated and described.

`load` reads a YAML file, `validate` checks a mapping Snakemake has already read. The JSON schema and the
table in config/README.md are generated from the descriptions here and in `deftx.settings` (`deftx schema`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from deftx.errors import ConfigError
from deftx.settings import (
    Base,
    Corpus,
    DatasetSettings,
    Denoising,
    File,
    LanguageAdapter,
    LanguageTraining,
    Name,
    Phase,
    Strict,
    TaskAdapter,
    TaskTraining,
)
from deftx.testbed import Family, Variety


class Language(Strict):
    """A language: where its unlabelled text comes from."""

    name: str | None = None
    """Its name, for tables and figures."""
    corpus: Corpus | None = None
    """Its text; none is needed for a language that is only evaluated without a language vector."""
    testbed: Variety | None = None
    """For an artificial language: how it differs from its family's first."""

    @model_validator(mode="after")
    def _one(self) -> "Language":
        if self.corpus and self.testbed:
            raise ValueError("a language has either a corpus or a testbed entry, not both")
        return self


class Dataset(DatasetSettings):
    """Labelled data, in a layout deftx knows or in CSV or TSV files."""

    languages: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Languages of this dataset that are loaded."""
    files: dict[Name, dict[Literal["train", "valid", "test"], File]] | None = None
    """For `csv`: the files by language and split."""

    @model_validator(mode="after")
    def _files(self) -> "Dataset":
        if (self.layout == "csv") != (self.files is not None):
            raise ValueError("`files` belongs to the layout csv, and the layout csv needs it")
        missing = [lang for lang in self.languages if self.files is not None and lang not in self.files]
        if missing:
            raise ValueError(f"`files` names no file for {', '.join(missing)}")
        return self


class TaskAdapterRecipe(TaskAdapter):
    """Task adapters: their sizes and their training, on what `recipe.task` says of texts and arithmetic."""

    phase: Phase
    """Task training on the source language's adapter, which stays as the encoder does."""


class Task(Strict):
    """A classification task: where it is learned and where it is tried."""

    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    """The labels, in the order of the classifier's outputs."""
    source: Name
    """Language the task is learned in."""
    train: Name
    """Dataset with the splits `train` and `valid` in the source language."""
    test: Name
    """Dataset the methods are scored on."""
    split: Literal["valid", "test"] = "test"
    """Split of `test` that is scored; `valid` while something is still to be chosen."""
    targets: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Languages scored without having had labels; the source language is scored besides where `test` has it."""
    adapter: TaskAdapterRecipe | None = None
    """How this task's adapters are trained, where not as `recipe.adapters.task` says."""


class LanguageRecipe(LanguageTraining):
    """Masked-LM training in two phases."""

    full: Phase
    """Full fine-tuning."""
    sparse: Phase
    """Sparse fine-tuning of the masked entries."""
    gradients: Phase | None = None
    """Adding up gradients, for selections by them: how many steps, of which batches, and how fast the head learns."""


class TaskRecipe(TaskTraining):
    """Task training in two phases."""

    full: Phase
    """Full fine-tuning."""
    sparse: Phase
    """Sparse fine-tuning of the masked entries."""
    gradients: Phase | None = None
    """Adding up gradients, for selections by them: how many steps, of which batches, and how fast the head learns."""


Budget = Annotated[int, Field(ge=0, strict=True)] | Annotated[float, Field(ge=0, le=1, strict=True)]


class Budgets(Strict):
    """How many entries a mask has: a number of entries, or with a decimal point a share of all maskable."""

    language: Budget
    """For language vectors."""
    task: Budget
    """For task vectors."""


class Selection(Denoising):
    """How a mask is chosen."""

    select: Literal["full-fine-tuning", "accumulated-gradient"] = "full-fine-tuning"
    """What is ranked: the delta of a full fine-tuning, or the sum of gradients over `recipe.*.gradients`, which needs
    far less memory (docs/performance.md compares them)."""
    k: Budgets
    """Sizes of the masks."""


class Weights(Strict):
    """Weights of the vectors in the sum."""

    task: float = 1.0
    """Weight of the task vector."""
    language: float = 1.0
    """Weight of the language vector."""


class Method(Strict):
    """A way from base model to a model of a task in a language; methods are data."""

    title: str | None = None
    """Name in tables and figures."""
    task: Literal["dense", "sft", "adapter"] = "sft"
    """The task module: the full fine-tuning's delta, a sparse vector, or an adapter."""
    language: Literal["none", "sft", "adapter"] = "sft"
    """The language module: none, or a sparse vector or an adapter of the target language."""
    selection: Name | None = None
    """Selection of the sparse vectors."""
    source_adaptation: bool | None = None
    """Train the task on top of the source language's vector; by default where there is a language module."""
    weights: Weights = Weights()
    """Weights in the sum; trains nothing anew."""

    @model_validator(mode="after")
    def _stacked(self) -> "Method":
        if self.language not in ("none", self.source_module):
            raise ValueError("adapters are stacked on adapters: give `adapter` for task and language, or for neither")
        if self.task == "adapter" and (self.selection is not None or self.weights != Weights()):
            raise ValueError("adapters are neither selected nor weighted: leave out `selection` and `weights`")
        return self

    @model_validator(mode="after")
    def _selected(self) -> "Method":
        adapts_source = self.source_adaptation and self.source_module == "sft"
        if self.selection is None and (self.task == "sft" or self.language == "sft" or adapts_source):
            raise ValueError("a method with a sparse vector, also of the source language, names its selection")
        return self

    @property
    def source_module(self) -> Literal["sft", "adapter"]:
        """What the source language's module is, where a task is trained on top of it."""
        return "adapter" if self.task == "adapter" else "sft"

    @property
    def adapts_source(self) -> bool:
        """Whether the task is trained on top of the source language's vector."""
        return self.language != "none" if self.source_adaptation is None else self.source_adaptation


class Seeds(Strict):
    """Seeds of the trainings, paired by position."""

    language: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    """Seeds of the language vectors; a single one serves all task seeds."""
    task: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    """Seeds of the task vectors; scores are named by them."""

    @model_validator(mode="after")
    def _paired(self) -> "Seeds":
        if len(self.language) not in (1, len(self.task)):
            raise ValueError("give one language seed, or as many as task seeds")
        if len(set(self.task)) < len(self.task):
            raise ValueError("task seeds repeat")
        return self

    def language_seed(self, task_seed: int) -> int:
        """The language seed paired with a task seed."""
        return dict(zip(self.task, self.language * len(self.task), strict=False))[task_seed]


class LanguageAdapterRecipe(LanguageAdapter):
    """Language adapters: their sizes and their training, on what `recipe.language` says of text and arithmetic."""

    phase: Phase
    """Masked-LM training; the encoder and the output embedding stay."""


class AdapterRecipe(Strict):
    """How adapters are trained (MAD-X)."""

    language: LanguageAdapterRecipe
    """Language adapters."""
    task: TaskAdapterRecipe
    """Task adapters."""


class Recipe(Strict):
    """How vectors are trained."""

    language: LanguageRecipe
    """Masked-LM training."""
    task: TaskRecipe
    """Task training."""
    adapters: AdapterRecipe | None = None
    """Training of adapters, for methods with `adapter` modules."""


class Experiment(Strict):
    """A whole experiment."""

    name: Name
    """Results lie under results/{name}/."""
    root: str | None = None
    """Folder of the results where it is not results/{name}, to share those of another experiment."""
    base: Base
    """The pretrained encoder."""
    testbed: Family | None = None
    """The family of artificial languages, for languages and datasets of the testbed."""
    languages: Annotated[dict[Name, Language], Field(min_length=1)]
    """Languages by code."""
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    """Labelled datasets by name."""
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    """Tasks by name."""
    recipe: Recipe
    """How vectors are trained."""
    selections: dict[Name, Selection] = {}  # noqa: RUF012 (pydantic copies defaults)
    """Ways to choose a mask, by name."""
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    """Methods by name, in the order of tables and figures."""
    seeds: Seeds = Seeds()
    """Seeds."""

    @model_validator(mode="after")
    def _consistent(self) -> "Experiment":
        for problem in _inconsistencies(self):
            raise ValueError(problem)
        return self

    def task_adapter(self, task: str) -> TaskAdapterRecipe | None:
        """How a task's adapters are trained; nothing where no method has adapters."""
        shared = self.recipe.adapters.task if self.recipe.adapters else None
        return self.tasks[task].adapter or shared

    @property
    def folder(self) -> str:
        """Where the results lie."""
        return self.root or f"results/{self.name}"


def _inconsistencies(experiment: Experiment) -> Iterator[str]:
    """Names that lead nowhere, one message each."""
    for name, method in experiment.methods.items():
        if method.task == "adapter" and experiment.recipe.adapters is None:
            yield f"methods.{name}: adapters need recipe.adapters"
        if method.selection is not None and method.selection not in experiment.selections:
            yield f"methods.{name}: there is no selection {method.selection!r} (known: {_known(experiment.selections)})"
    recipes: dict[str, LanguageRecipe | TaskRecipe] = {
        "language": experiment.recipe.language,
        "task": experiment.recipe.task,
    }
    for name, selection in experiment.selections.items():
        for kind, recipe in recipes.items():
            if selection.select == "accumulated-gradient" and recipe.gradients is None:
                yield f"selections.{name}: selecting by gradients needs recipe.{kind}.gradients"
    for name, dataset in experiment.datasets.items():
        copies = dataset.drop_near_copies
        if copies and copies.dataset not in experiment.datasets:
            yield f"datasets.{name}: there is no dataset {copies.dataset!r}"
        elif copies:
            held = experiment.datasets[copies.dataset].languages
            yield from (
                f"datasets.{name}: dataset {copies.dataset} does not hold {code}"
                for code in copies.languages
                if code not in held
            )
        if dataset.layout == "testbed" and experiment.testbed is None:
            yield f"datasets.{name}: the layout testbed needs the block `testbed`"
        for code in dataset.languages if dataset.layout == "testbed" else ():
            if code not in experiment.languages or experiment.languages[code].testbed is None:
                yield f"datasets.{name}: {code} is not among the artificial languages (`languages.{code}.testbed`)"
    for code, language in experiment.languages.items():
        if language.testbed and experiment.testbed is None:
            yield f"languages.{code}: an artificial language needs the block `testbed`"
    for code in experiment.base.pretrain.languages if experiment.base.pretrain else ():
        if code not in experiment.languages:
            yield f"base.pretrain.languages: {code} is not among the languages"
    if experiment.base.pretrain and experiment.testbed is None:
        yield "base.pretrain: the pieces of the vocabulary come from the block `testbed`, which is missing"
    for name, task in experiment.tasks.items():
        yield from _task_inconsistencies(f"tasks.{name}", task, experiment)


def _task_inconsistencies(where: str, task: Task, experiment: Experiment) -> Iterator[str]:
    for dataset in (task.train, task.test):
        if dataset not in experiment.datasets:
            yield f"{where}: there is no dataset {dataset!r} (known: {_known(experiment.datasets)})"
            return
    if task.source not in experiment.datasets[task.train].languages:
        yield f"{where}: dataset {task.train} does not hold the source language {task.source}"
    for code in (task.source, *task.targets):
        if code not in experiment.languages:
            yield f"{where}: {code} is not among the languages (known: {_known(experiment.languages)})"
    for code in task.targets:
        if code not in experiment.datasets[task.test].languages:
            yield f"{where}: dataset {task.test} does not hold the target language {code}"
    methods = experiment.methods.values()
    needed = {code for code in task.targets if any(m.language != "none" for m in methods)}
    needed |= {task.source for m in methods if m.adapts_source}
    for code in sorted(needed):
        if not (experiment.languages[code].corpus or experiment.languages[code].testbed):
            yield f"languages.{code}: a method with language vectors needs its corpus"


def _known(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "none"


def load(path: Path) -> Experiment:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file is missing, not YAML, or does not describe an experiment.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    return validate(content, str(path))


def validate(content: Any, origin: str = "the configuration") -> Experiment:
    """Check a configuration that has been read already.

    Raises:
        ConfigError: with every problem and where it stands, one a line.
    """
    problems = list(_booleans(content))
    if not problems:
        try:
            return Experiment.model_validate(content)
        except ValidationError as error:
            problems = [_readable(e) for e in error.errors()]
    raise ConfigError("\n".join([f"{origin} cannot be used:", *(f"  {p}" for p in problems)]))


def _readable(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; config/README.md lists the keys"
    return f"{where}: {what}" if where else what


def _booleans(content: Any, where: str = "") -> Iterator[str]:
    """Language codes that YAML has read as a truth value (`no` is Norwegian, and False)."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(key, bool):
                yield _boolean(where, key)
            yield from _booleans(value, f"{where}.{key}".lstrip("."))
    elif isinstance(content, list):
        for value in content:
            if isinstance(value, bool):
                yield _boolean(where, value)
            yield from _booleans(value, where)
    elif isinstance(content, bool) and where.rsplit(".", 1)[-1] in {"source"}:
        yield _boolean(where, content)


def _boolean(where: str, value: bool) -> str:
    code = "no" if value is False else "yes"
    return (
        f"{where}: YAML read a language code as the truth value {value} "
        f'(unquoted {code}, on, off, true and false are truth values); write "{code}" in quotes'
    )
