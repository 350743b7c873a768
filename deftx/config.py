"""The experiment: every key of a configuration file, validated and described.

`load` reads a YAML file, `validate` checks a mapping Snakemake has already read. The JSON schema and the
table in config/README.md are generated from the descriptions here (`deftx schema`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from deftx.errors import ConfigError
from deftx.testbed import Family, Variety

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"


def _is_name(value: str) -> str:
    import re

    if not re.match(NAME, value) or value == "base":
        raise ValueError(
            f"{value!r} cannot be part of a file name here: use letters, digits, '_', '.', '-' (and not 'base')"
        )
    return value


Name = Annotated[str, AfterValidator(_is_name)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A block of the configuration: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class File(Strict):
    """A raw file: one on this machine, or a pinned one that is fetched (or taken from the mirror)."""

    path: str
    """Path on this machine; or, with `repository`, inside that repository."""
    repository: str | None = None
    """GitHub repository, `owner/name`; needs `commit` and `sha256`."""
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    """Commit of the repository, 40 hex digits."""
    url: str | None = None
    """Any other address; needs `sha256`. `path` is then the name inside the mirror."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the file (before compression where the mirror holds it gzipped)."""

    @model_validator(mode="after")
    def _pinned(self) -> "File":
        if self.repository and not self.commit:
            raise ValueError("a file of a repository needs its commit")
        if (self.repository or self.url) and not self.sha256:
            raise ValueError("a file from the network needs its sha256")
        return self

    @property
    def remote(self) -> bool:
        """Whether the file has to be fetched."""
        return bool(self.repository or self.url)


class CorpusFile(File):
    """A raw file of unlabelled text: plain text, or one column of a CSV or TSV file (gz or not)."""

    column: str | None = None
    """Column of a CSV or TSV file that holds the text; without it every line is text."""


class Corpus(Strict):
    """Unlabelled text of a language."""

    files: Annotated[tuple[CorpusFile, ...], Field(min_length=1)]
    """Raw files, read in this order."""
    min_words: Annotated[int, Field(ge=1)] = 2
    """Lines of fewer words are dropped."""
    valid: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the lines held out, chosen by a hash of the line."""
    min_lines: Annotated[int, Field(ge=2)] = 100
    """Fewer clean lines than this are refused."""


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


class NearCopies(Strict):
    """Which rows of a dataset are dropped because another dataset holds nearly the same text."""

    dataset: Name
    """The other dataset (all its splits)."""
    languages: tuple[Name, ...]
    """Its languages to compare with."""
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Rows at least this similar go: Dice coefficient of the sets of character trigrams of letters and digits."""


class DatasetSettings(Strict):
    """How labelled data is read."""

    layout: Literal["nusax", "smsa", "americasnli", "csv", "testbed"]
    """Where files lie and how they are read; `csv` takes `files`."""
    text: str = "text"
    """For `csv`: the column with the text."""
    pair: str | None = None
    """For `csv`: the column with the second text (inference: the hypothesis)."""
    label: str = "label"
    """For `csv`: the column with the label."""
    labels: dict[str, str] = {}
    """Renames labels; labels not named stay as they are."""
    train_rows_per_label: Annotated[int, Field(gt=0)] | None = None
    """At most so many rows of each label in the split `train`, chosen by a hash of the text; balances labels."""
    drop_near_copies: NearCopies | None = None
    """Drop rows that another dataset holds, so that no evaluation sentence is trained on."""


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


class Phase(Strict):
    """How long and how fast one training phase runs."""

    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the training examples; without it `max_steps` decides."""
    min_steps: Annotated[int, Field(ge=0)] = 0
    """At least so many optimizer steps."""
    max_steps: Annotated[int, Field(gt=0)] | None = None
    """At most so many optimizer steps."""
    batch_size: Annotated[int, Field(gt=0)] = 8
    """Examples per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Peak learning rate of AdamW; it falls linearly to 0."""
    head_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak learning rate of the head; without it, that of the rest."""
    warmup: Share = 0.0
    """Share of the steps over which the learning rate rises linearly from 0."""
    evaluate_every: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps between two looks at held-out data; without it only the end is looked at."""
    keep: Literal["best", "last"] = "last"
    """Which of the looked-at states is kept, by held-out loss (masked-LM) or macro-F1 (classification)."""

    @model_validator(mode="after")
    def _bounded(self) -> "Phase":
        if self.epochs is None and self.max_steps is None:
            raise ValueError("a phase needs epochs, max_steps or both")
        return self


class Training(Strict):
    """Settings of a training that both objectives share."""

    l1: Annotated[float, Field(ge=0)] = 0.0
    """Pull towards the start: l1 x sum |theta - theta_start| / number of all parameters of the model."""
    freeze_layer_norm: bool = True
    """Keep the parameters of layer normalisation as they are."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Arithmetic of the forward pass; bf16 falls back to fp32 on hardware without it."""


class LanguageTraining(Training):
    """Settings of masked-LM training on a language's text."""

    block: Annotated[int, Field(ge=8)] = 256
    """Length of a training example in tokens."""
    packed: bool = True
    """Whether lines are concatenated and cut into blocks; otherwise each line is an example, cut at `block`."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that are predicted."""
    output_embedding: Literal["frozen", "trained", "tied"] = "frozen"
    """The output embedding: untied from the input and frozen; untied, trained and thrown away; or tied to the input."""


