"""Published scores, with their sources, to set beside ours: `published.json`.

A set is about one base model, test set and metric. Scores are in percent, by language; `mean` is the average over the
set's languages. Only what a source states is held, so most systems have an average alone.
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
    """Where the scores stand, and how sure that is."""


class Scores(BaseModel):
    """Published scores that can be compared with one another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str
    metric: Metric
    languages: tuple[str, ...]
    """Languages of the average."""
    systems: dict[str, System]


def load() -> Mapping[str, Scores]:
    """All sets by name."""
    content = json.loads((resources.files("deftx.evaluation") / "published.json").read_text(encoding="utf-8"))
    return {name: Scores.model_validate(scores) for name, scores in content.items()}


class Compared(BaseModel):
    """A published system, and the method of ours it is compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    title: str
    base: str
    source: str
    scores: dict[str, float]


def comparable(name: str, methods: Mapping[str, str], targets: Sequence[str]) -> list[Compared]:
    """What of a set can be compared: scores in our target languages, and the mean where it is over the same ones.

    A system with neither is left out.

    Args:
        name: of the set.
        methods: our method by the set's system.
        targets: our target languages.
    """
    scores = load()[name]
    compared = {*targets, *([MEAN] if set(scores.languages) == set(targets) else [])}
    held = {s: {k: v for k, v in scores.systems[s].scores.items() if k in compared} for s in methods}
    return [
        Compared(
            method=method,
            title=scores.systems[system].title,
            base=scores.base,
            source=scores.systems[system].source,
            scores=held[system],
        )
        for system, method in methods.items()
        if held[system]
    ]
