"""The experiment: every key of a configuration file, validated and described.

Blocks are defined, and each checked by itself, in `deftx.config`; whether they fit together is in
`deftx.experiment.validate`, and files are read in `deftx.experiment.load`. The JSON schema and the table in
config/README.md are generated from the descriptions (`deftx schema`).
"""

from typing import Annotated

from pydantic import Field

from deftx.config.base import Base
from deftx.config.common import Name, Strict
from deftx.config.data import Dataset, Family, Language, View
from deftx.config.masks import Selection
from deftx.config.methods import Method, Seeds
from deftx.config.modules import LoraRecipe, Recipe, TaskAdapterRecipe, TaskRecipe
from deftx.config.report import Compare, Sweep
from deftx.config.tasks import Task


class Experiment(Strict):
    """A whole experiment."""

    name: Name
    """Results lie under results/{name}/."""
    root: str | None = None
    """Folder of the results where it is not results/{name}, to share those of another experiment; tables and figures
    lie under results/{name} all the same."""
    base: Base
    """The pretrained encoder."""
    testbed: Family | None = None
    """The family of artificial languages, for languages and datasets of the testbed."""
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
    """Ways to choose a mask, by name."""
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    """Methods by name, in the order of tables and figures."""
    compare: Compare = Compare()
    """What the report compares."""
    sweeps: dict[Name, Sweep] = {}  # noqa: RUF012
    """Figures of the score against a knob, by name; with any, they take the place of the other figures."""
    seeds: Seeds = Seeds()
    """Seeds."""

    @property
    def compared(self) -> dict[str, str | None]:
        """The methods that are compared, by their part in it."""
        usual = {"reference": "lt-sft", "proposed": "deft-x", "control": "task-sft"}
        named = {part: getattr(self.compare, part) or name for part, name in usual.items()}
        return {part: name if name in self.methods else None for part, name in named.items()}

    def task_recipe(self, task: str) -> TaskRecipe:
        """How a task is trained."""
        return self.tasks[task].recipe or self.recipe.task

    def task_adapter(self, task: str) -> TaskAdapterRecipe | None:
        """How a task's adapters are trained; nothing where no method has adapters."""
        shared = self.recipe.adapters.task if self.recipe.adapters else None
        return self.tasks[task].adapter or shared

    def task_lora(self, task: str) -> LoraRecipe | None:
        """How a task's LoRA is trained; nothing where no method has any."""
        shared = self.recipe.lora.task if self.recipe.lora else None
        return self.tasks[task].lora or shared

    def dataset_of(self, name: str) -> str:
        """Return the dataset that a task names, itself or by a view of it."""
        return self.views[name].dataset if name in self.views else name

    @property
    def folder(self) -> str:
        """Where the results lie."""
        return self.root or f"results/{self.name}"

    @property
    def report_folder(self) -> str:
        """Where tables and figures lie: never among those of another experiment."""
        return f"results/{self.name}"

    def has_text(self, language: str) -> bool:
        """Whether there is text to train a vector of a language on."""
        return bool(self.languages[language].corpus or self.languages[language].testbed)