class TaskTraining(Training):
    """Settings of the training of a classification task."""

    max_length: Annotated[int, Field(ge=8)] = 128
    """Texts are cut to so many tokens."""


class LanguageRecipe(LanguageTraining):
    """Masked-LM training in two phases."""

    full: Phase
    """Full fine-tuning."""
    sparse: Phase
    """Sparse fine-tuning of the masked entries."""


class TaskRecipe(TaskTraining):
    """Task training in two phases."""

    full: Phase
    """Full fine-tuning."""
    sparse: Phase
    """Sparse fine-tuning of the masked entries."""


class VarianceRank(Strict):
    """The smallest rank whose squared singular values sum to this share of all."""

    variance: Annotated[float, Field(gt=0, le=1)]
    """Share of the sum of squared singular values."""


class UniformRank(Strict):
    """One rank for all matrices; smaller matrices are kept whole."""

    uniform: Annotated[int, Field(ge=1)]
    """The rank."""


def _rank_kind(value: Any) -> str:
    if isinstance(value, (VarianceRank, UniformRank)):
        return "variance" if isinstance(value, VarianceRank) else "uniform"
    if isinstance(value, Mapping):
        return "uniform" if "uniform" in value else "variance"
    return "rule"


Rank = Annotated[
    Annotated[Literal["none", "gavish-donoho"], Tag("rule")]
    | Annotated[VarianceRank, Tag("variance")]
    | Annotated[UniformRank, Tag("uniform")],
    Discriminator(_rank_kind),
]
Budget = Annotated[int, Field(ge=0, strict=True)] | Annotated[float, Field(ge=0, le=1, strict=True)]


class Budgets(Strict):
    """How many entries a mask has: a number of entries, or with a decimal point a share of all maskable."""

    language: Budget
    """For language vectors."""
    task: Budget
    """For task vectors."""


class Denoising(Strict):
    """How a delta is denoised before its largest entries are chosen."""

    rank: Rank = "none"
    """`none` (LT-SFT), `variance: x`, `uniform: r`, or `gavish-donoho`."""
    keep: Share = 0.05
    """Share of each matrix' residual entries that survive the denoising."""
    embeddings: bool = True
    """Whether embedding matrices are denoised too."""


class Selection(Denoising):
    """How a mask is chosen from a delta."""

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
    task: Literal["dense", "sft"] = "sft"
    """The task module: the full fine-tuning's delta, or a sparse vector."""
    language: Literal["none", "sft"] = "sft"
    """The language module: none, or a sparse vector of the target language."""
    selection: Name | None = None
    """Selection of the sparse vectors."""
    source_adaptation: bool | None = None
    """Train the task on top of the source language's vector; by default where there is a language module."""
    weights: Weights = Weights()
    """Weights in the sum; trains nothing anew."""

    @model_validator(mode="after")
    def _selected(self) -> "Method":
        if self.selection is None and (self.task == "sft" or self.language == "sft" or self.source_adaptation):
            raise ValueError("a method with a sparse vector, also of the source language, names its selection")
        return self

    @property
    def adapts_source(self) -> bool:
        """Whether the task is trained on top of the source language's vector."""
        return self.language != "none" if self.source_adaptation is None else self.source_adaptation


class Pretraining(Strict):
    """A tiny encoder trained by the workflow itself on some of the languages."""

    languages: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Languages it sees."""
    layers: Annotated[int, Field(ge=1)] = 2
    """Transformer layers."""
    hidden: Annotated[int, Field(ge=4)] = 96
    """Width; a multiple of `heads`."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads."""
    intermediate: Annotated[int, Field(ge=4)] | None = None
    """Width of the feed-forward part; without it four times `hidden`."""
    dropout: Share = 0.1
    """Dropout, in training here and in everything trained from this base."""
    initializer_range: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of the first weights."""
    block: Annotated[int, Field(ge=8)] = 64
    """Length of a training example in tokens."""
    packed: bool = True
    """Whether lines are concatenated and cut into blocks; otherwise each line is an example, cut at `block`."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that are predicted."""
    phase: Phase
    """Length and speed of the training."""
    seed: int = 0
    """Seed of the weights and of the order of the examples."""


class Base(Strict):
    """The pretrained encoder everything starts from."""

    model: str | None = None
    """Hub id or local folder of a masked-LM checkpoint; the environment variable DEFTX_BASE goes first."""
    revision: str | None = None
    """Commit on the hub."""
    pretrain: Pretraining | None = None
    """Instead of `model`: train a tiny one."""

    @model_validator(mode="after")
    def _one(self) -> "Base":
        if (self.model is None) == (self.pretrain is None):
            raise ValueError("base needs either `model` or `pretrain`")
        return self


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


class Recipe(Strict):
    """How vectors are trained."""

    language: LanguageRecipe
    """Masked-LM training."""
    task: TaskRecipe
    """Task training."""


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
    selections: dict[Name, Selection] = {}
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

    @property
    def folder(self) -> str:
        """Where the results lie."""
        return self.root or f"results/{self.name}"


def _inconsistencies(experiment: Experiment) -> Iterator[str]:
    """Names that lead nowhere, one message each."""
    for name, method in experiment.methods.items():
        if method.selection is not None and method.selection not in experiment.selections:
            yield f"methods.{name}: there is no selection {method.selection!r} (known: {_known(experiment.selections)})"
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
    needed = {code for code in task.targets if any(m.language == "sft" for m in methods)}
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
