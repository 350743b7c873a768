"""Settings of single stages: what a command takes as JSON, validated and described.

The experiment that is made of them is in `deftx.config`.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"


def _is_name(value: str) -> str:
    if not re.match(NAME, value) or value == "base":
        raise ValueError(
            f"{value!r} cannot be part of a file name here: use letters, digits, '_', '.', '-' (and not 'base')"
        )
    return value


Name = Annotated[str, AfterValidator(_is_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Conflicts = Literal["sum", "ties", "drop-overlap"]
"""What happens to entries that several vectors of a sum move (`deftx.conflicts`)."""
Split = Literal["train", "valid", "test"]
Metric = Literal["macro_f1", "accuracy"]


class Strict(BaseModel):
    """A block of the configuration: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class File(Strict):
    """A raw file: one on this machine, or a pinned one that is fetched (or taken from the mirror)."""

    path: str
    """Path on this machine; or, with `repository` or `hub`, inside that repository."""
    repository: str | None = None
    """GitHub repository, `owner/name`; needs `commit` and `sha256`."""
    hub: str | None = None
    """Dataset repository on the Hugging Face hub, `owner/name`; needs `commit`."""
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    """Commit of the repository, 40 hex digits."""
    url: str | None = None
    """Any other address; needs `sha256`. `path` is then the name inside the mirror."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the file (before compression where the mirror holds it gzipped). A file of the hub may go without: it
    is held against the hash the hub states for it at the commit."""
    size: Annotated[int, Field(ge=0)] | None = None
    """Its size in bytes, where it is known; checked, and added up by `deftx plan`."""

    @model_validator(mode="after")
    def _pinned(self) -> "File":
        if sum(bool(place) for place in (self.repository, self.hub, self.url)) > 1:
            raise ValueError("a file has one place: a repository, a repository of the hub, or a url")
        if (self.repository or self.hub) and not self.commit:
            raise ValueError("a file of a repository needs its commit")
        if (self.repository or self.url) and not self.sha256:
            raise ValueError("a file from the network needs its sha256")
        return self

    @property
    def remote(self) -> bool:
        """Whether the file has to be fetched."""
        return bool(self.repository or self.hub or self.url)

    @property
    def pin(self) -> str | None:
        """What tells a pinned file from all others, 64 hex digits: its SHA-256 if stated, else that of its place."""
        if self.sha256 or not self.hub:
            return self.sha256
        return hashlib.sha256(f"{self.hub}@{self.commit}/{self.path}".encode()).hexdigest()


class CorpusFile(File):
    """A raw file of unlabelled text: plain text, or one column of a CSV, TSV (gz or not) or Parquet file."""

    column: str | None = None
    """Column of a table that holds the text; without it every line is text. Each line of a cell of a Parquet file is
    a line."""


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


class NearCopies(Strict):
    """Which rows of a dataset are dropped because another dataset holds nearly the same text."""

    dataset: Name
    """The other dataset."""
    languages: tuple[Name, ...]
    """Its languages to compare with."""
    splits: Annotated[tuple[Split, ...], Field(min_length=1)] = ("train", "valid", "test")
    """Its splits to compare with."""
    rule: Literal["every", "nearest"] = "every"
    """Which rows go: every row that is similar to one of the other dataset, or for each of the other dataset's rows
    the nearest one by edit distance, however far (composable-sft's rule)."""
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.5
    """For `every`: rows at least this similar go, by the Dice coefficient of the sets of character trigrams of letters
    and digits."""


