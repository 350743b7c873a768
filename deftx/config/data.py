"""Data: raw files, corpora of languages, labelled datasets, and synthetic languages."""

import hashlib
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from deftx.config.common import Name, Place, Strict

Split = Literal["train", "valid", "test"]


class File(Strict):
    """A raw file: a local one, or a pinned one that is downloaded or copied from the mirror."""

    path: Place
    """Local path; or, with `repository` or `hub`, the path inside that repository."""
    repository: str | None = None
    """GitHub repository, `owner/name`; needs `commit` and `sha256`."""
    hub: str | None = None
    """Dataset repository on the Hugging Face hub, `owner/name`; needs `commit`."""
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    """Commit of the repository, 40 hex digits."""
    url: str | None = None
    """Any other address; needs `sha256`. `path` is then the name inside the mirror."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the file (before compression if the mirror holds it gzipped). A file of the hub does not need it: it
    is checked against the hash that the hub states for it at the commit."""
    size: Annotated[int, Field(ge=0)] | None = None
    """Its size in bytes, if known; checked, and summed by `deftx plan`."""

    @model_validator(mode="after")
    def _pinned(self) -> "File":
        if sum(bool(source) for source in (self.repository, self.hub, self.url)) > 1:
            raise ValueError("give one of `repository`, `hub` and `url`")
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
        """Identifier of a pinned file, 64 hex digits: its SHA-256 if stated, otherwise that of its address."""
        if self.sha256 or not self.hub:
            return self.sha256
        return hashlib.sha256(f"{self.hub}@{self.commit}/{self.path}".encode()).hexdigest()


class CorpusFile(File):
    """A raw file of unlabelled text: plain text, or one column of a CSV, TSV (gz or not) or Parquet file."""

    column: str | None = None
    """Column of a table that contains the text; without it every line is text. Each line in a cell of a Parquet file
    counts as a line."""


