"""Methods: which modules make up a model, and the seeds they are trained with."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deftx.config.common import Name, Strict

Conflicts = Literal["sum", "ties", "drop-overlap"]
"""What happens to entries that several vectors of a sum move (`deftx.merging.conflicts`)."""


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
