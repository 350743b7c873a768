"""Ways forward: what a task's model computes its logits by, and the code of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Forward:
    """A way through the encoder's weights; it adds nothing to them but a head."""

    name: str
    """In the configuration (`tasks.*.forward`)."""
    paper: str
    kinds: tuple[str, ...]
    """Kinds of tasks that it suits."""
    code: str
    """Module of the package with what `deftx.tasks.objective.ForwardPass` asks for."""


_ENTRIES = (
    Forward(
        "plain",
        "Devlin et al. 2019, section 4.1: a classifier on the first token's state",
        kinds=("classification",),
        code="deftx.tasks.forwards.plain",
    ),
)
FORWARDS = {entry.name: entry for entry in _ENTRIES}
"""By name."""
