"""Methods: which modules make up a model, and the seeds they are trained with."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deftx.config.common import Name, Strict

Conflicts = Annotated[str, Field(json_schema_extra={"registry": "merging rules"})]
"""What happens to entries that several vectors of a sum move (`deftx.merging.conflicts`)."""


ModuleTypeName = Annotated[str, Field(json_schema_extra={"registry": "module types"})]
"""Name of a type of module (`deftx.modules.registry`)."""


class Weights(Strict):
    """Weights of the vectors in the sum."""

    task: float = 1.0
    """Weight of the task vector."""
    language: float = 1.0
    """Weight of the language vector."""


class LanguageTerm(Strict):
    """A language module among those that a method adds."""

    of: Name = "target"
    """Whose: `target`, the language that is scored; `source`, that in which the task is learned; or a language's
    code."""
    type: ModuleTypeName = "sft"
    """Type of the module, as for `task`."""
    weight: float = 1.0
    """Its weight in the sum; a negative one takes the vector away."""
    selection: Name | None = None
    """Selection of a sparse vector, where it is not the method's own."""


class Method(Strict):
    """A way from base model to a model of a task in a language; methods are data."""

    title: str | None = None
    """Name in tables and figures."""
    task: ModuleTypeName = "sft"
    """The task module: the full fine-tuning's delta, a sparse vector, without a second training what the denoised delta
    holds at the mask, an adapter, or LoRA."""
    language: Literal["none"] | ModuleTypeName | tuple[LanguageTerm, ...] = "sft"
    """The language module of the target language: none, or as for `task`; or a list of several, in the order they are
    added."""
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
