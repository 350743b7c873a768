"""Mistakes at the command line: one message that names the thing and the way out, and nothing half-written."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from deftx.models import base_model
from deftx.modules import vectors as vector_files
from tests.helpers import pico, vectors
from tests.helpers.command import files, refused, run, spec

CORPUS = {"files": [{"path": "text"}], "min_lines": 10, "valid": 0.2}
TABLE = {"files": [{"path": "t.csv", "column": "text"}], "min_lines": 10, "valid": 0.2}
SHA = "0" * 64
SELECTION = '{"rank": "none"}'


def as_json(content: Any) -> str:
    return json.dumps(content)


@pytest.mark.parametrize(
    ("settings", "content", "message"),
    [
        (CORPUS, None, "No such file or directory. Check the path"),
        (CORPUS, b"", "is empty"),
        (CORPUS, b"\x7fELF\0\0\0", "is a binary file"),
        (CORPUS, b"a line\nein gr\xfc\xdfender\n", "is not UTF-8 (line 2, byte 0xfc). Convert it, for example: iconv"),
        (CORPUS, b"a line\nanother line\n", "has 2 usable lines of 2"),
        (CORPUS, b"the same line\n" * 50, "49 duplicates"),
        (CORPUS, gzip.compress(b"a line\n" * 100, mtime=0)[:-4], "corrupted gzip file"),
        (TABLE, b"id,words\n1,one\n", "has no column 'text'; its columns are id, words"),
        (TABLE, b'id,text\n1,"one\n2,two\n', "A quotation mark is not closed"),
        (CORPUS | {"colour": "red"}, b"text", "settings: colour: Extra inputs are not permitted"),
        ([1], b"text", "settings: Input should be"),
        ({"files": [{"path": "a"}, {"path": "b"}]}, b"text", "2 files, but --raw names 1"),
    ],
)
def test_corpus(tmp_path: Path, settings: Any, content: bytes | None, message: str) -> None:
    raw = tmp_path / "text"
    if content is not None:
        raw.write_bytes(content)
    before = files(tmp_path)
    assert message in refused("corpus", "xx", "--settings", as_json(settings), "--raw", raw, "--out", tmp_path / "out")
    assert files(tmp_path) == before


@pytest.mark.parametrize("settings", ["{", "[1, ", "a: b: c", "none.yaml"])
def test_settings_that_cannot_be_read(tmp_path: Path, settings: str) -> None:
    message = refused("corpus", "xx", "--settings", settings, "--out", tmp_path / "out")
    assert "none.yaml: No such file" in message or "settings" in message


def test_settings_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes("a: grün".encode("latin1"))
    assert "s.yaml" in refused("corpus", "xx", "--settings", tmp_path / "s.yaml", "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words,label\na,bad\n", "has no column 'text'; its columns are words, label"),
        ("text,label\na,bad\nb,awful\n", "unknown label 'awful'; the task's labels are bad, good"),
        ("text,label\na,bad\n,good\n", "row 2: the column 'text' is empty"),
        ("text,label\n", "has no rows"),
    ],
)
def test_dataset(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    options = "--settings", '{"layout": "csv"}', "--labels", '["bad", "good"]', "--raw", tmp_path / "t.csv"
    assert message in refused("dataset", "xx", "test", *options, "--out", tmp_path / "out.csv")
    assert files(tmp_path) == ["t.csv"]


def test_a_dataset_whose_rows_are_all_near_copies(tmp_path: Path) -> None:
    other = pico.rows(tmp_path / "other.csv")
    settings = {"layout": "csv", "drop_near_copies": {"dataset": "other", "languages": ["xx"]}}
    options = "--settings", as_json(settings), "--labels", '["bad", "good"]', "--raw", other, "--near", other
    assert "no row remains" in refused("dataset", "xx", "test", *options, "--out", tmp_path / "out.csv").lower()
    assert files(tmp_path) == ["other.csv"]


def test_fetch(tmp_path: Path) -> None:
    out = tmp_path / "out" / "text"
    file = {"path": "text.csv", "url": "http://127.0.0.1:9/x", "sha256": SHA}
    message = refused("fetch", "--file", as_json(file), "--out", out)
    assert "http://127.0.0.1:9/x cannot be reached" in message and "DEFTX_MIRROR" in message
    (tmp_path / "text.csv").write_text("another file")
    message = refused("fetch", "--file", as_json(file), "--out", out, "--mirror", tmp_path)
    assert "is not the file that was pinned" in message and SHA in message
    assert files(tmp_path) == ["text.csv"]


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    message = refused(
        "base", "--settings", as_json({"model": str(tmp_path / "model")}), "--out", tmp_path / "base.json"
    )
    assert "holds no config.json" in message and "model.safetensors" in message
    (tmp_path / "model" / "config.json").write_text("{}")
    message = refused(
        "base", "--settings", as_json({"model": str(tmp_path / "model")}), "--out", tmp_path / "base.json"
    )
    assert "cannot be loaded" in message and "DEFTX_BASE" in message
    assert files(tmp_path) == ["model/config.json"]


@pytest.mark.parametrize("model", ["../models/typo", "./typo", "~/typo", "/no/folder"])
def test_a_base_that_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """What can only be a path is not called a bad name of the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEFTX_BASE", raising=False)
    message = refused("base", "--settings", as_json({"model": model}), "--out", tmp_path / "base.json")
    assert message.startswith(f"there is no folder {model}. Correct base.model")
    monkeypatch.setenv("DEFTX_BASE", "models/typo")
    message = refused("base", "--settings", as_json({"model": "some/model"}), "--out", tmp_path / "base.json")
    assert message == "there is no folder models/typo. Correct DEFTX_BASE\n"
    assert files(tmp_path) == []


