"""Methods: the modules of a model, and the seeds of their training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deftx.config.common import Name, Strict

Conflicts = Annotated[str, Field(json_schema_extra={"registry": "merging rules"})]
"""Rule for elements that several vectors of a sum change (`deftx.merging.conflicts`)."""


ModuleTypeName = Annotated[str, Field(json_schema_extra={"registry": "module types"})]
"""Name of a type of module (`deftx.modules.registry`)."""


class Weights(Strict):
    """Weights of the vectors in the sum."""

    task: float = 1.0
    """Weight of the task vector."""
    language: float = 1.0
    """Weight of the language vector."""


class LanguageTerm(Strict):
    """One of the language modules that a method adds."""

    of: Name = "target"
    """Its language: `target`, the language that is scored; `source`, the language in which the task is learned; or a
    language's code."""
    type: ModuleTypeName = "sft"
    """Type of the module, as for `task`."""
    weight: float = 1.0
    """Its weight in the sum; a negative one subtracts the vector."""
    selection: Name | None = None
    """Selection of a sparse vector, if it differs from the method's."""


class Method(Strict):
    """Recipe of a model of a task in a language; methods are data."""

    title: str | None = None
    """Name in tables and figures."""
    task: ModuleTypeName = "sft"
    """The task module: the delta of a full fine-tuning, a sparse vector, the denoised delta at the mask (without a
    second training), an adapter, or LoRA."""
    language: Literal["none"] | ModuleTypeName | tuple[LanguageTerm, ...] = "sft"
    """The language module of the target language: none, or as for `task`; or a list of several, in the order of
    their addition."""
    selection: Name | None = None
    """Selection of the sparse vectors."""
    source_adaptation: bool | None = None
    """Train the task on top of the source language's vector; the default if there is a language module other than
    LoRA."""
    start_selection: Name | None = None
    """Selection of that vector, if it differs from the method's: the task's initialization stays fixed while others
    vary."""
    target_adaptation: bool = False
    """Retrain the task for each language, on top of that language's vector instead of the source's."""
    swap: bool = True
    """Replace the source's language module by the target's; `false` keeps the source's, as a control."""
    weights: Weights = Weights()
    """Weights in the sum; a change retrains nothing."""
    conflicts: Conflicts = "sum"
    """Rule for elements that several vectors change: `sum` adds all values; `ties` adds those of the elected sign
    (TIES-Merging's election); `drop-overlap` adds none. A change retrains nothing."""


class Seeds(Strict):
    """Seeds of the trainings, paired by position."""

    language: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    """Seeds of the language vectors; a single one is used with all task seeds."""
    task: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    """Seeds of the task vectors; scores are named by them."""

    @model_validator(mode="after")
    def _paired(self) -> "Seeds":
        if len(self.language) not in (1, len(self.task)):
            raise ValueError("seeds.language needs one seed, or as many as seeds.task")
        if len(set(self.task)) < len(self.task):
            raise ValueError("seeds.task contains duplicates")
        return self

    def language_seed(self, task_seed: int) -> int:
        """Return the language seed paired with a task seed."""
        return dict(zip(self.task, self.language * len(self.task), strict=False))[task_seed]
