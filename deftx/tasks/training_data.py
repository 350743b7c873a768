"""What is learned: masked-LM on a language's text, or a task on labelled rows.

A lesson is data and an objective over it, the same whatever moves: all weights, masked entries, adapters or LoRA.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from deftx.config.training import LanguageTraining, TaskTraining, Training
from deftx.core.device import wants_bf16
from deftx.data.rows import check_labels
from deftx.data.rows import load as load_rows
from deftx.data.tokenization import cached
from deftx.models import base_model
from deftx.tasks.classification import Classification
from deftx.tasks.masked_lm import MaskedLM


@dataclass(frozen=True)
class Text:
    """Masked-LM on a language's text."""

    role: ClassVar[Literal["language"]] = "language"
    kind: ClassVar[Literal["masked-lm"]] = "masked-lm"
    labels: ClassVar[None] = None
    train: Path
    valid: Path
    recipe: LanguageTraining

    def objective(self, description: base_model.Description) -> MaskedLM:
        """The objective over the text, tokenised.

        Raises:
            CorpusError: the text is shorter than one block.
        """
        tokenizer = base_model.tokenizer(description)
        train, valid = (cached(tokenizer, p, self.recipe.block, self.recipe.packed) for p in (self.train, self.valid))
        return MaskedLM(tokenizer, train, valid, self.recipe.mask_probability, self.recipe.replacement)

    def model(self, description: base_model.Description, seed: int) -> Any:
        """The base with its masked-LM head, and the output embedding that the recipe asks for."""
        model = base_model.masked_lm(description, untied=self.recipe.output_embedding != "tied", seed=seed)
        if self.recipe.output_embedding == "frozen":
            freeze_output(model, self.recipe)
        return model


@dataclass(frozen=True)
class Rows:
    """Classification of labelled texts or pairs of texts."""

    role: ClassVar[Literal["task"]] = "task"
    kind: ClassVar[Literal["classification"]] = "classification"
    train: Path
    valid: Path
    recipe: TaskTraining
    labels: Sequence[str]

    def objective(self, description: base_model.Description) -> Classification:
        """The objective over the rows, tokenised.

        Raises:
            DatasetError: a label is none of `labels`.
        """
        rows = load_rows(self.train), load_rows(self.valid)
        for some, path in zip(rows, (self.train, self.valid), strict=True):
            check_labels(some, self.labels, path)
        tokenizer = base_model.tokenizer(description)
        return Classification(tokenizer, *rows, self.labels, self.recipe.max_length)

    def model(self, description: base_model.Description, seed: int) -> Any:
        """The base with a new head, whose first values depend on `seed` alone."""
        return base_model.classifier(description, self.labels, seed)


Lesson = Text | Rows


def freeze_output(model: Any, recipe: Training) -> None:
    """Freeze a masked-LM's output embedding. Under bf16 it is stored as what every forward pass would make of it."""
    weight = model.get_output_embeddings().weight.requires_grad_(False)
    if wants_bf16(recipe.precision):
        weight.data = weight.data.bfloat16()
