"""The experiment: every key of a configuration file, validated and described.

Here each block is checked by itself; whether blocks fit together is in `deftx.consistency`, and files are read in
`deftx.reading`. The JSON schema and the table in config/README.md are generated from the descriptions here and in
`deftx.settings` (`deftx schema`).
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

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
