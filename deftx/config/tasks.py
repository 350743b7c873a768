"""Tasks: where a task is learned and where it is tried."""

from typing import Annotated, Literal

from pydantic import Field

from deftx.config.common import Name, Strict
from deftx.config.modules import LoraRecipe, TaskAdapterRecipe, TaskRecipe
from deftx.config.report import Published

Metric = Literal["macro_f1", "accuracy"]


Kind = Annotated[str, Field(json_schema_extra={"registry": "task kinds"})]
"""Name of a kind of task (`deftx.tasks.registry`)."""
ForwardName = Annotated[str, Field(json_schema_extra={"registry": "forwards"})]
"""Name of a way forward (`deftx.tasks.forwards.registry`)."""


class Task(Strict):
    """A task: what it is, where it is learned and where it is tried."""

    kind: Kind = "classification"
    """What its rows look like: a text or a pair of texts with one label."""
    forward: ForwardName | None = None
    """How its model computes logits, where not by the first way that suits the kind; `plain` is a classifier on the
    first token."""
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
