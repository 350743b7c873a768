"""Vectors of composable-sft: loaded without executing code, and written.

Its `pytorch_diff.bin` (Ansell et al. 2022) is a pickle of

    {"diffs": {NAME: {"size": torch.Size, "index_steps": [int, ...], "values": tensor}}, "abs": {NAME: tensor}}

where the running sum of `index_steps` gives ascending positions into the parameter flattened by columns (the first
index runs fastest), NAME begins with the model's prefix (`roberta.`), and `abs` is the full head. A pickle is a
program: torch's restricted unpickler executes only the few constructors below, and refuses everything else before any
call.
"""

import io
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deftx.core.errors import VectorError
from deftx.core.files import publish
from deftx.core.integrity import sha256_of
from deftx.models.base_model import Description
from deftx.modules import vectors

LARGEST = 1 << 31  # composable-sft sums positions in 32 bits


def read_old(path: Path, description: Description, labels: Sequence[str] | None, licence: str | None) -> vectors.Vector:
    """Load a vector from composable-sft's file, which does not state its base; `description` does.

    A masked-LM head is left out, as vectors of deftx have none.

    Raises:
        VectorError: the file has another format, calls anything that is not allowed, contains positions that do not
            ascend inside their parameter, does not fit the base's names and shapes, or has a head but no `labels`.
    """
    content = _unpickle(path)
    diffs, head = content["diffs"], {n: v for n, v in content["abs"].items() if not n.startswith(("lm_head.", "cls."))}
    positions, values = {}, {}
    for key, diff in diffs.items():
        name = _base_name(key, description, path)
        shape = description.shapes[name]
        if list(diff["size"]) != shape:
            raise VectorError(
                f"{path} has {key} with shape {list(diff['size'])}, but the base {shape}. "
                "Pass the base that it belongs to"
            )
        by_columns = _sum_steps(diff["index_steps"], prod(shape), f"{path}: {key}")
        floats = _to_floats(diff["values"], f"{path}: {key}")
        if len(floats) != len(by_columns):
            raise VectorError(f"{path}: {key} has {len(by_columns)} positions but {len(floats)} values")
        by_rows = np.ravel_multi_index(np.unravel_index(by_columns, shape, order="F"), shape)
        order = np.argsort(by_rows)
        positions[name], values[name] = by_rows[order], floats[order]
    heads = {name: _to_floats(value, f"{path}: {name}") for name, value in head.items()}
    if heads and labels is None:
        raise VectorError(
            f'{path} contains a task\'s head. Pass its labels in their order, as in --labels \'["no", "yes"]\''
        )
    if heads and len(labels or ()) not in {len(value) for value in heads.values()}:
        raise VectorError(f"{path}: no part of the head has as many outputs as there are labels ({len(labels or ())})")
    metadata = vectors.Metadata(
        kind="sft",
        base=description.hash,
        base_model=description.name,
        base_revision=description.revision,
        shapes={name: shape for name, shape in description.shapes.items() if name in positions},
        objective="classification" if heads else "masked-lm",
        labels=list(labels) if heads and labels else None,
        settings={"converted": "composable-sft"},
        seed=None,
        data={path.name: sha256_of(path)},
        threads=None,
        licence=licence,
    )
    return vectors.Vector(metadata, positions, values, head=heads)


def write_old(vector: vectors.Vector, prefix: str, path: Path) -> None:
    """Write a sparse vector in composable-sft's format; `prefix` is the model's (`roberta`, `bert`).

    The format has no metadata, so they are left out. Equal content gives equal bytes.

    Raises:
        VectorError: the vector is not sparse, or a parameter has more elements than composable-sft counts (2^31).
    """
    import torch

    if vector.metadata.kind != "sft":
        raise VectorError(f"a {vector.metadata.kind} cannot be written for composable-sft; only an SFT can")
    diffs = {}
    for name, by_rows in vector.positions.items():
        shape = vector.metadata.shapes[name]
        if prod(shape) >= LARGEST:
            raise VectorError(
                f"{path} cannot be written: composable-sft cannot count the {prod(shape)} elements of {name}"
            )
        by_columns = np.ravel_multi_index(np.unravel_index(by_rows, shape), shape, order="F")
        order = np.argsort(by_columns)
        diffs[f"{prefix}.{name}"] = {
            "size": torch.Size(shape),
            "index_steps": np.diff(by_columns[order], prepend=0).tolist(),
            "values": torch.from_numpy(vector.values[name][order]),
        }
    heads = {name: torch.from_numpy(value) for name, value in vector.head.items()}
    stream = io.BytesIO()  # torch.save writes the name of a file into it, and that of publish is temporary
    torch.save({"diffs": diffs, "abs": heads}, stream)
    with publish(path) as temporary:
        temporary.write_bytes(stream.getbuffer())


