"""Published scores, with their sources, to compare with ours: `published.json`.

A set belongs to one base model, test set and metric. Scores are in percent, by language; `mean` is the average over the
set's languages. Only scores that a source states are included, so most systems have only an average.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import resources

from pydantic import BaseModel, ConfigDict

from deftx.config.tasks import Metric
from deftx.evaluation.names import MEAN


class System(BaseModel):
    """Scores of one system."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    scores: dict[str, float]
    source: str
    """Publication of the scores, and how certain it is."""


class Scores(BaseModel):
    """Set of published scores that can be compared with each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str
    metric: Metric
    languages: tuple[str, ...]
    """Languages of the average."""
    systems: dict[str, System]


def load() -> Mapping[str, Scores]:
    """Load all sets by name."""
    content = json.loads((resources.files("deftx.evaluation") / "published.json").read_text(encoding="utf-8"))
    return {name: Scores.model_validate(scores) for name, scores in content.items()}


class Compared(BaseModel):
    """Published system, and our method to compare with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    title: str
    base: str
    source: str
    scores: dict[str, float]


def comparable(name: str, methods: Mapping[str, str], targets: Sequence[str]) -> list[Compared]:
    """Return the comparable scores of a set: those in our target languages, and the mean if it is over the same ones.

    A system with neither is left out.

    Args:
        name: name of the set.
        methods: our method by the set's system.
        targets: our target languages.
    """
    scores = load()[name]
    compared = {*targets, *([MEAN] if set(scores.languages) == set(targets) else [])}
    selected = {s: {k: v for k, v in scores.systems[s].scores.items() if k in compared} for s in methods}
    return [
        Compared(
            method=method,
            title=scores.systems[system].title,
            base=scores.base,
            source=scores.systems[system].source,
            scores=selected[system],
        )
        for system, method in methods.items()
        if selected[system]
    ]