class DatasetSettings(Strict):
    """How labelled data is read."""

    layout: Literal["nusax", "smsa", "americasnli", "csv", "testbed"]
    """Where files lie and how they are read; `csv` takes `files` (CSV, TSV or Parquet)."""
    text: str | tuple[str, ...] = "text"
    """For `csv`: the column with the text; of several names the one a file has."""
    pair: str | tuple[str, ...] | None = None
    """For `csv`: the column with the second text (inference: the hypothesis), or several names."""
    label: str | tuple[str, ...] = "label"
    """For `csv`: the column with the label, or several names."""
    labels: dict[str, str] = {}
    """Renames labels; labels not named stay as they are."""
    train_rows_per_label: Annotated[int, Field(gt=0)] | None = None
    """At most so many rows of each label in the split `train`, chosen by a hash of the text; balances labels."""
    drop_near_copies: NearCopies | None = None
    """Drop rows that another dataset holds, so that no evaluation sentence is trained on."""
    drop_held_out: bool = False
    """Drop rows of the split `train` that the split `valid` holds too: the same letters and digits,
    lower-cased, in text and pair."""


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
    micro_batch_size: Annotated[int, Field(gt=0)] | None = None
    """Examples per forward pass, where memory holds no whole batch; the gradient stays that of the batch."""
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
    replacement: Literal["all", "corpus"] = "all"
    """Pieces that replace a tenth of the predicted tokens: any (Devlin et al. 2019), or those of the corpus. With
    `corpus` and an untied output embedding, full fine-tuning leaves out the embeddings of all other pieces: less memory
    and time, but not quite the same training."""
    output_embedding: Literal["frozen", "trained", "tied"] = "frozen"
    """The output embedding: untied from the input and frozen; untied, trained and thrown away; or tied to the input."""


class TaskTraining(Training):
    """Settings of the training of a classification task."""

    max_length: Annotated[int, Field(ge=8)] = 128
    """Texts are cut to so many tokens."""


class LanguageAdapter(Strict):
    """Sizes of language adapters (Pfeiffer et al. 2020): a bottleneck in every layer, and an invertible one at the
    embeddings."""

    reduction: Annotated[int, Field(ge=1)] = 2
    """Inner width of the bottlenecks: the encoder's over this."""
    invertible_reduction: Annotated[int, Field(ge=1)] = 2
    """Inner width of the invertible adapter's two parts: half the encoder's over this."""


class TaskAdapter(Strict):
    """Sizes of task adapters: a bottleneck in every layer, stacked on the language adapter's."""

    reduction: Annotated[int, Field(ge=1)] = 16
    """Inner width of the bottlenecks: the encoder's over this."""
    leave_out_last: bool = True
    """Leave out the last layer's adapters, the language's too, where a task is learned and scored (MAD-X 2.0)."""


class Lora(Strict):
    """Sizes of LoRA (Hu et al. 2022): to a weight matrix W it adds (alpha / rank) B A."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Rows of A and columns of B; the default is that of the authors' scripts for RoBERTa."""
    alpha: Annotated[int, Field(ge=1)] = 16
    """B A counts alpha / rank times; the default is that of the authors' scripts for RoBERTa."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("query", "key", "value", "dense")
    """Modules of the encoder's layers whose matrices are adapted, by the end of their names. The default is all of them
    (Dettmers et al. 2023, section 4); the authors' scripts take `query` and `value`."""


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


class Denoising(Strict):
    """How a delta is denoised before its largest entries are chosen."""

    rank: Rank = "none"
    """`none` (LT-SFT), `variance: x`, `uniform: r`, or `gavish-donoho`."""
    keep: Share = 0.05
    """Share of each matrix's residual entries that survive the denoising."""
    embeddings: bool = True
    """Whether embedding matrices are denoised too."""


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


class Sweep(Strict):
    """Methods that differ in one knob, for a figure of the score against it."""

    title: str
    """What is varied, for the axis."""
    at: Annotated[tuple[int | float | str, ...], Field(min_length=1)]
    """Values of the knob, in the order of the axis."""
    series: Annotated[dict[str, tuple[Name, ...]], Field(min_length=1)]
    """Lines of the figure by title: a method for each value."""
    beside: tuple[Name, ...] = ()
    """Methods without the knob, drawn across."""

    @model_validator(mode="after")
    def _complete(self) -> "Sweep":
        for title, methods in self.series.items():
            if len(methods) != len(self.at):
                raise ValueError(f"the series {title!r} names {len(methods)} methods for {len(self.at)} values")
        return self
