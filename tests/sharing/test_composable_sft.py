"""composable-sft's files: read as their content says, written back, and never run."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from deftx.core.errors import VectorError
from deftx.core.integrity import write_json
from deftx.models.base_model import Description
from deftx.modules import vectors as vector_files
from deftx.sharing import composable_sft
from tests.helpers import REPOSITORY, vectors
from tests.helpers.command import refused, run

SAMPLE = REPOSITORY.parent / "shared/data/composable-sft-sample"
BASE = Description("pico", None, vectors.BASE, "t" * 64, vectors.SHAPES)
TASK = vectors.sparse(1, head=True, labels=["a", "b"], objective="classification")


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of real files is not here")
@pytest.mark.parametrize(("kind", "labels"), [("language", None), ("task", ["a", "b", "c"])])
def test_real_files_hold_what_is_said_of_them(kind: str, labels: list[str] | None) -> None:
    expected = load_file(SAMPLE / kind / "expected.safetensors")
    shapes = {n.removeprefix("diff.roberta."): list(v.shape) for n, v in expected.items() if n.startswith("diff.")}
    description = Description("sample", None, "b" * 64, "t", shapes)
    vector = composable_sft.read_old(SAMPLE / kind / "pytorch_diff.bin", description, labels, None)
    for name, shape in shapes.items():
        dense = np.zeros(shape, np.float32)
        dense.reshape(-1)[vector.positions[name]] = vector.values[name]
        np.testing.assert_array_equal(dense, expected[f"diff.roberta.{name}"])
    assert {f"abs.{name}" for name in vector.head} == {name for name in expected if name.startswith("abs.")}
    for name, value in vector.head.items():
        np.testing.assert_array_equal(value, expected[f"abs.{name}"])


@pytest.mark.parametrize("vector", [vectors.sparse(0), TASK, vectors.sparse(2, share=0)])
def test_there_and_back(tmp_path: Path, vector: vector_files.Vector) -> None:
    composable_sft.write_old(vector, "roberta", tmp_path / "old.bin")
    assert composable_sft.is_old(tmp_path / "old.bin")
    composable_sft.write_old(vector, "roberta", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "old.bin").read_bytes()
    back = composable_sft.read_old(tmp_path / "old.bin", BASE, vector.metadata.labels, "Apache-2.0")
    for group in ("positions", "values", "head"):
        for name, array in getattr(vector, group).items():
            np.testing.assert_array_equal(getattr(back, group)[name], array)
    assert back.metadata.labels == vector.metadata.labels and back.metadata.licence == "Apache-2.0"
    vector_files.save(back, tmp_path / "new")
    assert vectors.same(vector_files.load(tmp_path / "new"), back)


def old(**changes: Any) -> dict[str, Any]:
    diff = {"size": torch.Size([5, 4]), "index_steps": [0, 3, 16], "values": torch.tensor([1.0, 2.0, 3.0])} | changes
    return {"diffs": {"roberta.layer.weight": diff}, "abs": {}}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_file_is_read_without_warning(tmp_path: Path, protocol: int) -> None:
    """torch asks users to report what is pickled by another protocol than its own."""
    torch.save(old(), tmp_path / "v.bin", pickle_protocol=protocol)
    vector = composable_sft.read_old(tmp_path / "v.bin", BASE, None, None)
    assert sorted(vector.values["layer.weight"].tolist()) == [1.0, 2.0, 3.0]


def test_positions_run_down_the_columns(tmp_path: Path) -> None:
    torch.save(old(), tmp_path / "v.bin")
    vector = composable_sft.read_old(tmp_path / "v.bin", BASE, None, None)
    dense = np.zeros((5, 4))
    dense[0, 0], dense[3, 0], dense[4, 3] = 1, 2, 3
    np.testing.assert_array_equal(vectors.as_dense(vector)["layer.weight"], dense)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (old(index_steps=[0, 3, 17]), "ascend below 20"),
        (old(index_steps=[0, 3, 0]), "ascend below 20"),
        (old(index_steps=[5, -3, 4]), r"outside 0\.\.20"),
        (old(index_steps=[0, 2**62, 2**62]), r"outside 0\.\.20"),
        (old(index_steps=[0, 3]), "2 positions but 3 values"),
        (old(index_steps=[0, 1.5, 3]), "are not integers"),
        (old(index_steps=(0, 3, 16)), "have another type"),
        (old(size=torch.Size([4, 5])), r"with shape \[4, 5\], but the base \[5, 4\]"),
        (old(values=torch.tensor([1, 2, 3])), "finite numbers"),
        (old(values=torch.tensor([1.0, float("nan"), 3.0])), "finite numbers"),
        (old(values=torch.ones(3, 1)), "not a tensor of one dimension"),
        ({"diffs": {"roberta.other": old()["diffs"]["roberta.layer.weight"]}, "abs": {}}, "changes roberta.other"),
        ({"diffs": {}}, "does not contain diffs and abs"),
        ([1, 2], "does not contain diffs and abs"),
        ({"diffs": {}, "abs": {"w": 3}}, "w is not a tensor"),
        ({"diffs": {}, "abs": {"classifier.weight": torch.ones(2, 4)}}, "Pass its labels"),
    ],
)
def test_content_that_does_not_fit_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "v.bin")
    with pytest.raises(VectorError, match=message):
        composable_sft.read_old(tmp_path / "v.bin", BASE, None, None)


def test_a_head_needs_as_many_labels_as_it_has_outputs(tmp_path: Path) -> None:
    composable_sft.write_old(TASK, "roberta", tmp_path / "v.bin")
    with pytest.raises(VectorError, match=r"as many outputs as there are labels \(3\)"):
        composable_sft.read_old(tmp_path / "v.bin", BASE, ["a", "b", "c"], None)


class Calls:
    """An object whose pickle calls something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile(folder: Path) -> list[Calls]:
    trace = str(folder / "executed")
    return [
        Calls(os.system, f"touch {trace}"),
        Calls(eval, f"open({trace!r}, 'w')"),
        Calls(exec, f"open({trace!r}, 'w')"),
        Calls(open, trace, "w"),
        Calls(getattr, Calls(__import__, "os"), "mkdir"),
        Calls(np.save, trace, np.ones(2)),
        Calls(np.load, trace),
        Calls(torch.load, trace),
        Calls(torch.save, {}, trace),
        Calls(Path.touch, Path(trace)),
    ]


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(tmp_path: Path, number: int, zipped: bool) -> None:
    bad = hostile(tmp_path)[number]
    content = {"diffs": {"roberta.layer.weight": bad}, "abs": {}}
    if zipped:
        with zipfile.ZipFile(tmp_path / "v.bin", "w") as file:
            file.writestr("v/data.pkl", pickle.dumps(content, protocol=2))
            file.writestr("v/version", "3\n")
            file.writestr("v/byteorder", "little")
    else:
        (tmp_path / "v.bin").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(VectorError, match=r"v\.bin (is refused, and none of it was executed|is not a file)"):
        composable_sft.read_old(tmp_path / "v.bin", BASE, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["v.bin"]


RAW = {
    "a dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x1dOrderedDict.__init__.__globals__\x93.",
    "a name of protocol 0": b"cposix\nsystem\n(S'true'\ntR.",
    "an instance of protocol 0": b"(S'true'\niposix\nsystem\n.",
    "a change of what is allowed": b"\x80\x02ctorch\nSize\nN}X\x05\x00\x00\x00_callX\x01\x00\x00\x00as\x86b.",
    "a new object of what is allowed": b"\x80\x02ctorch\nSize\n)\x81.",
    "a large place in the memo": b"\x80\x02}r\xff\xff\xff\x7f.",
    "nothing": b"",
    "no end": b"\x80\x02}",
}


def archive(path: Path, pickled: bytes, numbers: bytes = bytes(16)) -> Path:
    """An archive as `torch.save` lays it out, with one storage."""
    with zipfile.ZipFile(path, "w") as file:
        for name, raw in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little", "data/0": numbers}.items():
            file.writestr(f"v/{name}", raw)
    return path


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", RAW)
def test_pickles_by_hand_are_refused(tmp_path: Path, case: str) -> None:
    with pytest.raises(VectorError, match=r"v\.bin"):
        composable_sft.read_old(archive(tmp_path / "v.bin", RAW[case]), BASE, None, None)


class Storage:
    """Numbers of a tensor, as torch's pickles refer to them."""

    def __init__(self, key: str = "0", length: int = 4, kind: Any = torch.FloatStorage) -> None:
        self.named = ("storage", kind, key, "cpu", length)


class Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.named if isinstance(obj, Storage) else None


def tensor(storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Calls:
    return Calls(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides, False, OrderedDict())


@pytest.mark.parametrize(
    "values",
    [
        tensor(Storage(), 1, (4,), (1,)),
        tensor(Storage(), 0, (1 << 62,), (1,)),
        tensor(Storage(), 0, (1 << 62,), (0,)),
        tensor(Storage(), -1, (4,), (1,)),
        tensor(Storage(), 0, (-1,), (1,)),
        tensor(Storage(), 0, (4,), ()),
        tensor(Storage(length=1 << 40), 0, (1 << 40,), (1,)),
        tensor(Storage(key="7"), 0, (4,), (1,)),
        tensor(Storage(key="../../../etc/passwd"), 0, (4,), (1,)),
        tensor([1.0, 2.0, 3.0], 0, (3,), (1,)),
        Calls(torch.FloatStorage, 1 << 60),
        Calls(torch.FloatStorage.from_file, "/etc/passwd"),
    ],
)
def test_a_tensor_reaches_no_memory_but_its_own(tmp_path: Path, values: Any) -> None:
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(old(values=values))
    with pytest.raises(VectorError, match=r"v\.bin"):
        composable_sft.read_old(archive(tmp_path / "v.bin", stream.getvalue()), BASE, None, None)


def test_equal_vectors_give_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one process as from another, under any name."""
    composable_sft.write_old(TASK, "roberta", tmp_path / "one.bin")
    monkeypatch.setattr(os, "getpid", lambda: 12345)
    composable_sft.write_old(TASK, "roberta", tmp_path / "other.bin")
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "other.bin").read_bytes()


def test_no_changed_bit_gives_another_vector(tmp_path: Path) -> None:
    composable_sft.write_old(vectors.sparse(), "roberta", tmp_path / "v.bin")
    content = (tmp_path / "v.bin").read_bytes()
    expected = composable_sft.read_old(tmp_path / "v.bin", BASE, None, None)
    rng = np.random.default_rng(0)
    for at, bit in zip(rng.integers(0, len(content), 300).tolist(), rng.integers(0, 8, 300).tolist(), strict=True):
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        (tmp_path / "v.bin").write_bytes(damaged)
        try:
            found = composable_sft.read_old(tmp_path / "v.bin", BASE, None, None)
        except VectorError as error:
            assert "v.bin" in str(error)
        else:
            assert vectors.same(found, replace(expected, metadata=found.metadata)), f"byte {at}"


def test_an_sft_is_never_taken_for_an_old_file(tmp_path: Path) -> None:
    """A safetensors file begins with the length of its header, which may be any bytes."""
    begins = set()
    for length in range(0, 2100, 7):
        vector_files.save(vectors.sparse(licence="x" * length), tmp_path / "v")
        begins.add((tmp_path / "v").read_bytes()[0])
        assert not composable_sft.is_old(tmp_path / "v")
    assert {0x50, 0x80} <= begins


def test_parameters_the_old_format_cannot_count_are_refused(tmp_path: Path) -> None:
    described = vectors.metadata("sft", shapes={"w": [1 << 16, 1 << 15]})
    vector = vector_files.Vector(described, {"w": np.array([3])}, {"w": np.ones(1, np.float32)})
    with pytest.raises(VectorError, match="2147483648 elements of w"):
        composable_sft.write_old(vector, "roberta", tmp_path / "v.bin")
    assert not list(tmp_path.iterdir())


def test_a_cut_or_foreign_file_is_refused(tmp_path: Path) -> None:
    composable_sft.write_old(vectors.sparse(), "roberta", tmp_path / "v.bin")
    content = (tmp_path / "v.bin").read_bytes()
    for length in (*range(8), *np.random.default_rng(0).integers(0, len(content), 100).tolist(), len(content) - 1):
        (tmp_path / "cut.bin").write_bytes(content[:length])
        with pytest.raises(VectorError, match=r"cut\.bin"):
            composable_sft.read_old(tmp_path / "cut.bin", BASE, None, None)


def test_the_command(tmp_path: Path) -> None:
    content = {"model": "pico", "revision": None, "hash": vectors.BASE, "tokenizer": "t", "shapes": vectors.SHAPES}
    write_json(tmp_path / "base.json", content)
    vector_files.save(vectors.sparse(3), tmp_path / "v.safetensors")
    run("convert", tmp_path / "v.safetensors", tmp_path / "v.bin")
    assert "name it by --base base.json" in refused("convert", tmp_path / "v.bin", tmp_path / "w")
    run("convert", tmp_path / "v.bin", tmp_path / "w", "--base", tmp_path / "base.json")
    one, other = vector_files.load(tmp_path / "v.safetensors"), vector_files.load(tmp_path / "w")
    assert all(one.values[n].tobytes() == other.values[n].tobytes() for n in vectors.SHAPES)
    run("convert", tmp_path / "w", tmp_path / "half", "--values", "bf16")
    assert vector_files.load(tmp_path / "half").metadata.values == "bf16"
    assert "none.bin does not exist" in refused("convert", tmp_path / "none.bin", tmp_path / "x")
    assert "'fp32' or 'bf16'" in refused("convert", tmp_path / "w", tmp_path / "x", "--values", "fp16")
    named = ("--base", tmp_path / "base.json", "--labels", '["a"]', "--licence", "MIT", "--values", "bf16")
    said = refused("convert", tmp_path / "v.safetensors", tmp_path / "x.bin", *named)
    assert said.startswith("--base, --labels, --licence, --values: of no use here")
    said = refused("convert", tmp_path / "v.bin", tmp_path / "x.bin", *named)
    assert said.startswith("--licence, --values: of no use here")
    assert "--base: of no use here" in refused("convert", tmp_path / "w", tmp_path / "x", *named[:2])
    run("convert", tmp_path / "v.bin", tmp_path / "y.bin", *named[:2])
    assert (tmp_path / "y.bin").read_bytes() == (tmp_path / "v.bin").read_bytes()
    vector_files.save(vectors.sparse(kind="mask"), tmp_path / "mask")
    assert "a mask has no values to store as bf16" in refused(
        "convert", tmp_path / "mask", tmp_path / "x", "--values", "bf16"
    )
    vector_files.save(vectors.dense(), tmp_path / "delta")
    assert "only an SFT can" in refused("convert", tmp_path / "delta", tmp_path / "x.bin")
    assert not (tmp_path / "x").exists() and not (tmp_path / "x.bin").exists()