def is_old(path: Path) -> bool:
    """Return whether a file is a pickle of torch, and not a safetensors file."""
    if not path.is_file():
        raise VectorError(f"{path} does not exist. Check the name")
    with path.open("rb") as file:
        begin = file.read(9)
    # The first 8 bytes of a safetensors file are a length of any value; the ninth opens its header.
    return begin[8:] != b"{" and (begin[:2] == b"PK" or begin[:1] == b"\x80")


def _unpickle(path: Path) -> dict[str, Any]:
    """Load the file's content, and check its format."""
    import torch

    _check_archive(path)
    with torch.serialization.safe_globals(_numpy_integers()), warnings.catch_warnings():
        # torch warns of other protocols than its own; unsupported ones are an error below.
        warnings.filterwarnings("ignore", "Detected pickle protocol")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise VectorError(f"{path} is refused, and none of it was executed: {_reason(error)}") from None
        except (RuntimeError, ValueError, TypeError, KeyError, EOFError, IndexError, AttributeError, OSError) as error:
            raise VectorError(f"{path} is not a file of composable-sft, or is corrupted: {_reason(error)}") from None
    if problem := next(_find_problems(content), None):
        raise VectorError(f"{path} is not a file of composable-sft: {problem}")
    return content


def _check_archive(path: Path) -> None:
    """Check the checksums in a zip archive; torch does not."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                changed = archive.testzip()
            if changed is not None:
                raise VectorError(f"{path} is corrupted ({changed} does not match its checksum). Copy it again")
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError) as error:
        raise VectorError(f"{path} is corrupted ({_reason(error)}). Copy it again") from None


def _numpy_integers() -> list[Any]:
    """Return what numpy's pickle of an integer calls, as the first step of a parameter is such an integer."""
    import _codecs

    scalar = np.int64(0).__reduce__()[0]
    return [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, type(np.dtype(np.int64)), _codecs.encode]


def _reason(error: Exception) -> str:
    calls = [line for line in str(error).splitlines() if "global" in line.lower() or "GLOBAL" in line]
    return (calls or str(error).splitlines() or [type(error).__name__])[0].strip()


def _find_problems(content: Any) -> Iterator[str]:
    """Yield deviations from the format in the module's docstring."""
    import torch

    if not isinstance(content, Mapping) or set(content) != {"diffs", "abs"}:
        yield "it does not contain diffs and abs"
        return
    for key, group in content.items():
        if not isinstance(group, Mapping) or not all(isinstance(name, str) for name in group):
            yield f"{key} is not a dictionary of names"
            return
    for name, diff in content["diffs"].items():
        if not isinstance(diff, Mapping) or set(diff) != {"size", "index_steps", "values"}:
            yield f"{name} does not contain size, index_steps and values"
        elif not isinstance(diff["index_steps"], list) or not isinstance(diff["size"], tuple):
            yield f"size or index_steps of {name} have another type"
        elif not all(isinstance(step, (int, np.integer)) for step in chain(diff["index_steps"], diff["size"])):
            yield f"size or index_steps of {name} are not integers"
        elif not isinstance(diff["values"], torch.Tensor) or diff["values"].ndim != 1:
            yield f"the values of {name} are not a tensor of one dimension"
        elif not _is_stored(diff["values"]):
            yield f"the values of {name} exceed the file's data"
    for name, value in content["abs"].items():
        if not isinstance(value, torch.Tensor):
            yield f"{name} is not a tensor"
        elif not _is_stored(value):
            yield f"{name} exceeds the file's data"


def _is_stored(tensor: Any) -> bool:
    """Return whether the file contains all elements of a tensor; a stride of 0 would repeat an element."""
    return bool(tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes())


def _sum_steps(steps: list[Any], size: int, name: str) -> NDArray[np.int64]:
    """Return positions from steps; they must ascend inside the parameter."""
    if any(not 0 <= int(step) <= size for step in steps):
        raise VectorError(f"{name}: a step between positions is outside 0..{size}")
    positions = np.cumsum(np.array(steps, dtype=np.int64))
    if len(positions) and (positions[-1] >= size or bool((np.diff(positions) <= 0).any())):
        raise VectorError(f"{name}: positions must ascend below {size} without duplicates")
    return positions


def _to_floats(tensor: Any, name: str) -> NDArray[np.float32]:
    if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
        raise VectorError(f"{name} contains values that are not finite numbers")
    floats: NDArray[np.float32] = tensor.detach().float().contiguous().numpy()
    return floats


def _base_name(key: str, description: Description, path: Path) -> str:
    """Return the base's name of a parameter, without the model's prefix."""
    for name in (key, key.partition(".")[2]):
        if name in description.shapes:
            return name
    raise VectorError(
        f"{path} changes {key}, which the base {description.name} does not have. Pass the base that it belongs to"
    )
