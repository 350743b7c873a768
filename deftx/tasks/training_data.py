"""What is learned: data and an objective over them, the same whatever moves.

An entry of the registry (`deftx.tasks.registry`) names the code that makes the objective, and the model for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from deftx.config.training import LanguageTraining, TaskTraining
from deftx.models.base_model import Description
from deftx.tasks.objective import Objective
from deftx.tasks.registry import ObjectiveType


@dataclass(frozen=True)
class TrainingData:
    """Data to learn from, and how."""

    entry: ObjectiveType
    train: Path
    """Text or labelled rows."""
    valid: Path
    """The part that is held out."""
    recipe: LanguageTraining | TaskTraining
    labels: Sequence[str] | None = None
    """A task's labels, in the order of the classifier's outputs."""
    forward: str = "plain"
    """How a task's model computes logits (`deftx.tasks.forwards.registry`)."""

    @property
    def role(self) -> Literal["language", "task"]:
        """Whether a language is learned or a task."""
        return cast(Literal["language", "task"], self.entry.role)

    def objective(self, description: Description) -> Objective:
        """Return the objective over the data, tokenised.

        Raises:
            CorpusError, DatasetError: nothing can be learned from the data.
        """
        return self._code.objective(self, description)

    def model(self, description: Description, seed: int) -> Any:
        """Return the base with the objective's head, whose initialization depends on `seed` alone."""
        return self._code.model(self, description, seed)

    @property
    def _code(self) -> "Code":
        return cast(Code, import_module(self.entry.code))


class Code(Protocol):
    """What the code of an objective offers."""

    def objective(self, data: TrainingData, description: Description) -> Objective:
        """Return the objective over the data, tokenised."""

    def model(self, data: TrainingData, description: Description, seed: int) -> Any:
        """Return the base with the objective's head."""
