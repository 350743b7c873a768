"""The experiment: every key of a configuration file, validated and described.

`load` reads a YAML file, `validate` checks a mapping Snakemake has already read. The JSON schema and the
table in config/README.md are generated from the descriptions here and in `deftx.settings` (`deftx schema`).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from deftx import published
from deftx.errors import ConfigError
from deftx.settings import (
    Base,
    Conflicts,
    Corpus,
    DatasetSettings,
    Denoising,
    File,
    LanguageAdapter,
    LanguageTraining,
    Lora,
    Metric,
    Name,
    Phase,
    Split,
    Strict,
    Sweep,
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
    files: dict[Name, dict[Split, File | tuple[File, ...]]] | None = None
    """For `csv`: the file, or the files one after the other, by language and split."""

    @model_validator(mode="after")
    def _files(self) -> "Dataset":
        if (self.layout == "csv") != (self.files is not None):
            raise ValueError("`files` belongs to the layout csv, and the layout csv needs it")
        missing = [lang for lang in self.languages if self.files is not None and lang not in self.files]
        if missing:
            raise ValueError(f"`files` names no file for {', '.join(missing)}")
        return self


class Published(Strict):
    """Published scores, and which of our methods each is to be compared with."""

    scores: str
    """A set of published scores, by its name in deftx/published.json."""
    methods: Annotated[dict[str, Name], Field(min_length=1)]
    """Our method by the system of the set."""
    note: str | None = None
    """In what the two differ, beside the method: a sentence below the table."""


class TaskAdapterRecipe(TaskAdapter):
    """Task adapters: their sizes and their training, on what `recipe.task` says of texts and arithmetic."""

    phase: Phase
    """Task training on the source language's adapter, which stays as the encoder does."""


class LoraRecipe(Lora):
    """LoRA of languages or of tasks: its sizes and its training, on what `recipe` says of texts and arithmetic."""

    phase: Phase
    """Masked-LM or task training; the encoder stays."""


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
    recipe: "TaskRecipe | None" = None
    """How this task is trained, where not as `recipe.task` says."""
    metric: Metric = "macro_f1"
    """What is scored, in percent: macro-averaged F1, or accuracy (usual for inference); trains nothing anew."""
    published: Published | None = None
    """Published scores that the report sets beside ours."""
    adapter: TaskAdapterRecipe | None = None
    """How this task's adapters are trained, where not as `recipe.adapters.task` says."""
    lora: LoraRecipe | None = None
    """How this task's LoRA is trained, where not as `recipe.lora.task` says."""


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

    select: Literal["full-fine-tuning", "accumulated-gradient", "random"] = "full-fine-tuning"
    """What is ranked: the delta of a full fine-tuning, or the sum of gradients over `recipe.*.gradients`, which needs
    far less memory (docs/performance.md compares them). `random` ranks nothing: the entries are drawn, as a control."""
    k: Budgets
    """Sizes of the masks."""

    @model_validator(mode="after")
    def _nothing_to_denoise(self) -> "Selection":
        if self.select == "random" and self.rank != "none":
            raise ValueError("entries drawn at random have no rank; leave `rank` out")
        return self


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
    task: Literal["dense", "sft", "pruned", "adapter", "lora"] = "sft"
    """The task module: the full fine-tuning's delta, a sparse vector, without a second training what the denoised delta
    holds at the mask, an adapter, or LoRA."""
    language: Literal["none", "dense", "sft", "pruned", "adapter", "lora"] = "sft"
    """The language module of the target language: none, or as for `task`."""
    selection: Name | None = None
    """Selection of the sparse vectors."""
    source_adaptation: bool | None = None
    """Train the task on top of the source language's vector; by default where there is a language module other
    than LoRA."""
    start_selection: Name | None = None
    """Selection of that vector, where it is not the method's own: holds the task's start fixed while others vary."""
    target_adaptation: bool = False
    """Train the task anew for each language, on top of that language's vector, in place of the source's."""
    swap: bool = True
    """Put the target's language module in the place of the source's; `false` keeps the source's, as a control."""
    weights: Weights = Weights()
    """Weights in the sum; trains nothing anew."""
    conflicts: Conflicts = "sum"
    """Entries that both vectors move: `sum` adds both; `ties` adds those of the elected sign (TIES-Merging's election);
    `drop-overlap` adds neither. Trains nothing anew."""

    @model_validator(mode="after")
    def _stacked(self) -> "Method":
        if self.stacked != (self.language == "adapter") and self.language != "none":
            raise ValueError("adapters are stacked on adapters: give `adapter` for task and language, or for neither")
        added = self.selection or self.start_selection or self.weights != Weights() or self.conflicts != "sum"
        if self.stacked and added:
            raise ValueError(
                "adapters are neither selected nor added: leave out `selection`, `start_selection`, `weights`, "
                "`conflicts`"
            )
        return self

    @model_validator(mode="after")
    def _of_factors(self) -> "Method":
        if self.factored != (self.language == "lora") and self.language != "none":
            raise ValueError("LoRA is added to LoRA: give `lora` for task and language, or for neither")
        if self.factored and (self.selection or self.start_selection or self.conflicts != "sum"):
            raise ValueError(
                "LoRA moves whole matrices, among whose entries nothing is chosen: leave out `selection`, "
                "`start_selection`, `conflicts`"
            )
        return self

    @model_validator(mode="after")
    def _selected(self) -> "Method":
        sparse = {"sft", "pruned"} & {self.task, self.language}
        starts_otherwise = self.start_selection or self.dense or self.stacked or self.factored
        starts_sparse = self.adapts_source and not starts_otherwise
        if self.selection is None and (sparse or starts_sparse):
            raise ValueError("a method with a sparse vector, also of the source language, names its selection")
        if self.language == "none" and (self.target_adaptation or not self.swap):
            raise ValueError("target_adaptation and swap are about a language module; this method has none")
        if self.target_adaptation and (self.source_adaptation or self.start_selection or not self.swap):
            raise ValueError("with target_adaptation no source language takes part; leave what is about it out")
        if self.start_selection and not self.adapts_source:
            raise ValueError("start_selection names a vector of the source language, which this method does not use")
        return self

    @property
    def dense(self) -> bool:
        """Whether the language module is the full fine-tuning's delta."""
        return self.language == "dense"

    @property
    def stacked(self) -> bool:
        """Whether modules are adapters."""
        return self.task == "adapter"

    @property
    def factored(self) -> bool:
        """Whether modules are LoRA."""
        return self.task == "lora"

    @property
    def adapts_source(self) -> bool:
        """Whether the task is trained on top of the source language's vector."""
        if self.source_adaptation is not None:
            return self.source_adaptation
        return self.language != "none" and not self.target_adaptation and not self.factored


