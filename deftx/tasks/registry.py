"""What can be learned: objectives, and the kinds of tasks that are trained with them."""

from dataclasses import dataclass

from deftx.tasks.forwards.registry import FORWARDS


@dataclass(frozen=True)
class ObjectiveType:
    """What a training minimizes."""

    name: str
    """In the metadata of modules (`objective`)."""
    paper: str
    role: str
    """What is learned with it: `language` or `task`."""
    code: str
    """Module of the package with what `deftx.tasks.training_data.Code` asks for."""


@dataclass(frozen=True)
class TaskKind:
    """What the rows of a task look like, how they are learned and what they are judged by."""

    name: str
    """In the configuration (`tasks.*.kind`)."""
    paper: str
    objective: str
    forward: str
    """Its way forward where a task names none; others say themselves which kinds they suit."""
    metrics: tuple[str, ...]
    """What it can be judged by."""


_OBJECTIVES = (
    ObjectiveType("masked-lm", "Devlin et al. 2019, section 3.1", role="language", code="deftx.tasks.masked_lm"),
    ObjectiveType("classification", "Devlin et al. 2019, section 4.1", role="task", code="deftx.tasks.classification"),
)
_KINDS = (
    TaskKind(
        "classification",
        "of texts: Devlin et al. 2019, section 4.1; of pairs: Conneau et al. 2018",
        objective="classification",
        forward="plain",
        metrics=("macro_f1", "accuracy"),
    ),
)
OBJECTIVES = {entry.name: entry for entry in _OBJECTIVES}
"""By name."""
TASK_KINDS = {entry.name: entry for entry in _KINDS}
"""By name."""


def forwards_of(kind: TaskKind) -> list[str]:
    """Return the ways forward that suit a kind of task, its own first."""
    return [kind.forward, *(f.name for f in FORWARDS.values() if kind.name in f.kinds and f.name != kind.forward)]


LANGUAGE_OBJECTIVE = OBJECTIVES["masked-lm"]
"""What a language is learned with, from its text."""
