"""Hashes of files and of code: what makes a job run again."""

import ast
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
OUTSIDE = {"deftx.cli", "deftx.config", "deftx.experiment", "deftx.core.hashing", "deftx.core.provenance",
           "deftx.training.progress"}  # fmt: skip
"""Packages and modules whose effect on a result arrives through a job's parameters, or that have none."""


def fingerprint(files: Iterable[Path]) -> str:
    """Which files these are, by their sizes and samples of their bytes, not by where they lie or how old they are.

    A checkpoint of several GB is told from another in a moment; 64 samples of 4 KiB are spread over each file.
    """
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            for sample in range(64):
                stream.seek(size * sample // 64)
                digest.update(stream.read(4096))
    return digest.hexdigest()[:16]


@cache
def code_of(*modules: str) -> str:
    """Return a hash over the code of modules and of the package's modules they import, at any depth.

    Comments, docstrings and layout do not count, nor what only a type checker imports; imports inside functions and
    each package's `__init__` do. An import counts by the code it leads to and not by its name, so that a module may
    move. A registry is no way in: an entry names its code as text, and whoever uses the entry adds that code here.

    Snakemake does not see edits in an imported package; a rule that carries this hash among its params runs again
    when its code has changed.
    """
    digest = hashlib.sha256()
    for linked in sorted({_linked(name) for name in _reached(modules)}):
        digest.update(f"{linked}\n".encode())
    return digest.hexdigest()[:16]


def code_of_entry(entry: Any, *modules: str) -> str:
    """Return a hash over modules and over the fields of a registry's entry, which may be any dataclass.

    What a person alone reads, its title and its paper, does not count.
    """
    fields = {name: value for name, value in asdict(entry).items() if name not in ("title", "paper")}
    return _hashed(f"{code_of(*modules)} {fields}")[:16]


def _reached(modules: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in reached or _is_outside(name):
            continue
        source = _path(name)
        if source is None:
            raise ValueError(f"there is no module {name}, so there is no code of it")
        reached.add(name)
        parents = name.split(".")[:-1]
        waiting += [".".join(parents[: n + 1]) for n in range(1, len(parents))]
        waiting += [_target(*imported)[0] for imported in _parsed(source.read_bytes())[0]]
    return reached


def _is_outside(name: str) -> bool:
    """Whether a module does not count: its effect arrives through parameters, or through the entry that is used."""
    parts = name.split(".")
    above = {".".join(parts[:n]) for n in range(2, len(parts) + 1)}
    return len(parts) == 1 or parts[-1] == "registry" or not OUTSIDE.isdisjoint(above)


def _target(module: str, attribute: str) -> tuple[str, str]:
    """The module that `from module import attribute` leads to, and what is left of the attribute."""
    below = f"{module}.{attribute}"
    return (below, "") if attribute and _path(below) else (module, attribute)


def _path(module: str) -> Path | None:
    """The source of a module or package; None where the package has none of this name."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def _linked(name: str) -> str:
    """A module's code, and that of each module it imports, by the name it is imported under; hashed."""
    source = _path(name)
    assert source is not None
    imports, code = _parsed(source.read_bytes())
    links = []
    for imported, bound in imports.items():
        module, attribute = _target(*imported)
        path = None if _is_outside(module) else _path(module)
        links.append(f"{bound} {attribute} {_hashed(_parsed(path.read_bytes())[1]) if path else ''}")
    return _hashed("\n".join([code, *sorted(links)]))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache  # most rules reach the same modules, and every job on a cluster reads all rules
def _parsed(source: bytes) -> tuple[dict[tuple[str, str], str], str]:
    """What a module imports of the package, with the name it gets, and its syntax tree without that, as text."""
    tree = _Stripped()
    rest = tree.visit(ast.parse(source))
    return tree.imports, ast.dump(rest)


class _Stripped(ast.NodeTransformer):
    """A syntax tree without docstrings, without what is for type checkers, and without imports of this package."""

    def __init__(self) -> None:
        self.imports: dict[tuple[str, str], str] = {}
        """Module and attribute of each import, with the name it gets."""

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        return self._without_ours(node, {alias: (alias.name, "") for alias in node.names})

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        module = node.module or ""
        return self._without_ours(node, {alias: (module, alias.name) for alias in node.names})

    def _without_ours(
        self, node: ast.Import | ast.ImportFrom, targets: Mapping[ast.alias, tuple[str, str]]
    ) -> ast.AST | None:
        ours = {alias: target for alias, target in targets.items() if target[0].partition(".")[0] == "deftx"}
        for alias, target in ours.items():
            self.imports[target] = " ".join(sorted({*self.imports.get(target, "").split(), alias.asname or alias.name}))
        node.names = [alias for alias in node.names if alias not in ours]
        return node if node.names else None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_string = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_string else self.generic_visit(node)
