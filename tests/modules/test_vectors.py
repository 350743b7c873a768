"""The file of a vector: what is saved comes back bit for bit, and a damaged file is never taken for another."""

import gzip
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from deftx.core.errors import VectorError
from deftx.modules import format as file_format
from deftx.modules import vectors as vector_files
from tests.helpers import REPOSITORY, vectors


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sft")


@given(vector=vectors.sparse_vectors())
def test_roundtrip(scratch: Path, vector: vector_files.Vector) -> None:
    vector_files.save(vector, scratch / "v")
    assert vectors.same(vector_files.load(scratch / "v"), vector)
    assert vector_files.read_metadata(scratch / "v") == vector.metadata


def test_roundtrip_of_deltas_and_masks(tmp_path: Path) -> None:
    for vector in (vectors.dense(head=True, labels=["a", "ü"]), vectors.sparse(kind="mask"), vectors.sparse(share=0)):
        vector_files.save(vector, tmp_path / "v")
        assert vectors.same(vector_files.load(tmp_path / "v"), vector)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    one = vectors.sparse(head=True, data={"train": "1", "valid": "2"}, versions={"torch": "2", "numpy": "2"})
    other = vectors.sparse(head=True, data={"valid": "2", "train": "1"}, versions={"numpy": "2", "torch": "2"})
    vector_files.save(one, tmp_path / "one")
    vector_files.save(other, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["one", "other"]


def test_positions_cost_a_byte(tmp_path: Path) -> None:
    """A mask of 5 % of a million entries."""
    positions = np.flatnonzero(np.random.default_rng(0).random(10**6) < 0.05)
    described = vectors.metadata("mask", shapes={"w": [1000, 1000]})
    vector_files.save(vector_files.Vector(described, positions={"w": positions}), tmp_path / "mask")
    assert (tmp_path / "mask").stat().st_size < 1.02 * len(positions) + 2000


KINDS = {
    "sft": vectors.sparse(head=True, labels=["bad", "good"], selection={"rank": "none"}),
    "bf16": vectors.rounded(vectors.sparse(head=True)),
    "mask": vectors.sparse(kind="mask"),
    "delta": vectors.dense(zero_rows=(0, 3, 29)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path, kind: str) -> None:
    vector_files.save(KINDS[kind], tmp_path / "v")
    content = (tmp_path / "v").read_bytes()
    cuts = {*range(10), len(content) - 1, *np.random.default_rng(0).integers(0, len(content), 100).tolist()}
    for length in cuts:
        (tmp_path / "v").write_bytes(content[:length])
        with pytest.raises(VectorError, match="corrupted"):
            vector_files.load(tmp_path / "v")
    (tmp_path / "v").write_bytes(content + b"0")
    with pytest.raises(VectorError, match="corrupted"):
        vector_files.load(tmp_path / "v")


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_gives_another_vector(tmp_path: Path, kind: str) -> None:
    """A thousand flipped bits anywhere: an error that names the file, or the right content."""
    vector = KINDS[kind]
    vector_files.save(vector, tmp_path / "v")
    content = (tmp_path / "v").read_bytes()
    expected = vector_files.load(tmp_path / "v")
    rng = np.random.default_rng(0)
    for at, bit in zip(rng.integers(0, len(content), 1000).tolist(), rng.integers(0, 8, 1000).tolist(), strict=True):
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        (tmp_path / "v").write_bytes(damaged)
        try:
            loaded = vector_files.load(tmp_path / "v")
        except VectorError as error:
            assert str(tmp_path / "v") in str(error)
        else:
            assert vectors.same(loaded, expected), f"byte {at}: {content[at - 20 : at + 20]!r}"


@pytest.mark.parametrize("zero_rows", [(), (0,), (0, 3, 29), tuple(range(30)), tuple(range(1, 30))])
def test_a_delta_stores_no_rows_of_zeros(tmp_path: Path, zero_rows: tuple[int, ...]) -> None:
    word = "embeddings.word_embeddings.weight"
    vector = vectors.dense(zero_rows=zero_rows)
    vector_files.save(vector, tmp_path / "v")
    loaded = vector_files.load(tmp_path / "v")
    assert len(loaded.dense[word]) == 30 - len(zero_rows)
    for name, delta in vector.dense.items():
        np.testing.assert_array_equal(loaded.full(name), delta)
    assert loaded.entries == vector.entries == sum(d.size for d in vector.dense.values())
    rows = np.setdiff1d(np.arange(30), zero_rows)
    short = vector_files.Vector(
        vector.metadata, dense=vector.dense | {word: vector.dense[word][rows]}, rows={word: rows}
    )
    vector_files.save(short, tmp_path / "short")
    assert (tmp_path / "short").read_bytes() == (tmp_path / "v").read_bytes()


def test_a_delta_is_read_one_parameter_at_a_time(tmp_path: Path) -> None:
    vector = vectors.dense(zero_rows=(1, 2))
    vector_files.save(vector, tmp_path / "v")
    with vector_files.open_delta(tmp_path / "v") as file:
        assert file.names == list(vectors.SHAPES), "the base's order, not the alphabet's"
        for name in (*file.names, *file.names):
            whole = vector_files.expand(file.read(name), file.rows(name), vectors.SHAPES[name])
            np.testing.assert_array_equal(whole, vector.dense[name])
    content = bytearray((tmp_path / "v").read_bytes())
    content[-1] ^= 1
    (tmp_path / "v").write_bytes(content)
    with vector_files.open_delta(tmp_path / "v") as file, pytest.raises(VectorError, match="corrupted"):
        for name in file.names:
            file.rows(name), file.read(name)
    vector_files.save(vectors.sparse(), tmp_path / "sft")
    with (
        pytest.raises(VectorError, match="is a sft, where a delta is needed"),
        vector_files.open_delta(tmp_path / "sft"),
    ):
        pass


def test_values_as_bf16_are_the_nearest(tmp_path: Path) -> None:
    vector = vectors.rounded(vectors.sparse())
    vector_files.save(vector, tmp_path / "v")
    for name, values in vector_files.load(tmp_path / "v").values.items():
        nearest = torch.from_numpy(vector.values[name]).bfloat16().float().numpy()
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, nearest)


def test_a_value_too_large_for_bf16_is_refused(tmp_path: Path) -> None:
    vector = vectors.rounded(vectors.sparse())
    vector.values["layer.weight"][0] = 3.4e38
    with pytest.raises(VectorError, match=r"layer\.weight holds a value that is too large for bf16"):
        vector_files.save(vector, tmp_path / "v")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("group", ["values", "dense", "head"])
def test_what_is_not_finite_is_not_written(tmp_path: Path, bad: float, group: str) -> None:
    vector = vectors.dense(head=True) if group == "dense" else vectors.sparse(head=True)
    next(iter(getattr(vector, group).values())).flat[0] = bad
    with pytest.raises(VectorError, match=r"weight: the \w+ holds NaN or infinity"):
        vector_files.save(vector, tmp_path / "v")
    assert not list(tmp_path.iterdir())


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    save_file({"w": np.ones(3)}, tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("id,text,label\n")
    (tmp_path / "gz").write_bytes(gzip.compress(b"text"))
    for name in ("other.safetensors", "text", "gz"):
        with pytest.raises(VectorError, match=name):
            vector_files.load(tmp_path / name)
        with pytest.raises(VectorError, match=name):
            vector_files.read_metadata(tmp_path / name)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(VectorError, match="does not exist"):
            vector_files.load(path)


@pytest.mark.parametrize("described", ["[]", "3", "{", "{}", '{"format": 1}', '{"format": 99}'])
def test_foreign_metadata_is_refused(tmp_path: Path, described: str) -> None:
    save_file({"w": np.ones(3)}, tmp_path / "v", metadata={"deftx": described})
    with pytest.raises(VectorError):
        vector_files.load(tmp_path / "v")


def test_a_delta_of_another_shape_than_stated_is_refused(tmp_path: Path) -> None:
    vector = vectors.dense(shapes=vectors.SHAPES | {"layer.bias": [5]})
    with pytest.raises(VectorError, match=r"layer\.bias has shape \[4\], not \[5\]"):
        vector_files.save(vector, tmp_path / "v")
    assert not list(tmp_path.iterdir())


def test_a_vector_fits_its_base_only() -> None:
    described = vectors.metadata("sft")
    path = Path("v.safetensors")
    vector_files.check_fits(described, vectors.SHAPES, vectors.BASE, path)
    with pytest.raises(VectorError, match="another base model"):
        vector_files.check_fits(described, vectors.SHAPES, "a" * 64, path)
    with pytest.raises(VectorError, match=r"layer\.bias.*no such parameter"):
        fewer = {n: s for n, s in vectors.SHAPES.items() if n != "layer.bias"}
        vector_files.check_fits(described, fewer, vectors.BASE, path)
    with pytest.raises(VectorError, match=r"layer\.bias with shape \[4\]"):
        vector_files.check_fits(described, vectors.SHAPES | {"layer.bias": [3]}, vectors.BASE, path)


def test_a_vector_of_another_kind_is_refused() -> None:
    vector_files.check_fits(vectors.metadata("mask"), vectors.SHAPES, vectors.BASE, Path("v"), kinds=("mask",))
    with pytest.raises(VectorError, match="v is a mask, where a sft or a delta is needed"):
        vector_files.check_fits(vectors.metadata("mask"), vectors.SHAPES, vectors.BASE, Path("v"))


def reader() -> Callable[[Path], Any]:
    """The reader that docs/reference/format.md shows."""
    page = (REPOSITORY / "docs" / "reference" / "format.md").read_text()
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len([line for line in shown.splitlines() if line]) <= 40
    assert set(re.findall(r"^import (\w+)", shown, re.MULTILINE)) <= {"hashlib", "json", "math", "numpy"}
    names: dict[str, Any] = {}
    exec(shown, names)
    return names["read"]


READ = reader()


@pytest.mark.parametrize("kind", ["sft", "bf16", "mask"])
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1), large=st.booleans())
def test_the_reader_of_the_documents_reads_the_same(
    scratch: Path, kind: str, seed: int, share: float, large: bool
) -> None:
    vector = vectors.sparse(seed, share, head=kind == "sft", kind="mask" if kind == "mask" else "sft")
    if large:
        positions = np.array([300, 599])
        word = "embeddings.word_embeddings.weight"
        vector = replace(
            vector,
            positions=vector.positions | {word: positions},
            values=vector.values | {word: np.ones(2, np.float32)} if vector.values else {},
        )
    vector_files.save(vectors.rounded(vector) if kind == "bf16" else vector, scratch / "v")
    loaded = vector_files.load(scratch / "v")
    metadata, entries, head = READ(scratch / "v")
    assert (
        vector_files.Metadata.model_validate({k: v for k, v in metadata.items() if k not in ("tensors", "checksum")})
        == loaded.metadata
    )
    assert entries.keys() == loaded.positions.keys() and head.keys() == loaded.head.keys()
    for name, (positions, values) in entries.items():
        np.testing.assert_array_equal(positions, loaded.positions[name])
        if kind == "mask":
            assert values is None
        else:
            np.testing.assert_array_equal(values, loaded.values[name], strict=True)
    for name, parameter in head.items():
        np.testing.assert_array_equal(parameter, loaded.head[name], strict=True)


