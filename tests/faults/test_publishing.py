"""Results get their names by a rename alone: nothing in the package writes a file in any other way."""

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import deftx
from deftx.core.files import write_gzip, write_text
from deftx.core.integrity import read_json, write_json

PACKAGE = Path(deftx.__file__).parent
METHODS = {"touch": 0} | dict.fromkeys(
    ("write_bytes", "write_text", "writelines", "save_pretrained", "savefig", "to_csv", "to_json", "to_parquet",
     "tofile", "rename", "replace", "symlink_to"), 1,
)  # fmt: skip
"""Methods that write a file, by how many arguments they have where they do; those of texts have more or fewer."""
FUNCTIONS = {"save_file", "serialize_file", "ArrowWriter", "copyfile", "copyfileobj", "copy2", "copytree", "move",
             "mkstemp", "TemporaryFile", "NamedTemporaryFile"}  # fmt: skip
ALLOWED = {
    "core.files.publish": "the one that renames",
    "core.files.publish_alone": "the other one",
    "core.files.flush": "nothing; it waits for the disk",
    "data.fetch._copy": "under the name that publish gives",
    "data.fetch._resume": "the part of a download, which becomes the result by a rename",
    "training.launch._work": "what one of several processes says, in a temporary folder",
    "data.hub.fetch": "under the name that publish gives",
    "cli.messages._say": "nothing, to /dev/null",
    "masks.spill.__init__": "a temporary file without a name",
}


def writes(call: ast.Call) -> bool:
    """Whether a call writes a file."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "open":
        given = [part for argument in call.args for part in ast.walk(argument)]
        modes = [part.value for part in given if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        return (bool(given) and not modes) or any(set(mode) & set("wax+") for mode in modes)
    if isinstance(call.func, ast.Attribute) and name in METHODS:
        return len(call.args) == METHODS[name]
    return name in FUNCTIONS


def published(node: ast.AST) -> bool:
    """Whether a node is a block of `publish`."""
    calls = [item.context_expr for item in node.items] if isinstance(node, ast.With) else []
    return any(isinstance(call, ast.Call) and "publish" in ast.dump(call.func) for call in calls)


def unpublished(node: ast.AST, function: str) -> Iterator[str]:
    """Where something is written outside a block of `publish`, as function and line."""
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.FunctionDef) else function
        if isinstance(child, ast.Call) and writes(child):
            yield f"{inside}:{child.lineno}"
        if not published(child):
            yield from unpublished(child, inside)


def test_whatever_writes_a_file_publishes_it() -> None:
    found = [
        f"{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}.{place}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for place in unpublished(ast.parse(path.read_bytes()), "")
    ]
    assert {place.partition(":")[0] for place in found} <= ALLOWED.keys(), found


def test_the_scan_sees_what_is_written() -> None:
    seen = {
        "path.write_text('x')": 1,
        "open(path, 'w')": 1,
        "path.open('ab')": 1,
        "path.open(mode)": 1,
        "table.to_csv(path)": 1,
        "path.replace(other)": 1,
        "with publish(path) as t:\n    t.write_text('x')": 0,
        "path.open('rb')": 0,
        "path.open()": 0,
        "table.to_csv(index=False)": 0,
        "text.replace('a', 'b')": 0,
    }
    assert {source: len(list(unpublished(ast.parse(source), ""))) for source in seen} == seen


def test_what_is_sealed_comes_back(tmp_path: Path) -> None:
    for content in ({}, {"a": {"checksum": "x"}, "ü": [1.5, None]}, {"k" * 8: "v" * 64}):
        write_json(tmp_path / "x.json", content)
        assert read_json(tmp_path / "x.json") == content


def test_text_keeps_its_bytes(tmp_path: Path) -> None:
    text = "".join(random.Random(0).choices("aé\n\r", k=100))
    write_text(tmp_path / "text", text)
    assert (tmp_path / "text").read_bytes() == text.encode()
    write_gzip(tmp_path / "a.gz", text)
    write_gzip(tmp_path / "b.gz", text)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
