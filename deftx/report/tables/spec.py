"""Specification of the tables: tasks, methods, languages and seeds."""

from pydantic import BaseModel, ConfigDict

from deftx.config.tasks import Metric
from deftx.evaluation.published import Compared

TABLES = ("scores", "seeds", "comparisons", "published", "gains", "training")
"""Names of the tables in CSV."""


class TaskPlan(BaseModel):
    """Specification of one task's tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[str, ...]
    source: str
    targets: tuple[str, ...]
    scored: tuple[str, ...]
    """Languages with scores: the targets, and the source if the test set has it."""
    metric: Metric = "macro_f1"
    published: tuple[Compared, ...] = ()
    """Published scores to compare with ours."""
    note: str | None = None
    """Other differences between ours and the published scores than the method."""


class Plan(BaseModel):
    """Specification of all tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[str, TaskPlan]
    methods: dict[str, str]
    """Titles by method."""
    languages: dict[str, str]
    """Names by language."""
    seeds: tuple[int, ...]
    lacking: dict[str, dict[str, tuple[str, ...]]] = {}
    """Languages scored without a vector, by method that adds one and task: they have no text."""
    vectors: tuple[str, ...] = ()
    """Trained deltas and SFTs, as their files' names below the results without the ending."""
    reference: str | None = None
    """Method that all others are tested against."""
    proposed: str | None = None
    """Method that is tested against all others."""
    control: str | None = None
    """Method without language vector that gains are computed over."""
