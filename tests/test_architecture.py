"""The house: packages import in one direction, stay small, and light ones import nothing heavy."""

import ast
import re
from pathlib import Path

import pytest

from deftx.modules.registry import MODULE_TYPES
from tests.helpers import REPOSITORY

PACKAGE = REPOSITORY / "deftx"
LAYERS = [
    {"cli", "api"},
    {"report", "sharing"},
    {"workflow"},
    {"experiment"},
    {"views"},
    {"finetuning", "analysis"},
    {"evaluation"},
    {"training", "masks", "merging", "translation"},
    {"tasks"},
    {"modules"},
    {"models"},
    {"data"},
    {"config"},
    {"core"},
]
"""From the top down: a package imports those below it, and none on its own line."""
HEAVY = {"torch", "transformers", "pandas", "sklearn", "matplotlib", "scipy", "peft", "accelerate", "datasets"}
LIGHT = ("core", "config", "experiment", "workflow")
MOST = 9
"""Modules in a package, its `__init__` aside."""


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path, top_level_only: bool = False) -> set[str]:
    """Modules that a source imports, by dotted name, `deftx.package.module` for what is taken from a module."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def layer(package: str) -> int:
    return next(n for n, packages in enumerate(LAYERS) if package in packages)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_packages_import_downwards(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    if parts == ("__main__.py",):
        return
    if parts == ("__init__.py",):
        assert not {name for name in imported(path) if name.startswith("deftx.")}
        return
    own = parts[0].removesuffix(".py")
    others = {name.split(".")[1] for name in imported(path) if name.startswith("deftx.")} - {"__version__"}
    for other in others - {own}:
        assert layer(other) > layer(own), f"{own} imports {other}, which is not below it"


def test_every_package_has_its_place_and_few_modules() -> None:
    packages = {path.parent for path in sources()} - {PACKAGE}
    assert {package.relative_to(PACKAGE).parts[0] for package in packages} <= set.union(*LAYERS)
    for package in packages:
        modules = [path.name for path in package.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MOST, f"{package.name} holds {len(modules)} modules"
        assert ast.get_docstring(ast.parse((package / "__init__.py").read_text())), f"{package.name} says nothing"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_light_packages_and_registries_import_nothing_heavy(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] not in LIGHT and path.stem != "registry":
        return
    heavy = {name.partition(".")[0] for name in imported(path, top_level_only=True)} & HEAVY
    assert not heavy, f"{path.name} imports {', '.join(sorted(heavy))}"


FOLDERS = {entry.folder for entry in MODULE_TYPES.values()} | {
    *("raw", "corpora", "masks", "composed", "predictions", "scores", "tables", "figures", "logs", "benchmarks"),
}
"""Of results; datasets and gradients aside, which are words as well."""
FILES = {"scores"}
"""Folders whose name a figure has, too."""
PATHS = re.compile(rf"(^|/)({'|'.join(sorted(FOLDERS))})/")


def written(tree: ast.AST) -> set[str]:
    """Text in code, docstrings aside, that names a folder of results as a part of a path."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            sides = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
            found |= {side for side in sides if isinstance(side, str) and side.split("/")[0] in FOLDERS - FILES}
        if isinstance(node, ast.JoinedStr):
            texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            found |= {text for text in texts if isinstance(text, str) and PATHS.search(text)}
    return found


def test_paths_of_results_are_written_in_one_module() -> None:
    places = {path: written(ast.parse(path.read_text())) for path in sources() if path.name != "artifacts.py"}
    assert {str(path.relative_to(PACKAGE)): texts for path, texts in places.items() if texts} == {}
    assert written(ast.parse((PACKAGE / "workflow/artifacts.py").read_text())), "the scan sees what is written"
    for path in [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")]:
        code = "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())
        assert not re.search(rf"[}}/]({'|'.join(sorted(FOLDERS | {'datasets'}))})/", code), path


PRIVATE = {"cache.smk": {"_benchmark"}, "resources.smk": {"_get_process_prefix"}}
"""Private names of Snakemake's that rules use, each with its reason where it stands."""


def test_private_names_of_snakemake_stand_where_they_are_explained() -> None:
    for path in [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")]:
        names = set(re.findall(r"\b(?:\w+|\))\.(_[a-z]\w*)|\bdef (_[a-z]\w*)", path.read_text()))
        assert {one or other for one, other in names} == PRIVATE.get(path.name, set()), path.name


SEAMS = re.compile(r"^\| ([^|]+) \| ([^|]*) \| `?([^|`]*)`? \|$", re.M)


def test_the_map_for_newcomers_is_that_of_the_house() -> None:
    """CONTRIBUTING names every package, and the file and the registry of whatever may be added."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    packages = {path.parent.relative_to(PACKAGE).parts[0] for path in sources() if path.parent != PACKAGE}
    assert set(re.findall(r"^\| `(\w+)/` \|", text, re.M)) == packages
    seams = [row for row in SEAMS.findall(text[text.index("## Seams") :]) if not row[0].startswith(("new", ":"))]
    registries = {str(path.relative_to(PACKAGE)) for path in sources() if path.name == "registry.py"}
    assert {registry for *_, registry in seams if registry.strip()} == registries
    for _, places, _ in seams:
        for place in re.findall(r"`([\w/.]+)`", places):
            assert (PACKAGE / place).exists(), f"CONTRIBUTING sends newcomers to {place}, which is not there"
