"""Vectors of composable-sft: read without executing anything, and written back.

Its `pytorch_diff.bin` (Ansell et al. 2022) is a pickle of

    {"diffs": {NAME: {"size": torch.Size, "index_steps": [int, ...], "values": tensor}}, "abs": {NAME: tensor}}

where the running sum of `index_steps` gives ascending positions into the parameter flattened by columns (the first
index runs fastest), NAME carries the model's prefix (`roberta.`), and `abs` is the head in full. A pickle is a program:
torch's restricted unpickler runs none of it but the few constructors below, and whatever else it names is refused
before anything is called.
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

LARGEST = 1 << 31  # composable-sft adds up positions in 32 bits


def read_old(path: Path, description: Description, labels: Sequence[str] | None, licence: str | None) -> vectors.Vector:
    """A vector from composable-sft's file; the file does not say for which base it was made, so `description` must.

    A masked-LM head is left out, as the vectors here have none.

    Raises:
        VectorError: it is no such file, names anything to call that is not on the list, holds positions that do not
            ascend inside their parameter, does not fit the base's names and shapes, or has a head and no `labels`.
    """
    content = _unpickled(path)
    diffs, head = content["diffs"], {n: v for n, v in content["abs"].items() if not n.startswith(("lm_head.", "cls."))}
    positions, values = {}, {}
    for old, diff in diffs.items():
        name = _base_name(old, description, path)
        shape = description.shapes[name]
        if list(diff["size"]) != shape:
            raise VectorError(
                f"{path} has {old} with shape {list(diff['size'])}, the base {shape}; name the base it was made for"
            )
        by_columns = _ascending(diff["index_steps"], prod(shape), f"{path}: {old}")
        floats = _floats(diff["values"], f"{path}: {old}")
        if len(floats) != len(by_columns):
            raise VectorError(f"{path}: {old} has {len(by_columns)} positions and {len(floats)} values")
        by_rows = np.ravel_multi_index(np.unravel_index(by_columns, shape, order="F"), shape)
        order = np.argsort(by_rows)
        positions[name], values[name] = by_rows[order], floats[order]
    heads = {name: _floats(value, f"{path}: {name}") for name, value in head.items()}
    if heads and labels is None:
        raise VectorError(
            f'{path} holds a task\'s head; name its labels in their order, as in --labels \'["no", "yes"]\''
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
    """Write a sparse vector as composable-sft reads it; `prefix` is the model's (`roberta`, `bert`).

    What that file has no place for is left out: the metadata. Equal content gives equal bytes.

    Raises:
        VectorError: the vector is not sparse, or a parameter has more entries than composable-sft counts (2^31).
    """
    import torch

    if vector.metadata.kind != "sft":
        raise VectorError(f"a {vector.metadata.kind} has no form in composable-sft; only an SFT has")
    diffs = {}
    for name, by_rows in vector.positions.items():
        shape = vector.metadata.shapes[name]
        if prod(shape) >= LARGEST:
            raise VectorError(
                f"{path} cannot be written: composable-sft cannot count the {prod(shape)} entries of {name}"
            )
        by_columns = np.ravel_multi_index(np.unravel_index(by_rows, shape), shape, order="F")
        order = np.argsort(by_columns)
        diffs[f"{prefix}.{name}"] = {
            "size": torch.Size(shape),
            "index_steps": np.diff(by_columns[order], prepend=0).tolist(),
            "values": torch.from_numpy(vector.values[name][order]),
        }
    heads = {name: torch.from_numpy(value) for name, value in vector.head.items()}
    stream = io.BytesIO()  # torch.save writes the name of a file into it, and publish gives a name of its own
    torch.save({"diffs": diffs, "abs": heads}, stream)
    with publish(path) as temporary:
        temporary.write_bytes(stream.getbuffer())


def is_old(path: Path) -> bool:
    """Whether a file looks like a pickle of torch's rather than a safetensors file."""
    if not path.is_file():
        raise VectorError(f"{path} does not exist; check the name")
    with path.open("rb") as file:
        begin = file.read(9)
    # The first 8 bytes of a safetensors file are a length, and may be any; the ninth opens its header.
    return begin[8:] != b"{" and (begin[:2] == b"PK" or begin[:1] == b"\x80")


