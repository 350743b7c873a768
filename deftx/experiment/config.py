"""Experiment: every key of a configuration file, validated and described.

`deftx.config` defines and checks each block. `deftx.experiment.validate` checks that they fit together, and
`deftx.experiment.load` reads files. The JSON schema and the table in config/README.md are generated from the
descriptions (`deftx schema`).
"""

from typing import Annotated

from pydantic import Field

from deftx.config.base import Base
from deftx.config.common import Name, Place, Strict
from deftx.config.data import Dataset, Family, Language, View
from deftx.config.masks import Selection
from deftx.config.methods import Method, Seeds
from deftx.config.modules import LoraRecipe, Recipe, TaskAdapterRecipe, TaskRecipe
from deftx.config.report import Compare, Sweep
from deftx.config.tasks import Task


class Experiment(Strict):
    """A complete experiment."""

    name: Name
    """Name; results are stored in results/{name}/."""
    root: Place | None = None
    """Folder of the results if it is not results/{name}, to share those of another experiment; tables and figures are
    always stored in results/{name}."""
    base: Base
    """The pretrained encoder."""
    testbed: Family | None = None
    """The family of synthetic languages, for languages and datasets of the testbed."""
    languages: Annotated[dict[Name, Language], Field(min_length=1)]
    """Languages by code."""
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    """Labelled datasets by name."""
    views: dict[Name, View] = {}  # noqa: RUF012 (pydantic copies defaults)
    """Datasets with their rows changed, by name; tasks name them like datasets."""
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    """Tasks by name."""
    recipe: Recipe
    """How vectors are trained."""
    selections: dict[Name, Selection] = {}  # noqa: RUF012 (pydantic copies defaults)
    """Selections of masks, by name."""
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    """Methods by name, in the order of tables and figures."""
    compare: Compare = Compare()
    """Methods that the report compares."""
    sweeps: dict[Name, Sweep] = {}  # noqa: RUF012
    """Figures of the score against a hyper-parameter, by name; if there are any, they replace the other figures."""
    seeds: Seeds = Seeds()
    """Seeds."""

    @property
    def compared(self) -> dict[str, str | None]:
        """Methods that are compared, by their role."""
        defaults = {"reference": "lt-sft", "proposed": "deft-x", "control": "task-sft"}
        names = {role: getattr(self.compare, role) or name for role, name in defaults.items()}
        return {role: name if name in self.methods else None for role, name in names.items()}

    def task_recipe(self, task: str) -> TaskRecipe:
        """Return the recipe of a task's training."""
        return self.tasks[task].recipe or self.recipe.task

    def task_adapter(self, task: str) -> TaskAdapterRecipe | None:
        """Return the recipe of a task's adapters, or None if no method has adapters."""
        shared = self.recipe.adapters.task if self.recipe.adapters else None
        return self.tasks[task].adapter or shared

    def task_lora(self, task: str) -> LoraRecipe | None:
        """Return the recipe of a task's LoRA, or None if no method has LoRA."""
        shared = self.recipe.lora.task if self.recipe.lora else None
        return self.tasks[task].lora or shared

    def dataset_of(self, name: str) -> str:
        """Return the dataset that a task names, itself or by a view of it."""
        return self.views[name].dataset if name in self.views else name

    @property
    def folder(self) -> str:
        """Folder of the results."""
        return self.root or f"results/{self.name}"

    @property
    def report_folder(self) -> str:
        """Folder of tables and figures, which is never that of another experiment."""
        return f"results/{self.name}"

    def has_text(self, language: str) -> bool:
        """Return whether there is text to train a vector of a language on."""
        return bool(self.languages[language].corpus or self.languages[language].testbed)
