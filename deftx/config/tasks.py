"""Tasks: their training data, test sets and metrics."""

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
    """Language in which the task is learned."""
    train: Name
    """Dataset with the splits `train` and `valid` in the source language."""
    test: Name
    """Dataset on which the methods are scored."""
    split: Literal["valid", "test"] = "test"
    """Split of `test` that is scored; use `valid` while hyper-parameters are still to be chosen."""
    targets: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Languages scored without training labels; the source language is also scored if `test` has it."""
    recipe: "TaskRecipe | None" = None
    """Training of this task, if it differs from `recipe.task`."""
    metric: Metric = "macro_f1"
    """Metric, in percent: macro-averaged F1, or accuracy (usual for inference); a change retrains nothing."""
    published: Published | None = None
    """Published scores that the report compares with ours."""
    adapter: TaskAdapterRecipe | None = None
    """Training of this task's adapters, if it differs from `recipe.adapters.task`."""
    lora: LoraRecipe | None = None
    """Training of this task's LoRA, if it differs from `recipe.lora.task`."""
