"""A corrupted result is noticed where it is loaded, by its name and the command that makes it again; no score is wrong.

Damage is what a disk, a network or a full quota does: a file is cut short, or a bit of it is another.
"""

import json
import random
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from deftx.cli import data
from deftx.core.errors import DeftxError
from deftx.core.integrity import read_json, sha256_of
from deftx.data import rows, tokenization
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import loading, vectors
from deftx.report.tables import build as build_tables
from deftx.report.tables import storage as table_storage
from deftx.report.tables.spec import TABLES, TaskPlan
from tests.helpers.command import refused
from tests.helpers.project import PICO, SHORT, Project
from tests.workflow.test_mad_x import add_mad_x
from tests.workflow.test_methods import LORA
from tests.workflow.test_reruns import Config
from tests.workflow.test_runs import digests, failed

FLIPS = 60
TASK = TaskPlan(
    labels=PICO["tasks"]["sentiment"]["labels"], source="sumi", targets=["nolo"], scored=["nolo"], metric="macro_f1"
)


def delta(path: Path) -> Any:
    """A delta as a selection reads it."""
    with vectors.open_delta(path) as file:
        return [(name, file.read(name).tobytes()) for name in file.names]


def vector(path: Path) -> Any:
    """A vector whole, as text: arrays compare entry by entry."""
    loaded = vectors.load(path)
    parts = (loaded.positions, loaded.values, loaded.dense, loaded.head)
    return loaded.metadata, [{name: array.tobytes() for name, array in part.items()} for part in parts]


def module(path: Path) -> Any:
    """An adapter or LoRA whole, as text."""
    loaded = loading.load(path)
    parts = (loaded.parameters, loaded.head)
    return loaded.metadata, [{name: array.tobytes() for name, array in part.items()} for part in parts]


def described(path: Path) -> Any:
    """The base model, by any of its files."""
    folder = path.parent if path.name == "base.json" else path.parent.parent
    return asdict(base_model.read(folder / "base.json"))


def tabulated(path: Path) -> Any:
    """Signatures and predictions as tables read them."""
    results = next(folder.parent for folder in path.parents if folder.name in ("scores", "predictions"))
    signatures = build_tables._signatures(results, "lt-sft", "sentiment", TASK, [0])
    trials = build_tables._predictions(results, "lt-sft", "sentiment", TASK, [0], {})
    return signatures, [[part.tolist() for part in (t.gold, t.ours)] for t in trials.values()]


def recorded(path: Path) -> Any:
    results = next(folder.parent for folder in path.parents if folder.name == "deltas")
    return build_tables._training(results, [str(path.relative_to(results).with_suffix(""))]).to_csv()


def pinned(path: Path) -> Any:
    """Rows of a raw file, or its text, as `dataset` and `corpus` leave them."""
    sha256, out = path.parent.name, path.parent / "out"
    said = [f"{sha256}={path}"]
    if path.suffix == ".csv":
        data.dataset("new", "test", '{"layout": "csv"}', json.dumps(TASK.labels), out / "rows", [path], pinned=said)
    else:
        data.corpus("new", json.dumps(CORPUS | {"files": [{"path": "text"}]}), out, [path], pinned=said)
    return [made.read_bytes() for made in sorted(out.iterdir())]


def charted(path: Path) -> Any:
    """A table as figures and costs read it, and as the page does."""
    return table_storage.read_table(path).to_csv(), table_storage.read_rows(path)


LOADED: dict[str, Callable[[Path], Any]] = {
    "base.json": described,
    "base/config.json": described,
    "base/model.safetensors": described,
    "base/tokenizer.json": described,
    "raw/*/suma.csv": pinned,
    "raw/*/suma.txt": pinned,
    "corpora/nolo/train.txt.gz": tokenization.lines_of,
    "corpora/nolo/stats.json": read_json,
    "datasets/reviews/sumi/train.csv": rows.load,
    "datasets/trial/nolo/test.csv": rows.load,
    "deltas/language/nolo/seed0.safetensors": delta,
    "deltas/language/nolo/seed0.json": recorded,
    "gradients/language/nolo/seed0.safetensors": delta,
    "masks/language/deft-x/nolo/seed0.safetensors": vector,
    "masks/language/deft-x/nolo/seed0.json": read_json,
    "sfts/task/lt-sft/sentiment/base/seed0.safetensors": vector,
    "pruned/language/lt-sft/nolo/seed0.safetensors": vector,
    "adapters/language/nolo/seed0.safetensors": module,
    "adapters/task/sentiment/sumi/seed0.safetensors": module,
    "loras/language/nolo/seed0.safetensors": module,
    "loras/task/sentiment/base/seed0.safetensors": module,
    "composed/lt-sft/sentiment/nolo/seed0.json": recipes.read,
    "predictions/lt-sft/sentiment/nolo/seed0.csv": tabulated,
    "scores/lt-sft/sentiment/nolo/seed0.json": tabulated,
    **{f"tables/{name}.csv": charted for name in (*TABLES, "costs", "overlap-lt-sft")},
}
"""Each kind of result, and how the stage after it loads it."""
CORPUS = {"min_lines": 20, "valid": 0.2}
MADE = (
    *("corpora/new/stats.json", "datasets/trial/new/test.csv", "gradients/language/nolo/seed0.json"),
    *("pruned/language/lt-sft/nolo/seed0.safetensors", "composed/mad-x/sentiment/nolo/seed0.json"),
    "composed/lora/sentiment/nolo/seed0.json",
)