def test_the_reader_of_the_documents_refuses_what_was_changed(tmp_path: Path) -> None:
    vector_files.save(KINDS["sft"], tmp_path / "v")
    content = (tmp_path / "v").read_bytes()
    _, expected, _ = READ(tmp_path / "v")
    for at in np.random.default_rng(0).integers(8, len(content), 300).tolist():
        damaged = bytearray(content)
        damaged[at] ^= 1
        (tmp_path / "v").write_bytes(damaged)
        try:
            _, found, _ = READ(tmp_path / "v")
        except Exception:
            continue
        for name, pair in expected.items():
            np.testing.assert_array_equal(found[name], pair)


def test_every_key_and_tensor_is_in_the_documents() -> None:
    page = (REPOSITORY / "docs" / "reference" / "format.md").read_text()
    for key in (*vector_files.Metadata.model_fields, "tensors", "checksum"):
        assert f"`{key}`" in page, key
    for prefix in vector_files.PREFIXES:
        assert f"`{prefix}.NAME`" in page, prefix
    assert f"format {file_format.FORMAT}" in page


WORD = "embeddings.word_embeddings.weight"


def written(path: Path, kind: vector_files.Kind, tensors: dict[str, np.ndarray]) -> Path:
    """A file by a writer that checks nothing; its checksums are right."""
    file_format.write(path, vector_files._described(vectors.metadata(kind)), tensors)
    return path


