"""Loading modules of any type: vectors and LoRA, which are added to the base, and adapters, which are stacked into it.

The kind that a file states says of which type it is (`deftx.modules.registry`). The code of a type reads and checks its
files and brings them into a model; it is imported when one of its files is met: vectors are composed without torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from deftx.models.base_model import Description
from deftx.modules import format as file_format
from deftx.modules.registry import code_of_kind, type_of_kind


class Module(Protocol):
    """What files of all types have in common."""

    @property
    def metadata(self) -> Any:
        """With at least `kind`, `base` and `labels`."""

    @property
    def head(self) -> Mapping[str, NDArray[Any]]:
        """A task's head in full; empty in a language module."""

    @property
    def entries(self) -> int:
        """Number of the module's entries, those of the head aside."""


class Code(Protocol):
    """What composition and evaluation ask of the code of a type."""

    def load(self, path: Path) -> Any:
        """Read and check a file."""

    def save(self, stored: Any, path: Path) -> None:
        """Write a file; the same content gives the same bytes."""

    def check(self, terms: Sequence[tuple[Path, Any, float]], description: Description, /) -> None:
        """Refuse modules, given with files and weights, that do not fit the base model or one another."""

    def apply(self, model: Any, description: Description, terms: Sequence[tuple[Any, float]], /) -> None:
        """Bring modules into a transformers model, all of the type at once and in their order."""


def code_for(kind: str) -> Code:
    """Return the code behind a kind of file, imported when it is met: vectors are composed without torch."""
    return cast(Code, import_module(code_of_kind(kind)))


def load(path: Path) -> Any:
    """Read and check a module of any type.

    Raises:
        VectorError: the file is missing, damaged, or not a deftx file.
    """
    with file_format.Reader(path) as file:
        kind = str(file.described.get("kind"))
    return code_for(kind).load(path)


def check(terms: Sequence[tuple[Path, Module, float]], description: Description) -> None:
    """Check that modules, given with their files and weights, fit a base model and one another.

    Raises:
        VectorError: they do not; named.
    """
    for kind in _by_code(module for _, module, _ in terms):
        code = code_of_kind(kind)
        code_for(kind).check([term for term in terms if code_of_kind(term[1].metadata.kind) == code], description)


def merge(modules: Sequence[Module]) -> bool:
    """Return whether all modules end up in the base's own parameters."""
    return all(type_of_kind(module.metadata.kind).merges for module in modules)


def are_vectors(modules: Sequence[Module]) -> bool:
    """Return whether all modules are vectors, whose entries can be compared and chosen among one by one."""
    return all(type_of_kind(module.metadata.kind).has_entries for module in modules)


def apply(model: Any, description: Description, terms: Sequence[tuple[Module, float]]) -> None:
    """Bring modules into a model: first what ends up in its own parameters."""
    kinds = _by_code(module for module, _ in terms)
    for kind in sorted(kinds, key=lambda kind: not type_of_kind(kind).merges):
        code = code_of_kind(kind)
        code_for(kind).apply(model, description, [t for t in terms if code_of_kind(t[0].metadata.kind) == code])


def _by_code(modules: Iterable[Module]) -> list[str]:
    """Return a kind for each code that modules need, in the order in which they occur."""
    kinds: dict[str, str] = {}
    for module in modules:
        kinds.setdefault(code_of_kind(module.metadata.kind), module.metadata.kind)
    return list(kinds.values())