@pytest.fixture(scope="module")
def varied(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished run with adapters, LoRA, gradients and pruned vectors, and a language whose raw files are pinned."""
    project = finished.copy(tmp_path_factory.mktemp("varied") / "project")

    def file(name: str) -> Config:
        return {"path": name, "sha256": sha256_of(project.folder / "texts" / name)}

    def change(config: Config) -> None:
        add_mad_x(config)
        config["recipe"]["lora"] = LORA
        config["recipe"]["language"]["gradients"] = SHORT
        config["methods"]["lora"] = {"task": "lora", "language": "lora"}
        config["languages"]["new"] = {"corpus": CORPUS | {"files": [file("suma.txt")]}}
        config["datasets"]["trial"]["languages"].append("new")
        config["datasets"]["trial"]["files"]["new"] = {"test": file("suma.csv")}

    project.configure(change)
    project.run(*(f"results/pico/{name}" for name in MADE), DEFTX_MIRROR="texts")
    return project


def damages(content: bytes) -> Iterator[bytes]:
    """The file without content, cut short, and with one bit flipped."""
    chance = random.Random(len(content))
    yield b""
    yield from (content[:length] for length in (1, len(content) // 2, len(content) - 1))
    for place in (0, len(content) - 1, *chance.sample(range(len(content)), min(FLIPS, len(content)))):
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        yield bytes(changed)


@pytest.mark.parametrize("name", LOADED)
def test_a_damaged_result_is_noticed_by_name(varied: Project, tmp_path: Path, name: str) -> None:
    """Or else nothing that is read of it has changed, as where a bit of gzip's header is another."""
    results = tmp_path / "results"
    shutil.copytree(varied.results, results)
    [path] = results.glob(name)
    good, load = path.read_bytes(), LOADED[name]
    expected = load(path)
    noticed = 0
    for content in damages(good):
        path.write_bytes(content)
        try:
            assert load(path) == expected
        except DeftxError as error:
            noticed += 1
            made_again = results / "base.json" if name.startswith("base/") else path
            assert str(path) in str(error) and f"snakemake --force {made_again} " in str(error)
    assert noticed > FLIPS * 0.8
    path.write_bytes(good)
    assert load(path) == expected


def test_every_byte_of_a_recipe(finished: Project, tmp_path: Path) -> None:
    """Weights stand in it, and a model would be composed of others."""
    good = (finished.results / "composed/lt-sft/sentiment/nolo/seed0.json").read_bytes()
    path, chance = tmp_path / "recipe.json", random.Random(0)
    for place in range(len(good)):
        changed = bytearray(good)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(DeftxError, match=r"recipe\.json is corrupted"):
            recipes.read(path)


def test_results_of_an_earlier_version_are_read(finished: Project, tmp_path: Path) -> None:
    """They state no checksum: JSON none of itself, scores none of predictions, nothing one of a dataset or table."""
    results = tmp_path / "results"
    shutil.copytree(finished.results, results)
    names = (
        "base.json",
        *(name for name in LOADED if name.startswith(("composed", "predictions", "datasets", "tables"))),
    )
    expected = {name: LOADED[name](results / name) for name in names}
    expected["base.json"]["files"] = {}
    for path in (results / "tables").glob("*.json"):
        path.unlink()
    for path in results.rglob("*.json"):
        text = path.read_text()
        text = re.sub(r',\n  "checksum": "\w*"(?=\n}\n\Z)', "", text)
        text = re.sub(r',\n  "(predictions|sha256)": "\w{64}"(?=[,\n])', "", text)
        path.write_text(re.sub(r',\n  "files": \{[^}]*\}', "", text))
    assert {name: LOADED[name](results / name) for name in names} == expected


def test_predictions_that_are_no_table_or_of_other_labels(finished: Project, tmp_path: Path) -> None:
    """Also where no score vouches for them: of an earlier version, or by hand."""
    results = tmp_path / "results"
    shutil.copytree(finished.results, results)
    score = results / "scores/lt-sft/sentiment/nolo/seed0.json"
    score.write_text(re.sub(r',\n  "(predictions|checksum)": "\w{64}"', "", score.read_text()))
    path = results / "predictions/lt-sft/sentiment/nolo/seed0.csv"
    good = path.read_text()
    for content in ("", "id,label\n", good.replace(",neutral,", ",neutrel,", 1), good.replace(",", '"', 1)):
        path.write_text(content)
        with pytest.raises(DeftxError, match=r"seed0\.csv is corrupted .* snakemake --force"):
            tabulated(path)


def test_a_damaged_cache_is_made_again(finished: Project, tmp_path: Path) -> None:
    """Tokenised text, which nobody asks for by name."""
    folder = tmp_path / "nolo"
    shutil.copytree(finished.results / "corpora/nolo", folder)
    tokenizer = base_model.tokenizer(base_model.read(finished.results / "base.json"))
    corpus = folder / "train.txt.gz"

    def read() -> list[list[int]]:
        examples = tokenization.cached(tokenizer, corpus, 16, True)
        return examples[list(range(len(examples)))].tolist()

    expected = read()
    [place] = folder.glob(".train.txt.gz.*.tokens")
    good = place.read_bytes()
    for content in (b"", good[:-9], good.replace(b"\1", b"\2", 1)):
        place.write_bytes(content)
        assert read() == expected
        assert place.read_bytes() == good
    place.with_name(f"{place.name}.sha256").unlink()  # as an earlier version left it
    assert read() == expected


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import torch

    from deftx.training import checkpoints

    path, held = tmp_path / "checkpoint", {"w": torch.arange(6.0).view(2, 3).bfloat16(), "n": torch.tensor(3)}
    checkpoints.save(path, held, {"step": 2, "best": None})
    good = path.read_bytes()
    loaded = checkpoints.load(path)
    assert loaded and loaded[1] == {"step": 2, "best": None}
    assert all(torch.equal(loaded[0][name], tensor) for name, tensor in held.items())
    for content in damages(good):
        path.write_bytes(content)
        found = checkpoints.load(path)
        assert found is None or (found[1] == loaded[1] and all(torch.equal(found[0][n], held[n]) for n in held))
    path.write_bytes(good[:-1])
    caplog.clear()
    assert checkpoints.load(path) is None
    assert caplog.messages == [f"{path} is corrupted (checksum mismatch); retraining"]


MET = {
    "masks/language/lt-sft/nolo/seed0.safetensors": "sfts/language/lt-sft/nolo/seed0.json",
    "datasets/trial/suma/test.csv": "predictions/task-sft/sentiment/suma/seed0.csv",
    "adapters/language/nolo/seed0.safetensors": "composed/mad-x/sentiment/nolo/seed0.json",
    "loras/language/nolo/seed0.safetensors": "composed/lora/sentiment/nolo/seed0.json",
    "raw/*/suma.csv": "datasets/trial/new/test.json",
}
"""Results, and one made of each."""


def test_the_command_in_the_message_repairs_a_run(varied: Project, tmp_path: Path) -> None:
    """A flipped bit that only a later stage meets: with the time of the file as it was, as a disk would leave it."""
    project = varied.copy(tmp_path / "project")
    before = digests(project)
    names = [str(path.relative_to(project.results)) for name in MET for path in project.results.glob(name)]
    assert len(names) == len(MET)
    for name in names:
        path = project.results / name
        content, at = bytearray(path.read_bytes()), path.stat()
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        import os

        os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    targets = [f"results/pico/{name}" for name in MET.values()]
    for target in targets:
        (project.folder / target).unlink()
    output = failed(project, "--retries", "0", *targets)
    damaged: list[str] = []
    for name in names:
        message = re.search(
            rf"error: (\S*{re.escape(name)}) is corrupted .* rebuild it: (snakemake .*?) \(with", output
        )
        assert message, output
        assert shlex.split(message[2]) == ["snakemake", "--force", message[1]]
        damaged.append(message[1])
    project.run("--force", *damaged, DEFTX_MIRROR="texts")  # all at once, for time's sake
    project.run(*targets)
    assert digests(project) == before


def test_the_command_line_says_it_once(finished: Project, tmp_path: Path) -> None:
    broken = tmp_path / "mask"
    broken.write_bytes((finished.results / "masks/language/lt-sft/nolo/seed0.safetensors").read_bytes()[:-1])
    message = refused("compose", broken, "--base", finished.results / "base.json", "--out", tmp_path / "recipe.json")
    assert message.startswith(f"{broken} is corrupted (it is cut short, or longer than it was). Copy it again")
    assert not (tmp_path / "recipe.json").exists()
