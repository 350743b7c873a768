"""Compare two folders of results: bytes of what is computed, content of what is stated, names of the rest."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compatibility.declared import ADDITIONS, NAMES_ONLY, TIMED, WORDS, Addition

ORDER = (
    "raw", "corpora", "datasets", "base", "deltas", "gradients", "masks", "sfts", "pruned", "adapters", "loras",
    "composed", "predictions", "scores", "tables", "figures", "logs", "benchmarks",
)  # fmt: skip
"""Kinds in the order they are made: the first difference is nearest to the cause of all."""
DTYPES = {"U8": "u1", "I64": "<i8", "F32": "<f4", "BF16": "<u2"}
MISSING = "(missing)"


@dataclass
class Kind:
    """What came of the files of one kind."""

    equal: int = 0
    declared: int = 0
    only_old: list[str] = field(default_factory=list)
    only_new: list[str] = field(default_factory=list)
    different: dict[str, list[str]] = field(default_factory=dict)
    """Lines that say what differs, by file."""

    @property
    def count(self) -> int:
        """The number of files on either side."""
        return self.equal + self.declared + len(self.only_old) + len(self.only_new) + len(self.different)

    @property
    def same(self) -> bool:
        """Whether nothing but what is declared differs."""
        return not (self.only_old or self.only_new or self.different)


@dataclass
class Comparison:
    """What came of all files, by kind."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    used: set[Addition] = field(default_factory=set)
    """Declarations that were needed."""

    @property
    def same(self) -> bool:
        """Whether nothing but what is declared differs."""
        return all(kind.same for kind in self.kinds.values())


def compare(old: Path, new: Path) -> Comparison:
    """Compare all files below two folders `results`, but for hidden ones, which are caches."""
    names = {side: set(files_below(side)) for side in (old, new)}
    if not names[old]:
        raise SystemExit(f"{old} holds no results to compare; make them first")
    comparison = Comparison()
    for name in sorted(names[old] | names[new], key=place):
        kind = comparison.kinds.setdefault(kind_of(name), Kind())
        if name not in names[new]:
            kind.only_old.append(name)
        elif name not in names[old]:
            declared = [each for each in ADDITIONS if each.covers(name, None)]
            comparison.used.update(declared)
            if declared:
                kind.declared += 1
            else:
                kind.only_new.append(name)
        elif lines := differences(old, new, name, comparison.used):
            kind.different[name] = lines
        elif names_only(name) or (old / name).read_bytes() == (new / name).read_bytes():
            kind.equal += 1
        else:
            kind.declared += 1
    return comparison


def files_below(folder: Path) -> Iterator[str]:
    """Yield the paths of all files of experiments that are neither hidden nor in a hidden folder."""
    for path in folder.glob("*/**/*"):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            yield str(relative)


def kind_of(name: str) -> str:
    """Return the kind of a file `EXPERIMENT/KIND/…`: its folder and its ending."""
    return f"{Path(name).parts[1].removesuffix('.json')} {Path(name).suffix}"


def place(name: str) -> tuple[int, str, str]:
    """Return where a file stands in the order of the report."""
    kind = kind_of(name)
    top = kind.partition(" ")[0]
    return (ORDER.index(top) if top in ORDER else len(ORDER), kind, name)


def names_only(name: str) -> bool:
    """Return whether the content of a file may differ."""
    path = Path(name)
    return path.suffix in WORDS or bool(NAMES_ONLY & set(path.parts[1:2]))


def differences(old: Path, new: Path, name: str, used: set[Addition]) -> list[str]:
    """Return what differs in a file that both sides have, as lines; nothing where only what is declared does.

    Args:
        used: takes the declarations that were needed.
    """
    if names_only(name):
        return []
    before, after = old / name, new / name
    if Path(name).parts[1] == "tables":
        if Path(name).suffix == ".csv":
            return in_tables(before, after)
        table = Path(name).with_suffix(".csv")
        if (old / table).is_file() and (old / table).read_bytes() != (new / table).read_bytes():
            return []  # the hash of a table, which has been compared itself
    if before.read_bytes() == after.read_bytes():
        return []
    match Path(name).suffix:
        case ".json":
            return in_content(name, json.loads(before.read_text()), json.loads(after.read_text()), used)
        case ".safetensors":
            return in_vectors(name, before, after, used)
        case ".csv":
            return in_rows(before, after)
    return [f"{before.stat().st_size} and {after.stat().st_size} bytes, not the same"]


def in_content(name: str, old: Any, new: Any, used: set[Addition]) -> list[str]:
    """Return the keys that differ in JSON content, with both values."""
    found = list(unequal_keys(old, new))
    declared = {
        key: each for key, before, _ in found if before is MISSING for each in ADDITIONS if each.covers(name, key)
    }
    used.update(declared.values())
    follows = {"checksum"} if declared else set()  # of a text that holds the declared keys
    lines = [f"{k}: {brief(a)} -> {brief(b)}" for k, a, b in found if k not in declared and k not in follows]
    if not found:
        lines.append("the same content, written otherwise (order of keys, white space, or how a number is spelled)")
    return lines


