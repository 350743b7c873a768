"""Recipes: the sizes of modules and how each is trained."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from deftx.config.common import Strict
from deftx.config.training import LanguageTraining, Phase, TaskTraining


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


class TaskAdapterRecipe(TaskAdapter):
    """Task adapters: their sizes and their training, on what `recipe.task` says of texts and arithmetic."""

    phase: Phase
    """Task training on the source language's adapter, which stays as the encoder does."""


class LoraRecipe(Lora):
    """LoRA of languages or of tasks: its sizes and its training, on what `recipe` says of texts and arithmetic."""

    phase: Phase
    """Masked-LM or task training; the encoder stays."""


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


class TrainingSpec(Strict):
    """All that one training is told: what moves, what is learned, how, and from which seed."""

    type: str
    """Type of module that is trained (`deftx.modules.registry`)."""
    language: LanguageTraining | None = None
    """Settings of masked-LM on a language's text."""
    task: TaskTraining | None = None
    """Settings of a task's training."""
    labels: tuple[str, ...] | None = None
    """A task's labels, in the order of the classifier's outputs."""
    kind: str = "classification"
    """Kind of the task (`deftx.tasks.registry`)."""
    forward: str | None = None
    """How a task's model computes logits, where not by the first way that suits the kind."""
    phase: Phase
    """Length and speed."""
    sizes: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies defaults)
    """Sizes of a module that has any, as its block in `recipe`."""
    seed: int
    """Seed of first values, order, masking, dropout and head."""

    @model_validator(mode="after")
    def _one_objective(self) -> "TrainingSpec":
        if (self.language is None) == (self.task is None):
            raise ValueError("a training is that of a `language` or that of a `task`: give the settings of one")
        if (self.task is None) != (self.labels is None):
            raise ValueError("`labels` belong to a `task`, and a task needs them")
        return self
