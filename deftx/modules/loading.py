"""Families of modules: vectors and LoRA, which are added to the base, and adapters, which are stacked into it.

A family reads and checks its files and brings them into a model; the kind that a file states says which family it is
of. A family is imported when one of its files is met: vectors are composed without torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from deftx.models.base_model import Description, encoder_parameters
from deftx.modules import addition, vectors
from deftx.modules import format as file_format
from deftx.modules.registry import CODE


class Module(Protocol):
    """What all families' files have in common."""

    @property
    def metadata(self) -> Any:
        """With at least `kind`, `base` and `labels`."""

    @property
    def head(self) -> Mapping[str, NDArray[Any]]:
        """A task's head in full; empty in a language module."""

    @property
    def entries(self) -> int:
        """Number of the module's entries, those of the head aside."""


class Family(Protocol):
    """What composition and evaluation ask of a family."""

    @property
    def MERGES(self) -> bool:  # noqa: N802 (a constant of the family's module)
        """Whether its modules end up in the base's own parameters."""

    def load(self, path: Path) -> Any:
        """Read and check a file."""

    def check(self, terms: Sequence[tuple[Path, Any, float]], description: Description, /) -> None:
        """Refuse modules, given with files and weights, that do not fit the base model or one another."""

    def apply(self, model: Any, description: Description, terms: Sequence[tuple[Any, float]], /) -> None:
        """Bring modules into a transformers model, all of the family at once and in their order."""


class Vectors:
    """Sparse and dense differences to the base (`deftx.modules.vectors`, `deftx.merging.arithmetic`)."""

    MERGES = True

    def load(self, path: Path) -> vectors.Vector:
        return vectors.load(path)

    def check(self, terms: Sequence[tuple[Path, vectors.Vector, float]], description: Description, /) -> None:
        for path, vector, _ in terms:
            vectors.check_fits(vector.metadata, description.shapes, description.hash, path)

    def apply(self, model: Any, description: Description, terms: Sequence[tuple[vectors.Vector, float]], /) -> None:
        state = {name: p.data for name, p in encoder_parameters(model, description).items()}
        for vector, weight in terms:
            addition.add(state, vector, weight)


VECTORS = Vectors()


def family_of(kind: str) -> Family:
    """The family of a kind of file, imported when it is met: vectors are composed without torch."""
    code = CODE.get(kind)
    return VECTORS if code is None else cast(Family, import_module(code))


def load(path: Path) -> Any:
    """Read and check a module of any family.

    Raises:
        VectorError: the file is missing, damaged, or not a deftx file.
    """
    with file_format.Reader(path) as file:
        kind = str(file.described.get("kind"))
    return family_of(kind).load(path)


def check(terms: Sequence[tuple[Path, Module, float]], description: Description) -> None:
    """Check that modules, given with their files and weights, fit a base model and one another.

    Raises:
        VectorError: they do not; named.
    """
    for family in _families(module for _, module, _ in terms):
        family.check([term for term in terms if _is_of(term[1], family)], description)


def merge(modules: Sequence[Module]) -> bool:
    """Whether all modules end up in the base's own parameters."""
    return all(family_of(module.metadata.kind).MERGES for module in modules)


def are_vectors(modules: Sequence[Module]) -> bool:
    """Whether all modules are vectors, whose entries can be compared and chosen among one by one."""
    return all(family_of(module.metadata.kind) is VECTORS for module in modules)


def apply(model: Any, description: Description, terms: Sequence[tuple[Module, float]]) -> None:
    """Bring modules into a model: first what ends up in its own parameters."""
    for family in sorted(_families(module for module, _ in terms), key=lambda family: not family.MERGES):
        family.apply(model, description, [term for term in terms if _is_of(term[0], family)])


def _families(modules: Iterable[Module]) -> list[Family]:
    """The families of modules, each once, in the order in which they occur."""
    return list({id(family): family for family in (family_of(m.metadata.kind) for m in modules)}.values())


def _is_of(module: Module, family: Family) -> bool:
    return family_of(module.metadata.kind) is family