class Compare(Strict):
    """Which methods stars, statements and gains of the report are about."""

    reference: Name | None = None
    """Method that every other is tested against: stars and statements. Without it `lt-sft`, where there is such a
    method."""
    proposed: Name | None = None
    """Method that is tested against all others, for statements. Without it `deft-x`, where there is such a method."""
    control: Name | None = None
    """Method without a language module that gains are counted from. Without it `task-sft`, where there is such a
    method."""


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


class LoraRecipes(Strict):
    """How LoRA is trained."""

    language: LoraRecipe
    """LoRA of languages."""
    task: LoraRecipe
    """LoRA of tasks."""


class Recipe(Strict):
    """How vectors are trained."""

    language: LanguageRecipe
    """Masked-LM training."""
    task: TaskRecipe
    """Task training."""
    adapters: AdapterRecipe | None = None
    """Training of adapters, for methods with `adapter` modules."""
    lora: LoraRecipes | None = None
    """Training of LoRA, for methods with `lora` modules."""


class Experiment(Strict):
    """A whole experiment."""

    name: Name
    """Results lie under results/{name}/."""
    root: str | None = None
    """Folder of the results where it is not results/{name}, to share those of another experiment; tables and figures
    lie under results/{name} all the same."""
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
    compare: Compare = Compare()
    """What the report compares."""
    sweeps: dict[Name, Sweep] = {}  # noqa: RUF012
    """Figures of the score against a knob, by name; with any, they take the place of the other figures."""
    seeds: Seeds = Seeds()
    """Seeds."""

    @model_validator(mode="after")
    def _consistent(self) -> "Experiment":
        for problem in _inconsistencies(self):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _compared(self) -> "Experiment":
        for part, name in self.compare:
            if name is not None and name not in self.methods:
                raise ValueError(f"compare.{part}: there is no method {name!r} (known: {', '.join(self.methods)})")
        chosen = self.compared
        if chosen["reference"] is not None and chosen["reference"] == chosen["proposed"]:
            raise ValueError(f"compare: reference and proposed are both {chosen['reference']}; name two methods")
        return self

    @property
    def compared(self) -> dict[str, str | None]:
        """The methods that are compared, by their part in it."""
        usual = {"reference": "lt-sft", "proposed": "deft-x", "control": "task-sft"}
        named = {part: getattr(self.compare, part) or name for part, name in usual.items()}
        return {part: name if name in self.methods else None for part, name in named.items()}

    def task_recipe(self, task: str) -> TaskRecipe:
        """How a task is trained."""
        return self.tasks[task].recipe or self.recipe.task

    def task_adapter(self, task: str) -> TaskAdapterRecipe | None:
        """How a task's adapters are trained; nothing where no method has adapters."""
        shared = self.recipe.adapters.task if self.recipe.adapters else None
        return self.tasks[task].adapter or shared

    def task_lora(self, task: str) -> LoraRecipe | None:
        """How a task's LoRA is trained; nothing where no method has any."""
        shared = self.recipe.lora.task if self.recipe.lora else None
        return self.tasks[task].lora or shared

    @property
    def folder(self) -> str:
        """Where the results lie."""
        return self.root or f"results/{self.name}"

    @property
    def report_folder(self) -> str:
        """Where tables and figures lie: never among those of another experiment."""
        return f"results/{self.name}"

    def has_text(self, language: str) -> bool:
        """Whether there is text to train a vector of a language on."""
        return bool(self.languages[language].corpus or self.languages[language].testbed)


