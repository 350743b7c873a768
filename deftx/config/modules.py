"""Recipes: sizes of modules, and their training."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from deftx.config.common import Strict
from deftx.config.training import LanguageTraining, Phase, TaskTraining


class LanguageAdapter(Strict):
    """Sizes of language adapters (Pfeiffer et al. 2020): a bottleneck in every layer, and an invertible one at the
    embeddings."""

    reduction: Annotated[int, Field(ge=1)] = 2
    """Factor by which the bottlenecks are narrower than the encoder."""
    invertible_reduction: Annotated[int, Field(ge=1)] = 2
    """Factor by which the two parts of the invertible adapter are narrower than half the encoder."""


class TaskAdapter(Strict):
    """Sizes of task adapters: a bottleneck in every layer, stacked on the language adapter's."""

    reduction: Annotated[int, Field(ge=1)] = 16
    """Factor by which the bottlenecks are narrower than the encoder."""
    leave_out_last: bool = True
    """Leave out the last layer's adapters, also the language's, when a task is learned and scored (MAD-X 2.0)."""


class Lora(Strict):
    """Sizes of LoRA (Hu et al. 2022): to a weight matrix W it adds (alpha / rank) B A."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Rows of A and columns of B; the default is that of the authors' scripts for RoBERTa."""
    alpha: Annotated[int, Field(ge=1)] = 16
    """B A is scaled by alpha / rank; the default is that of the authors' scripts for RoBERTa."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("query", "key", "value", "dense")
    """Modules of the encoder's layers whose matrices are adapted, by the end of their names. The default is all of them
    (Dettmers et al. 2023, section 4); the authors' scripts take `query` and `value`."""


class TaskAdapterRecipe(TaskAdapter):
    """Task adapters: their sizes and their training; `recipe.task` sets texts and arithmetic."""

    phase: Phase
    """Task training on top of the source language's adapter; that adapter and the encoder are frozen."""


class LoraRecipe(Lora):
    """LoRA of languages or of tasks: its sizes and its training; `recipe` sets texts and arithmetic."""

    phase: Phase
    """Masked-LM or task training; the encoder is frozen."""


class LanguageRecipe(LanguageTraining):
    """Masked-LM training in two phases."""

    full: Phase
    """Full fine-tuning."""
    sparse: Phase
    """Sparse fine-tuning of the elements in the mask."""
    gradients: Phase | None = None
    """Accumulation of gradients, for selections by them: number of steps, batches, and learning rate of the head."""


class TaskRecipe(TaskTraining):
    """Task training in two phases."""

    full: Phase
    """Full fine-tuning."""
    sparse: Phase
    """Sparse fine-tuning of the elements in the mask."""
    gradients: Phase | None = None
    """Accumulation of gradients, for selections by them: number of steps, batches, and learning rate of the head."""


class LanguageAdapterRecipe(LanguageAdapter):
    """Language adapters: their sizes and their training; `recipe.language` sets text and arithmetic."""

    phase: Phase
    """Masked-LM training; the encoder and the output embedding are frozen."""


class AdapterRecipe(Strict):
    """Training of adapters (MAD-X)."""

    language: LanguageAdapterRecipe
    """Language adapters."""
    task: TaskAdapterRecipe
    """Task adapters."""


class LoraRecipes(Strict):
    """Training of LoRA."""

    language: LoraRecipe
    """LoRA of languages."""
    task: LoraRecipe
    """LoRA of tasks."""


class Recipe(Strict):
    """Training of modules."""

    language: LanguageRecipe
    """Masked-LM training."""
    task: TaskRecipe
    """Task training."""
    adapters: AdapterRecipe | None = None
    """Training of adapters, for methods with `adapter` modules."""
    lora: LoraRecipes | None = None
    """Training of LoRA, for methods with `lora` modules."""


class TrainingSpec(Strict):
    """Specification of one training: the type of module, the objective, the settings and the seed."""

    type: str
    """Type of the trained module (`deftx.modules.registry`)."""
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
    """Length and learning rate."""
    sizes: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies defaults)
    """Sizes of the module, if it has any, as in its block of `recipe`."""
    seed: int
    """Seed of initialization, order, masking, dropout and head."""

    @model_validator(mode="after")
    def _one_objective(self) -> "TrainingSpec":
        if (self.language is None) == (self.task is None):
            raise ValueError("a training needs the settings of either a `language` or a `task`")
        if (self.task is None) != (self.labels is None):
            raise ValueError("a `task` needs `labels`, and a `language` has none")
        return self