class Corpus(Strict):
    """Unlabelled text of a language."""

    files: Annotated[tuple[CorpusFile, ...], Field(min_length=1)]
    """Raw files, read in this order."""
    min_words: Annotated[int, Field(ge=1)] = 2
    """Lines with fewer words are dropped."""
    valid: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the lines in the validation set, chosen by a hash of the line."""
    min_lines: Annotated[int, Field(ge=2)] = 100
    """Minimum number of clean lines."""


class NearCopies(Strict):
    """Rows of a dataset to drop because another dataset contains nearly the same text."""

    dataset: Name
    """The other dataset."""
    languages: tuple[Name, ...]
    """Its languages to compare with."""
    splits: Annotated[tuple[Split, ...], Field(min_length=1)] = ("train", "valid", "test")
    """Its splits to compare with."""
    rule: Literal["every", "nearest"] = "every"
    """Rows to drop: every row that is similar to one of the other dataset, or for each of the other dataset's rows the
    nearest one by edit distance, however far (composable-sft's rule)."""
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.5
    """For `every`: minimum similarity of dropped rows, by the Dice coefficient of the sets of character trigrams of
    letters and digits."""


class DatasetSettings(Strict):
    """Format of labelled data, and its filters."""

    layout: Literal["nusax", "smsa", "americasnli", "csv", "testbed"]
    """Location and format of the files; `csv` takes `files` (CSV, TSV or Parquet)."""
    text: str | tuple[str, ...] = "text"
    """For `csv`: the column with the text, or several names of which a file has one."""
    pair: str | tuple[str, ...] | None = None
    """For `csv`: the column with the second text (inference: the hypothesis), or several names."""
    label: str | tuple[str, ...] = "label"
    """For `csv`: the column with the label, or several names."""
    labels: dict[str, str] = {}  # noqa: RUF012 (pydantic copies defaults)
    """New names of labels; all other labels stay unchanged."""
    train_rows_per_label: Annotated[int, Field(gt=0)] | None = None
    """Maximum number of rows per label in the split `train`, chosen by a hash of the text; balances labels."""
    drop_near_copies: NearCopies | None = None
    """Drop rows that another dataset contains, so that no evaluation sentence is in the training data."""
    drop_held_out: bool = False
    """Drop rows of the split `train` that the split `valid` also contains: the same letters and digits,
    lower-cased, in text and pair."""


Order = Literal["SVO", "SOV", "VSO"]
ENDINGS = 4
"""Endings of a language: subject, object, past, present (`deftx.data.synthetic.ENDINGS`)."""


class Family(Strict):
    """Properties that the languages of a family share: concepts, stock of forms, and sizes of the data."""

    seed: int = 0
    """Seed of the stock of forms, the meanings and the languages."""
    nouns: int = Field(default=12, ge=2)
    """Concepts of things and people."""
    adjectives: int = Field(default=8, ge=1)
    """Concepts of properties, for each of the three polarities."""
    verbs: int = Field(default=5, ge=1)
    """Concepts of actions, for each of the three polarities."""
    adverbs: int = Field(default=4, ge=1)
    """Concepts that strengthen or weaken, without polarity."""
    words: int = Field(default=500, ge=1)
    """Stock of word forms; the first ones are those of the family's first language."""
    affixes: int = Field(default=60, ge=1)
    """Stock of endings."""
    clauses: tuple[int, int] = (2, 3)
    """Minimum and maximum number of clauses of a labelled sentence."""
    text_clauses: tuple[int, int] = (3, 5)
    """Minimum and maximum number of clauses of a review in the unlabelled text."""
    coherence: float = Field(default=0.95, ge=0, le=1)
    """Share of the clauses of a polar review that have its polarity (at least one has); the others are neutral."""
    agreement: float = Field(default=0.95, ge=0, le=1)
    """Probability that a rating or an emoticon agrees with the review; otherwise all are equally likely."""
    ratings: float = Field(default=0.6, ge=0, le=1)
    """Share of the unlabelled reviews that begin with a rating."""
    emoticons: float = Field(default=0.5, ge=0, le=1)
    """Share of the clauses of unlabelled reviews that end with an emoticon."""
    lines: int = Field(default=12000, ge=1)
    """Lines of unlabelled text in each language, one review each."""
    train: int = Field(default=2000, ge=1)
    """Labelled training rows."""
    valid: int = Field(default=300, ge=1)
    """Labelled validation rows."""
    test: int = Field(default=600, ge=1)
    """Labelled test rows."""

    @field_validator("clauses", "text_clauses")
    @classmethod
    def _ascending(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1]:
            raise ValueError(f"{value}: the minimum number of clauses must be at least 1 and at most the maximum")
        return value

    @model_validator(mode="after")
    def _enough(self) -> "Family":
        needed = self.nouns + self.adverbs + 3 * (self.adjectives + self.verbs)
        if self.words < needed or self.affixes < ENDINGS:
            raise ValueError(
                f"a language needs {needed} words and {ENDINGS} endings, but the family has "
                f"{self.words} and {self.affixes}: increase `words` or `affixes`"
            )
        return self


class Variety(Strict):
    """Differences of a language from its family's first one; with the defaults there are none."""

    cognates: float = Field(default=1.0, ge=0, le=1)
    """Share of the concepts, in each group, that have the same form as in the family's first language."""
    word_order: Order = "SVO"
    """Order of subject, verb and object; if the verb comes first, so does a property."""
    affixes: float = Field(default=0.0, ge=0, le=1)
    """Share of the endings that differ from those of the family's first language."""


class Language(Strict):
    """A language, and the source of its unlabelled text."""

    name: str | None = None
    """Its name, for tables and figures."""
    corpus: Corpus | None = None
    """Its text; not needed for a language that is only evaluated without a language vector."""
    testbed: Variety | None = None
    """For a synthetic language: its differences from its family's first one."""

    @model_validator(mode="after")
    def _one(self) -> "Language":
        if self.corpus and self.testbed:
            raise ValueError("a language has either a corpus or a testbed entry, not both")
        return self


TransformName = Annotated[str, Field(json_schema_extra={"registry": "transforms"})]
"""Name of a transform of rows (`deftx.views.registry`)."""


class Step(Strict):
    """A transform of a view."""

    transform: TransformName
    """What changes the rows."""
    settings: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies defaults)
    """Settings of the transform."""


class View(Strict):
    """Rows of a dataset, changed by transforms; a task names it like a dataset."""

    dataset: Name
    """The dataset whose rows are changed, each split and language by itself."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    """Transforms, in the order in which they are applied."""
    seed: int = 0
    """Seed of all chance in transforms."""


class Dataset(DatasetSettings):
    """Labelled data, in a built-in layout or in CSV, TSV or Parquet files."""

    languages: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Languages of this dataset to load."""
    files: dict[Name, dict[Split, File | tuple[File, ...]]] | None = None
    """For `csv`: the file, or several files in order, by language and split."""

    @model_validator(mode="after")
    def _files(self) -> "Dataset":
        if (self.layout == "csv") != (self.files is not None):
            raise ValueError("the layout csv needs `files`, and only that layout has them")
        missing = [lang for lang in self.languages if self.files is not None and lang not in self.files]
        if missing:
            raise ValueError(f"`files` lacks {', '.join(missing)}")
        return self
