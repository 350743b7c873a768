"""The vector file: its size, saving, loading, adding, and taking back, at 5 % density.

Reference for the file: what the method's first implementation writes, `torch.save` of positions as lists of integers
(differences of ascending positions) and values as tensors; a bare pickle of the same lists, for which `torch.save`
does not look at each integer, stands below it. Reference for adding: one indexed assignment of the same elements,
`flat[index] = values`. Reference for taking back: subtraction.

    python -m benchmarks.vectors --scale base
"""

import argparse
import pickle
import tempfile
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Row, emit, paired, say
from benchmarks.models import maskable_shapes
from deftx.merging import arithmetic
from deftx.modules import addition, vectors

DENSITY = 0.05
REPEATS = 5


def random_vector(shapes: dict[str, list[int]], seed: int) -> vectors.Vector:
    """An SFT that moves 5 % of every parameter."""
    rng = np.random.default_rng(seed)
    positions = {n: np.flatnonzero(rng.random(prod(shape), np.float32) < DENSITY) for n, shape in shapes.items()}
    values = {n: rng.standard_normal(len(p), np.float32) * np.float32(1e-3) for n, p in positions.items()}
    metadata = vectors.Metadata(
        kind="sft", base="b" * 64, base_model="random", shapes=shapes, objective="masked-lm", seed=seed, threads=1
    )
    return vectors.Vector(metadata, positions, values)


def lists(vector: vectors.Vector) -> dict[str, dict[str, Any]]:
    """A vector with its positions as lists of integers."""
    return {
        name: {
            "size": torch.Size(vector.metadata.shapes[name]),
            "index_steps": np.diff(positions, prepend=0).tolist(),
            "values": torch.from_numpy(vector.values[name]),
        }
        for name, positions in vector.positions.items()
    }


def arrays(content: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Positions and values from lists of integers."""
    return {name: (np.cumsum(entry["index_steps"]), entry["values"]) for name, entry in content.items()}


def pickle_lists(vector: vectors.Vector, path: Path) -> None:
    """A bare pickle, its values as numpy arrays."""
    content = lists(vector)
    for entry in content.values():
        entry["values"] = entry["values"].numpy()
    with path.open("wb") as stream:
        pickle.dump(content, stream)


def unpickle_lists(path: Path) -> dict[str, Any]:
    """Positions and values from a bare pickle."""
    with path.open("rb") as stream:
        return arrays(pickle.load(stream))


def add_plainly(one: arithmetic.Entries, other: arithmetic.Entries) -> arithmetic.Entries:
    """The sum of two sparse vectors by a sort of all their positions."""
    positions, inverse = np.unique(np.concatenate([one[0], other[0]]), return_inverse=True)
    values = np.zeros(len(positions), np.float32)
    np.add.at(values, inverse, np.concatenate([one[1], other[1]]))
    return positions, values


def file_rows(vector: vectors.Vector, folder: Path) -> list[Row]:
    """Size, and time to save and to load."""
    entries = vector.entries
    say(f"{entries} entries: files")
    halved = replace(vector, metadata=vector.metadata.model_copy(update={"values": "bf16"}))
    vectors.save(halved, folder / "bf16")
    ours, torches, bare = folder / "sft", folder / "torch", folder / "pickle"

    def save() -> None:
        vectors.save(vector, ours)

    def load() -> None:
        vectors.load(ours)

    saved = paired(save, lambda: torch.save({"diffs": lists(vector), "abs": {}}, torches), REPEATS)
    loaded = paired(load, lambda: arrays(torch.load(torches, weights_only=False)["diffs"]), REPEATS)
    saved_bare = paired(save, lambda: pickle_lists(vector, bare), REPEATS)
    loaded_bare = paired(load, lambda: unpickle_lists(bare), REPEATS)
    size = {name: (folder / name).stat().st_size / entries for name in ("sft", "bf16", "torch")}
    return [
        Row("vector file, float32", "bytes/element", size["sft"], size["torch"], "<= 5.2"),
        Row("vector file, bf16 values", "bytes/element", size["bf16"], size["torch"], "<= 3.2"),
        Row("save a vector", "s", *saved, "ratio <= 0.1", "with SHA-256 of all tensors; reference: torch.save"),
        Row("load a vector", "s", *loaded, "ratio <= 0.2", "with SHA-256 of all tensors; reference: torch.load"),
        Row("save a vector, bare pickle", "s", *saved_bare, "", "hashing and writing alone take most of ours"),
        Row("load a vector, bare pickle", "s", *loaded_bare),
    ]


def algebra_rows(one: vectors.Vector, other: vectors.Vector) -> list[Row]:
    """Time to add and to take back, what is left changed afterwards, and the sum of two vectors."""
    say("adding")
    shapes = one.metadata.shapes
    chance = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=chance).mul_(0.02) for name, shape in shapes.items()}
    entries = {n: (torch.from_numpy(p), torch.from_numpy(one.values[n])) for n, p in one.positions.items()}
    before = {name: tensor.view(-1)[entries[name][0]] for name, tensor in state.items()}

    def assign() -> None:
        for name, (index, values) in entries.items():
            state[name].view(-1)[index] = values

    def changed() -> float:
        moved = sum(int((state[n].view(-1)[index] != before[n]).sum()) for n, (index, _) in entries.items())
        return moved / one.entries

    def there_and_back() -> None:
        addition.add_reversibly(state, one, 1.0).undo()

    def by_subtraction() -> None:
        addition.add(state, one, 1.0)
        for name, (index, values) in entries.items():
            state[name].view(-1)[index] -= values

    def restore() -> None:
        for name, values in before.items():
            state[name].view(-1)[entries[name][0]] = values

    apply = paired(lambda: addition.add_reversibly(state, one, 1.0), assign, 3 * REPEATS)
    restore()
    undo = paired(there_and_back, by_subtraction, REPEATS)
    restore()
    there_and_back()
    ours = changed()
    by_subtraction()
    theirs = changed()
    say("merging")
    pairs = [((one.positions[n], one.values[n]), (other.positions[n], other.values[n])) for n in shapes]
    merge = paired(
        lambda: [arithmetic.merged(*pair) for pair in pairs],
        lambda: [add_plainly(*pair) for pair in pairs],
        2,
    )
    return [
        Row("add a vector, keeping what it replaces", "s", *apply, "ratio <= 1.3", "reference: one indexed assignment"),
        Row("add a vector and take it back", "s", *undo, "", "reference: subtract it again"),
        Row("elements changed after taking back", "share", ours, theirs, "<= 0"),
        Row("sum of two vectors", "s", *merge, "", "reference: sort all positions"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="base", choices=["base", "pico"])
    scale = parser.parse_args().scale
    shapes = maskable_shapes(scale)
    one, other = random_vector(shapes, 0), random_vector(shapes, 1)
    with tempfile.TemporaryDirectory() as folder:
        rows = file_rows(one, Path(folder))
    emit(rows + algebra_rows(one, other))


if __name__ == "__main__":
    main()