@pytest.mark.parametrize(
    ("kind", "tensors"),
    [
        ("mask", {f"gaps.{WORD}": np.array([0, 255], np.uint8)}),
        ("mask", {f"gaps.{WORD}": np.array([255], np.uint8), f"large.{WORD}": np.array([600])}),
        ("mask", {f"gaps.{WORD}": np.array([255], np.uint8), f"large.{WORD}": np.array([254])}),
        ("mask", {f"gaps.{WORD}": np.array([255], np.uint8), f"large.{WORD}": np.array([-1])}),
        ("mask", {f"gaps.{WORD}": np.array([255] * 3, np.uint8), f"large.{WORD}": np.array([2**62, 2**62, 2**63 - 1])}),
        ("mask", {f"gaps.{WORD}": np.array([254] * 3, np.uint8)}),
        ("mask", {f"gaps.{WORD}": np.array([255], np.uint8), f"large.{WORD}": np.array([300, 300])}),
        ("mask", {"gaps.other": np.array([0], np.uint8)}),
        ("mask", {f"gaps.{WORD}": np.array([[0]], np.uint8)}),
        ("mask", {f"gaps.{WORD}": np.array([0])}),
        ("mask", {f"large.{WORD}": np.array([300])}),
        ("mask", {f"indices.{WORD}": np.array([300])}),
        ("sft", {f"gaps.{WORD}": np.array([0], np.uint8)}),
        ("sft", {f"values.{WORD}": np.ones(1, np.float32)}),
        ("sft", {f"gaps.{WORD}": np.array([0], np.uint8), f"values.{WORD}": np.ones(2, np.float32)}),
        ("sft", {f"gaps.{WORD}": np.array([0], np.uint8), f"values.{WORD}": np.full(1, np.nan, np.float32)}),
        ("sft", {f"gaps.{WORD}": np.array([0], np.uint8), f"values.{WORD}": np.array([0], np.uint16)}),
        ("delta", {f"delta.{WORD}": np.ones((29, 20), np.float32)}),
        ("delta", {f"delta.{WORD}": np.ones((1, 20), np.float32), f"rows.{WORD}": np.array([30], np.uint8)}),
        ("delta", {f"delta.{WORD}": np.ones((2, 20), np.float32), f"rows.{WORD}": np.array([30], np.uint8)}),
        ("delta", {"delta.layer.bias": np.ones(1, np.float32), "rows.layer.bias": np.array([0], np.uint8)}),
        ("delta", {f"rows.{WORD}": np.array([0], np.uint8)}),
        ("delta", {f"delta.{WORD}": np.full((30, 20), np.inf, np.float32)}),
    ],
)
def test_content_with_right_checksums_is_checked_all_the_same(
    tmp_path: Path, kind: vector_files.Kind, tensors: dict[str, np.ndarray]
) -> None:
    """Gaps that overflow, positions outside, arrays that do not belong together: whoever wrote them."""
    with pytest.raises(VectorError, match=r"v(:| is corrupted)"):
        vector_files.load(written(tmp_path / "v", kind, tensors))