def saved(path: Path, vector: vector_files.Vector) -> Path:
    vector_files.save(vector, path)
    return path


def mask(delta: Path, k: str = "10") -> list[Any]:
    out = delta.with_name("mask")
    return ["mask", delta, "--selection", SELECTION, "--k", k, "--out", out, "--report", out.with_name("report")]


@pytest.mark.parametrize(
    ("k", "message"),
    [
        ("1000000", "k = 1,000,000 exceeds the 624 maskable parameters. Lower k"),
        ("-1", "--k -1: give a number of entries such as 5000, or with a decimal point a share such as 0.05"),
        ("1.5", "--k 1.5: give"),
        ("many", "--k many: give"),
        ("", "--k : give"),
    ],
)
def test_a_mask_of_an_impossible_size(tmp_path: Path, k: str, message: str) -> None:
    delta = saved(tmp_path / "delta", vectors.dense())
    assert message in refused(*mask(delta, k))
    assert files(tmp_path) == ["delta"]


def test_a_delta_with_nan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved with the check switched off, as another program might."""
    vector = vectors.dense()
    vector.dense["layer.weight"][2, 1] = np.nan
    with monkeypatch.context() as patch:
        patch.setattr(vector_files.np, "isfinite", np.ones_like)
        delta = saved(tmp_path / "delta", vector)
    message = refused(*mask(delta))
    assert "layer.weight: the delta contains NaN" in message and "learning rate" in message
    assert files(tmp_path) == ["delta"]


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """base.json of the base the small vectors are made for; there is no such model."""
    content = {"model": "pico", "revision": None, "hash": vectors.BASE, "tokenizer": "t", "shapes": vectors.SHAPES}
    (tmp_path / "base.json").write_text(json.dumps(content))
    return tmp_path / "base.json"


def test_compose(tmp_path: Path, described: Path) -> None:
    def message(*names: Any) -> str:
        text = refused("compose", *names, "--base", described, "--out", tmp_path / "recipe.json")
        assert not (tmp_path / "recipe.json").exists()
        return text

    good = saved(tmp_path / "good", vectors.sparse())
    assert "none does not exist" in message(tmp_path / "none")
    other = saved(tmp_path / "other", vectors.sparse(base="c" * 64))
    assert "other was made for another base model" in message(other)
    more = vectors.sparse()
    stranger = vector_files.Vector(
        vectors.metadata("sft", shapes=vectors.SHAPES | {"new.weight": [2]}), more.positions, more.values
    )
    assert "speaks of new.weight with shape [2]" in message(good, saved(tmp_path / "stranger", stranger))
    (tmp_path / "cut").write_bytes(good.read_bytes()[:-3])
    assert "cut is corrupted" in message(tmp_path / "cut") and "snakemake" in message(tmp_path / "cut")
    save_file({"w": np.ones(3)}, tmp_path / "foreign")
    assert "not one of deftx" in message(tmp_path / "foreign")
    assert "has the weight nan" in message(f"{good}:nan")
    assert "is a mask" in message(saved(tmp_path / "mask", vectors.sparse(kind="mask")))
    assert "no rule for conflicts 'elect' (known: sum, ties" in message(good, "--conflicts", "elect")
    run("compose", f"{good}:0.5", good, "--base", described, "--out", tmp_path / "recipe.json")


def test_train_on_what_does_not_fit(tmp_path: Path, pico_bert: Path) -> None:
    rows, text = pico.rows(tmp_path / "rows.csv"), pico.text(tmp_path / "text.txt")

    def message(data: Path, *options: Any, labels: Sequence[str] | None = ("bad", "good"), type: str = "dense") -> str:
        named = "--base", pico_bert, "--train", data, "--valid", data, "--out", tmp_path / "out"
        said = refused("train", "--spec", spec(type, labels, precision="fp32"), *named, *options)
        assert not [name for name in files(tmp_path) if "out" in name]
        return said

    assert "rows.csv, row 1: unknown label 'good'" in message(rows, labels=("bad", "fine"))
    assert "has no column 'id'" in message(text)
    assert "shorter than one block of 256 tokens" in message(pico.text(tmp_path / "short.txt", 2), labels=None)
    foreign = saved(tmp_path / "mask", vectors.sparse(kind="mask"))
    assert "mask was made for another base model" in message(rows, "--mask", foreign, type="sft")
    stranger = saved(tmp_path / "stranger", vectors.sparse())
    assert "stranger was made for another base model" in message(rows, "--start", stranger)
    sound = vectors.sparse(kind="sft", base=base_model.read(pico_bert).hash, shapes={}, share=0.0)
    vector = saved(tmp_path / "sft", vector_files.Vector(sound.metadata))
    assert "sft is a sft, where a mask is needed" in message(rows, "--mask", vector, type="sft")
    mask_for_it = saved(tmp_path / "mask2", vector_files.Vector(sound.metadata.model_copy(update={"kind": "mask"})))
    assert "mask2 is a mask, where a sft or a delta is needed" in message(rows, "--start", mask_for_it)
    assert "a training of type sft needs --mask" in message(rows, type="sft")
    assert "a training of type dense goes without --mask" in message(rows, "--mask", mask_for_it)
    assert "no training leaves a module of type 'pruned'; types are dense, sft" in message(rows, type="pruned")
    assert "modules of type gradients are trained in one process" in message(rows, "--processes", 2, type="gradients")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"language": {}}, "the settings of either"),
        ({"task": None, "labels": None}, "the settings of either"),
        ({"labels": None}, "a `task` needs `labels`"),
        ({"phase": {"learning_rate": 1}}, "a phase needs epochs, max_steps or both"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_spec_that_says_too_much_or_too_little(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    told = json.loads(spec(labels=("bad", "good"))) | changes
    options = [part for name in ("base", "train", "valid", "out") for part in (f"--{name}", tmp_path / name)]
    assert problem in refused("train", "--spec", json.dumps(told), *options)
    assert files(tmp_path) == []


def test_tables_without_predictions(tmp_path: Path) -> None:
    from tests.helpers import results

    message = refused(
        "tables", tmp_path, "--plan", as_json(results.plan(("a", "b"), [0])), "--out", tmp_path / "tables"
    )
    assert (
        "scores/task-sft/mood/a/seed0.json does not exist. Copy it again, or rebuild it: snakemake --force" in message
    )
    assert files(tmp_path) == []


KILLED = """
import os, pathlib, signal, sys
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # the last moment before a file has its name
from deftx.cli.app import app
app(sys.argv[1:])
"""


@pytest.mark.parametrize("verb", ["corpus", "dataset"])
def test_a_killed_process_leaves_no_file_under_its_name(tmp_path: Path, verb: str) -> None:
    text, rows = pico.text(tmp_path / "text.txt"), pico.rows(tmp_path / "rows.csv")
    arguments = {
        "corpus": ["xx", "--settings", as_json(CORPUS), "--raw", text, "--out", tmp_path / "out"],
        "dataset": ["xx", "test", "--settings", '{"layout": "csv"}', "--labels", '["bad", "good"]', "--raw", rows,
                    "--out", tmp_path / "out" / "test.csv"],
    }  # fmt: skip
    command = [sys.executable, "-c", KILLED, verb, *map(str, arguments[verb])]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    left = files(tmp_path / "out")
    assert left and all(name.startswith(".") and name.endswith(".part") for name in left)
    run(verb, *arguments[verb])
    assert not {"train.txt.gz", "test.csv"}.isdisjoint(files(tmp_path / "out"))


def test_the_real_command_prints_one_line_and_fails(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("deftx")
    arguments = ["corpus", "xx", "--settings", as_json(CORPUS), "--raw", str(tmp_path / "none"), "--out", str(tmp_path)]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert files(tmp_path) == []
