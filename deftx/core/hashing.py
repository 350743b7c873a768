"""Hashes of files and of code, by which Snakemake decides whether a job has to rerun."""

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
"""Packages and modules that affect results only through a job's parameters, or not at all."""


def fingerprint(files: Iterable[Path]) -> str:
    """Return a hash that identifies files by their sizes and samples of their bytes, not by their path or age.

    64 samples of 4 KiB are spread over each file, so a checkpoint of several GB takes a moment.
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
    """Return a hash over the code of modules and of the package's modules that they import, at any depth.

    Comments, docstrings, layout and imports for type checkers do not count; imports inside functions and each
    package's `__init__` do. An import counts by the code that it refers to and not by its name, so that a module may
    move. A registry does not count: its entries name their code as text, and a rule passes that code here.

    Snakemake does not see edits in an imported package; a rule with this hash among its params reruns when its code
    has changed.
    """
    digest = hashlib.sha256()
    for code in sorted({_hash_module(name) for name in _collect_imports(modules)}):
        digest.update(f"{code}\n".encode())
    return digest.hexdigest()[:16]


def code_of_entry(entry: Any, *modules: str) -> str:
    """Return a hash over modules and over the fields of a registry's entry, which may be any dataclass.

    Its title and its paper do not count.
    """
    fields = {name: value for name, value in asdict(entry).items() if name not in ("title", "paper")}
    return _hash_text(f"{code_of(*modules)} {fields}")[:16]


def _collect_imports(modules: Iterable[str]) -> set[str]:
    names: set[str] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name in names or _is_outside(name):
            continue
        source = _path(name)
        if source is None:
            raise ValueError(f"there is no module {name}, so its code cannot be hashed")
        names.add(name)
        parents = name.split(".")[:-1]
        queue += [".".join(parents[: n + 1]) for n in range(1, len(parents))]
        queue += [_target(*imported)[0] for imported in _parse(source.read_bytes())[0]]
    return names


def _is_outside(name: str) -> bool:
    """Return whether a module does not count: it acts through parameters, or through the entry that is used."""
    parts = name.split(".")
    above = {".".join(parts[:n]) for n in range(2, len(parts) + 1)}
    return len(parts) == 1 or parts[-1] == "registry" or not OUTSIDE.isdisjoint(above)


def _target(module: str, attribute: str) -> tuple[str, str]:
    """Return the module that `from module import attribute` refers to, and the attribute if it is not a module."""
    below = f"{module}.{attribute}"
    return (below, "") if attribute and _path(below) else (module, attribute)


def _path(module: str) -> Path | None:
    """Return the source of a module or package, or None if the package has none of this name."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _hash_module(name: str) -> str:
    """Return a hash over a module's code and that of each module that it imports, by the name of the import."""
    source = _path(name)
    assert source is not None
    imports, code = _parse(source.read_bytes())
    links = []
    for imported, bound in imports.items():
        module, attribute = _target(*imported)
        path = None if _is_outside(module) else _path(module)
        links.append(f"{bound} {attribute} {_hash_text(_parse(path.read_bytes())[1]) if path else ''}")
    return _hash_text("\n".join([code, *sorted(links)]))


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache  # most rules reach the same modules, and every job on a cluster reads all rules
def _parse(source: bytes) -> tuple[dict[tuple[str, str], str], str]:
    """Return a module's imports of the package, with the names they bind, and the rest of its syntax tree as text."""
    tree = _Stripped()
    rest = tree.visit(ast.parse(source))
    return tree.imports, ast.dump(rest)


class _Stripped(ast.NodeTransformer):
    """Transformer that removes docstrings, code for type checkers, and imports of this package from a syntax tree."""

    def __init__(self) -> None:
        self.imports: dict[tuple[str, str], str] = {}
        """Names that imports bind, by module and attribute."""

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        return self._without_own(node, {alias: (alias.name, "") for alias in node.names})

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        module = node.module or ""
        return self._without_own(node, {alias: (module, alias.name) for alias in node.names})

    def _without_own(
        self, node: ast.Import | ast.ImportFrom, targets: Mapping[ast.alias, tuple[str, str]]
    ) -> ast.AST | None:
        own = {alias: target for alias, target in targets.items() if target[0].partition(".")[0] == "deftx"}
        for alias, target in own.items():
            self.imports[target] = " ".join(sorted({*self.imports.get(target, "").split(), alias.asname or alias.name}))
        node.names = [alias for alias in node.names if alias not in own]
        return node if node.names else None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_string = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_string else self.generic_visit(node)