def _unpickled(path: Path) -> dict[str, Any]:
    """The file's content, once it is found to be of the known form."""
    import torch

    _check_archive(path)
    with torch.serialization.safe_globals(_numpy_integers()), warnings.catch_warnings():
        # Of a protocol that is not its own torch warns; what it does not know of it is an error below.
        warnings.filterwarnings("ignore", "Detected pickle protocol")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise VectorError(f"{path} is refused, nothing of it was run: {_reason(error)}") from None
        except (RuntimeError, ValueError, TypeError, KeyError, EOFError, IndexError, AttributeError, OSError) as error:
            raise VectorError(f"{path} is no file of composable-sft, or is damaged: {_reason(error)}") from None
    if problem := next(_unexpected(content), None):
        raise VectorError(f"{path} is no file of composable-sft: {problem}")
    return content


def _check_archive(path: Path) -> None:
    """Compare the checksums a zip archive holds of its files; torch does not."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                changed = archive.testzip()
            if changed is not None:
                raise VectorError(f"{path} is damaged: {changed} does not match its checksum. Copy it again")
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError) as error:
        raise VectorError(f"{path} is damaged: {_reason(error)}. Copy it again") from None


def _numpy_integers() -> list[Any]:
    """What numpy's pickle of an integer calls: the first step of a parameter is one."""
    import _codecs

    scalar = np.int64(0).__reduce__()[0]
    return [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, type(np.dtype(np.int64)), _codecs.encode]


def _reason(error: Exception) -> str:
    named = [line for line in str(error).splitlines() if "global" in line.lower() or "GLOBAL" in line]
    return (named or str(error).splitlines() or [type(error).__name__])[0].strip()


def _unexpected(content: Any) -> Iterator[str]:
    """What is not as the opening comment says."""
    import torch

    if not isinstance(content, Mapping) or set(content) != {"diffs", "abs"}:
        yield "it does not hold diffs and abs"
        return
    for key, group in content.items():
        if not isinstance(group, Mapping) or not all(isinstance(name, str) for name in group):
            yield f"{key} is not a dictionary of names"
            return
    for name, diff in content["diffs"].items():
        if not isinstance(diff, Mapping) or set(diff) != {"size", "index_steps", "values"}:
            yield f"{name} does not hold size, index_steps and values"
        elif not isinstance(diff["index_steps"], list) or not isinstance(diff["size"], tuple):
            yield f"size or index_steps of {name} are of another type"
        elif not all(isinstance(step, (int, np.integer)) for step in chain(diff["index_steps"], diff["size"])):
            yield f"size or index_steps of {name} are no whole numbers"
        elif not isinstance(diff["values"], torch.Tensor) or diff["values"].ndim != 1:
            yield f"the values of {name} are no tensor of one dimension"
        elif not _is_stored(diff["values"]):
            yield f"the values of {name} are more than the file holds"
    for name, value in content["abs"].items():
        if not isinstance(value, torch.Tensor):
            yield f"{name} is no tensor"
        elif not _is_stored(value):
            yield f"{name} is larger than the file holds"


def _is_stored(tensor: Any) -> bool:
    """Whether a tensor has an entry of its own in the file for each it claims; a stride of 0 repeats one at will."""
    return bool(tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes())


def _ascending(steps: list[Any], size: int, name: str) -> NDArray[np.int64]:
    """Positions from steps; they must ascend inside the parameter."""
    if any(not 0 <= int(step) <= size for step in steps):
        raise VectorError(f"{name}: a step between positions lies outside 0..{size}")
    positions = np.cumsum(np.array(steps, dtype=np.int64))
    if len(positions) and (positions[-1] >= size or bool((np.diff(positions) <= 0).any())):
        raise VectorError(f"{name}: positions must ascend below {size}, and none may come twice")
    return positions


def _floats(tensor: Any, name: str) -> NDArray[np.float32]:
    if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
        raise VectorError(f"{name} holds something else than finite numbers")
    floats: NDArray[np.float32] = tensor.detach().float().contiguous().numpy()
    return floats


def _base_name(old: str, description: Description, path: Path) -> str:
    """The base's name of a parameter, without the model's prefix."""
    for name in (old, old.partition(".")[2]):
        if name in description.shapes:
            return name
    raise VectorError(
        f"{path} moves {old}, which the base {description.name} does not have; name the base it was made for"
    )