def _inconsistencies(experiment: Experiment) -> Iterator[str]:
    """Names that lead nowhere, one message each."""
    for name, method in experiment.methods.items():
        if method.task == "adapter" and experiment.recipe.adapters is None:
            yield f"methods.{name}: adapters need recipe.adapters"
        if method.factored and experiment.recipe.lora is None:
            yield f"methods.{name}: LoRA needs recipe.lora"
        for wanted in (method.selection, method.start_selection):
            if wanted is not None and wanted not in experiment.selections:
                yield f"methods.{name}: there is no selection {wanted!r} (known: {_known(experiment.selections)})"
        yield from _unprunable(name, method, experiment)
    yield from _ambiguous_starts(experiment)
    for name, sweep in experiment.sweeps.items():
        for method_name in (*sweep.beside, *(m for methods in sweep.series.values() for m in methods)):
            if method_name not in experiment.methods:
                yield f"sweeps.{name}: there is no method {method_name!r}"
    recipes: dict[str, LanguageRecipe | TaskRecipe] = {
        "recipe.language": experiment.recipe.language,
        "recipe.task": experiment.recipe.task,
        **{f"tasks.{name}.recipe": task.recipe for name, task in experiment.tasks.items() if task.recipe},
    }
    for name, selection in experiment.selections.items():
        for where, recipe in recipes.items():
            if selection.select == "accumulated-gradient" and recipe.gradients is None:
                yield f"selections.{name}: selecting by gradients needs {where}.gradients"
    for name, dataset in experiment.datasets.items():
        copies = dataset.drop_near_copies
        for code in dataset.languages if dataset.drop_held_out and dataset.files else ():
            if dataset.files and "valid" not in dataset.files[code]:
                yield f"datasets.{name}: drop_held_out needs a split valid in {code}"
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
        if name in ("costs", "published"):
            yield f"tasks.{name}: a table of the report has this name; choose another"
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
    for name, other in experiment.tasks.items():
        shared = {task.train, task.test} & {other.train, other.test}
        if shared and set(other.labels) != set(task.labels):
            yield (
                f"{where}: the task {name} has other labels, but both use the dataset {min(shared)}; give one of them "
                "a dataset of its own, with the same files"
            )
    if task.published:
        yield from _unpublished(f"{where}.published", task.published, task, experiment.methods)
    for name, method in experiment.methods.items() if not experiment.has_text(task.source) else ():
        if method.adapts_source:
            yield (
                f"methods.{name}: {where} cannot be trained on top of the vector of its source language {task.source}, "
                f"which has no text; give languages.{task.source} a corpus, or set source_adaptation: false"
            )


def _ambiguous_starts(experiment: Experiment) -> Iterator[str]:
    """Names of starts of task trainings that two of them would have."""
    starts: dict[str, str] = {}
    for code in experiment.languages:
        named = [
            (code, f"languages.{code}: the adapter of {code}"),
            (f"mlm-{code}", f"the dense delta of {code}"),
            (f"lora-{code}", f"the LoRA of {code}"),
            *((f"{name}-{code}", f"selections.{name}: the vector of {code}") for name in experiment.selections),
        ]
        for start, module in named:
            if start in starts:
                yield f"{module} and {starts[start]} would both be called {start} where a task starts from them; rename"
            starts[start] = module


def _unprunable(name: str, method: Method, experiment: Experiment) -> Iterator[str]:
    selection = experiment.selections.get(method.selection or "")
    if "pruned" in (method.task, method.language) and selection and selection.select == "accumulated-gradient":
        yield (
            f"methods.{name}: a pruned vector holds values of a full fine-tuning's delta, but the selection "
            f"{method.selection} ranks summed gradients; name another selection"
        )


def _unpublished(where: str, beside: Published, task: Task, methods: Mapping[str, Method]) -> Iterator[str]:
    """What cannot be set beside our scores."""
    sets = published.load()
    if beside.scores not in sets:
        yield f"{where}: there is no set of published scores {beside.scores!r} (known: {_known(sets)})"
        return
    known = sets[beside.scores]
    if known.metric != task.metric:
        yield (
            f"{where}: {beside.scores} holds {known.metric}, the task is scored by {task.metric}; "
            "set the task's `metric`, or take `published` out"
        )
    unknown = [system for system in beside.methods if system not in known.systems]
    if not unknown and not published.comparable(beside.scores, beside.methods, task.targets):
        yield (
            f"{where}: nothing in {beside.scores} is about these targets (its languages: {_known(known.languages)}; "
            "an average needs all of them); take `published` out"
        )
    for system, method in beside.methods.items():
        if system not in known.systems:
            yield f"{where}: {beside.scores} holds no system {system!r} (known: {_known(known.systems)})"
        if method not in methods:
            yield f"{where}: there is no method {method!r} (known: {_known(methods)})"


def _known(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def load(path: Path) -> Experiment:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file is missing, not YAML, or does not describe an experiment.
    """
    return validate(read(path), str(path))


def read(path: Path) -> Any:
    """The content of a YAML file, not yet checked.

    Raises:
        ConfigError: the file is missing, or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None


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