def unequal_keys(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every key at which JSON content differs, with both values; elements of lists by their number."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from unequal_keys(old.get(key, MISSING), new.get(key, MISSING), f"{where}.{key}" if where else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for n, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from unequal_keys(before, after, f"{where}[{n}]")
    elif type(old) is not type(new) or old != new:
        yield where, old, new


def brief(value: Any) -> str:
    """Return a value as short text."""
    text = value if value is MISSING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def in_vectors(name: str, old: Path, new: Path, used: set[Addition]) -> list[str]:
    """Return what differs in two safetensors files: keys of the metadata, then tensors."""
    (metadata, before), (other_metadata, after) = read_vector(old), read_vector(new)
    stated = {key: value for key, value in metadata.items() if key not in ("tensors", "checksum")}
    other_stated = {key: value for key, value in other_metadata.items() if key not in ("tensors", "checksum")}
    same = stated == other_stated
    lines = [] if same else [f"metadata {line}" for line in in_content(name, stated, other_stated, used)]
    for tensor in dict.fromkeys([*before, *after]):
        if tensor not in before or tensor not in after:
            lines.append(f"tensor {tensor}: only on the {'old' if tensor in before else 'new'} side")
            continue
        (dtype, shape, values), (other_dtype, other_shape, others) = before[tensor], after[tensor]
        if (dtype, shape) != (other_dtype, other_shape):
            lines.append(f"tensor {tensor}: {dtype} {shape} -> {other_dtype} {other_shape}")
        elif values.tobytes() != others.tobytes():
            largest = f", by {np.abs(values - others).max():.3g} at most" if dtype == "F32" else ""
            lines.append(f"tensor {tensor}: {int((values != others).sum())} of {values.size} values differ{largest}")
    if same and not lines:
        lines.append("the same metadata and tensors, written otherwise")
    return lines


def read_vector(path: Path) -> tuple[dict[str, Any], dict[str, tuple[str, list[int], Any]]]:
    """Read metadata and tensors (type, shape, values) of a safetensors file without the package under test."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    stated = header.pop("__metadata__", {})
    metadata = json.loads(stated["deftx"]) if "deftx" in stated else stated
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], DTYPES[entry["dtype"]])
        tensors[name] = (entry["dtype"], entry["shape"], values)
    return metadata, tensors


def in_tables(old: Path, new: Path) -> list[str]:
    """Return the cells that differ; the new table may have more columns after those of the old one."""
    before, after = rows_of(old), rows_of(new)
    columns = before[0] if before else []
    if after[:1] and after[0][: len(columns)] != columns:
        return [f"columns {columns} -> {after[0]}"]
    width = len(columns)
    timed = TIMED if old.stem == "costs" else set()
    kept = [n for n, column in enumerate(columns) if column not in timed]
    return unequal_cells(columns, before, [row[:width] for row in after], kept)


def in_rows(old: Path, new: Path) -> list[str]:
    """Return the cells that differ in two CSV files of which all bytes count."""
    before, after = rows_of(old), rows_of(new)
    columns = before[0] if before else []
    if after[:1] != before[:1]:
        return [f"columns {columns} -> {after[0] if after else []}"]
    return unequal_cells(columns, before, after, range(len(columns))) or ["the same cells, written otherwise"]


def unequal_cells(
    columns: Sequence[str], old: Sequence[Sequence[str]], new: Sequence[Sequence[str]], kept: Sequence[int]
) -> list[str]:
    """Return the cells that differ as text in the columns of these numbers."""
    if len(old) != len(new):
        return [f"{len(old)} rows -> {len(new)} rows"]
    return [
        f"row {n}, {columns[c]}: {brief(before[c])} -> {brief(after[c])}"
        for n, (before, after) in enumerate(zip(old, new, strict=True))
        for c in kept
        if before[c] != after[c]
    ]


def rows_of(path: Path) -> list[list[str]]:
    """Return the rows of a CSV file, its columns first."""
    return list(csv.reader(io.StringIO(path.read_text(), newline="")))


def report(comparison: Comparison, shown: int = 5) -> str:
    """Return the table of kinds, and what differs in the first files of each.

    Args:
        shown: files a kind, and lines a file, at most.
    """
    heads = ("kind of file", "files", "equal", "declared", "different", "only old", "only new")
    rows = [
        (name, kind.count, kind.equal, kind.declared, len(kind.different), len(kind.only_old), len(kind.only_new))
        for name, kind in comparison.kinds.items()
    ]
    sums = ("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:]))
    lines = [f"| {' | '.join(heads)} |", f"|:--|{'--:|' * (len(heads) - 1)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in [*rows, sums]]
    for name, kind in comparison.kinds.items():
        for side, names in (("old", kind.only_old), ("new", kind.only_new)):
            lines += [f"only {side}: {file}" for file in names[:shown]] + and_more(names, shown, f"{name} only {side}")
        for file, described in list(kind.different.items())[:shown]:
            lines += [f"different: {file}", *(f"    {line}" for line in described[:shown])]
            lines += and_more(described, shown, "differences in it", "    ")
        lines += and_more(list(kind.different), shown, f"{name} different")
    for each in ADDITIONS:
        what = f"{each.files}{f' {each.key}' if each.key else ''}: {each.reason}"
        lines.append(f"declared{'' if each in comparison.used else ', but not needed'}: {what}")
    return "\n".join(lines)


def and_more(items: Sequence[str], shown: int, what: str, indent: str = "") -> list[str]:
    """Return a line that counts what is not shown, if anything."""
    return [f"{indent}and {len(items) - shown} more ({what})"] if len(items) > shown else []
