"""The plan: jobs, downloads, disk and hours follow from the commands of a dry run."""

import json
import math
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.config.base import Base
from deftx.config.data import Family, File
from deftx.config.training import Phase
from deftx.core.errors import BaseModelError, ResultError
from deftx.experiment.config import Experiment
from deftx.experiment.load import load, validate
from deftx.models.architectures import SHAPES, Shape, shape_of, shape_of_parameters
from deftx.workflow.cost_model import COMPOSING_SECONDS, MEASURED, START_SECONDS, Work, steps_between, trained
from deftx.workflow.hardware import MACHINES, Machine, hours
from deftx.workflow.plan import disk, job_counts, plan
from deftx.workflow.plan_summary import render
from deftx.workflow.workload import blocks
from tests.experiment.test_config import EXPERIMENT, changed
from tests.helpers import REPOSITORY
from tests.helpers.command import refused

BASE = Shape(12, 768, 3072, 250_002, 514)
HUB = File(hub="somebody/rows", commit="0" * 40, path="train.parquet")
TEXT = File(repository="owner/texts", commit="0" * 40, path="ace.txt", sha256="0" * 64, size=3_000_000)


def base_of(experiment: Experiment) -> tuple[Base, Family | None, Path]:
    """What the shapes of a base model are known from."""
    return experiment.base, experiment.testbed, Path(experiment.folder) / "base.json"


def experiment(**changes: Any) -> Experiment:
    content = changed("base/model", "FacebookAI/xlm-roberta-base") | changes
    content["languages"]["ace"] = {"corpus": {"files": [TEXT.model_dump(mode="json")]}}
    return validate(content)


def train(out: str, data: str, phase: dict[str, Any], settings: dict[str, Any], *options: str) -> str:
    words = ["train", "--settings", json.dumps(settings), "--phase", json.dumps(phase), "--train", data, "--out", out]
    return " ".join(map(quote, [*words, *options])) + " 2> log"


LANGUAGE = {"block": 256, "mask_probability": 0.15, "output_embedding": "frozen"}
PHASE = {"epochs": 100, "min_steps": 10, "max_steps": 20, "batch_size": 8, "learning_rate": 1e-3}
COMMANDS = [
    f"fetch --file {quote(HUB.model_dump_json())} --out a",
    f"fetch --file {quote(TEXT.model_dump_json())} --out b",
    train("delta", "r/corpora/ace/train.txt.gz", PHASE, LANGUAGE),
    'mask delta --selection \'{"rank": "none"}\' --k 1000000 --out mask',
    train("sft", "r/corpora/ace/train.txt.gz", PHASE, LANGUAGE, "--mask", "mask"),
    "evaluate recipe --dataset r/datasets/nusax/ace/test.csv --max-length 128 --scores s",
]
ADAPTER = train(
    "adapter", "r/corpora/ace/train.txt.gz", PHASE, LANGUAGE, "--shape", '{"reduction": 2, "invertible_reduction": 2}'
)
STATS = "Job stats:\njob      count\n-------  -----\nfetch        2\ntotal        6\n"
OUTPUT = "\n".join([STATS, *(f"Shell command: deftx {command}" for command in COMMANDS)])


def test_jobs_are_counted_by_rule() -> None:
    assert job_counts(OUTPUT) == {"fetch": 2, "total": 6}
    assert job_counts("Nothing to be done.") == {}


def test_downloads_are_those_no_mirror_holds(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/ace.txt").touch()
    assert [file.path for file in plan(experiment(), OUTPUT, None).downloads] == ["train.parquet", "ace.txt"]
    made = plan(experiment(), OUTPUT, tmp_path)
    assert [file.path for file in made.downloads] == ["train.parquet"]
    assert [file.path for file in made.mirrored] == ["ace.txt"]
    text = render(made, MACHINES["a100"])
    assert "somebody/rows (hub): 1 file, size not stated" in text
    assert "Besides, in the mirror: 1 file, 3.0 MB" in text
    assert "Not counted: 1 raw file whose pin states no size" in text


def test_a_folder_is_not_to_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that is not there: nobody can download it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEFTX_BASE", raising=False)
    made = plan(experiment(base={"model": "../models/typo"}), OUTPUT, None)
    assert made.model is None
    text = render(made, MACHINES["h200"])
    assert "typo" not in text and "The shapes of the base model are not known" in text


def test_disk_of_each_kind() -> None:
    parts = disk(plan(experiment(), OUTPUT, None))
    assert parts["deltas"] == 4 * BASE.total
    assert parts["masks"] == pytest.approx(1.01e6)
    assert parts["sparse vectors"] == pytest.approx(5.01e6)
    of_full, of_sparse = 2 * 4 * 3 * BASE.total, 2 * 4 * 3 * 1e6
    assert parts["checkpoints of 2 trainings"] == of_full + of_sparse
    made = plan(experiment(), OUTPUT, None)
    assert disk(made, at_once=1)["checkpoints of 1 training"] == of_full
    assert disk(made, at_once=9)["checkpoints of 9 trainings"] == of_full + of_sparse
    assert parts["base model"] == 4 * BASE.total


def test_adapters_of_the_published_sizes() -> None:
    """7.4 million parameters for XLM-R base: twelve bottlenecks of 384 and couplings of 192; biases left out."""
    command = ADAPTER.replace("train --settings", "adapter --settings", 1)
    (one,) = plan(experiment(), f"{STATS}\nShell command: deftx {command}", None).works
    assert one.stage == "adapters"
    assert one.result == 4 * (12 * 2 * 768 * 384 + 2 * 2 * 384 * 192)


def test_operations_of_adapters_by_hand() -> None:
    """Theirs are part of every product; those of the language, below a task's, only pass gradients through."""
    of_language = 12 * 2 * 768 * 384 + 2 * 2 * 384 * 192
    encoder, output = 2 * BASE.body + 4 * 12 * 768 * 256, 2 * 0.15 * 768 * 250_002
    command = ADAPTER.replace("train --settings", "adapter --settings", 1)
    (language,) = plan(experiment(), f"{STATS}\nShell command: deftx {command}", None).works
    tokens, looked_at = 20 * 8 * 256, 2 * 256 * 256
    expected = tokens * (2 * encoder + 6 * of_language + 2 * output) + looked_at * (encoder + 2 * of_language + output)
    assert language.operations == (pytest.approx(expected), pytest.approx(expected))

    recipe = changed("recipe/adapters", {"language": {"phase": PHASE}, "task": {"phase": PHASE}})["recipe"]
    words = ["--shape", '{"reduction": 16, "leave_out_last": true}', "--labels", "[]", "--start", "language"]
    phase = {"max_steps": 5, "batch_size": 8, "learning_rate": 1e-3}
    command = train("adapter", "r/datasets/smsa/ind/train.csv", phase, {"max_length": 128}, *words)
    output_of_run = f"{STATS}\nShell command: deftx {command.replace('train --settings', 'adapter --settings', 1)}"
    (task,) = plan(experiment(recipe=recipe), output_of_run, None).works
    of_task, encoder = 11 * 2 * 768 * 48, 2 * BASE.body + 4 * 12 * 768 * 64
    below = of_language - 2 * 768 * 384  # it ends where the task's does
    looked_at = 2 * 1260 * 64
    expected = 5 * 8 * 64 * (2 * encoder + 6 * of_task + 4 * below) + looked_at * (encoder + 2 * (of_task + below))
    assert task.operations == (pytest.approx(expected), pytest.approx(expected))


def lora(shape: str) -> str:
    """The dry run of a training of LoRA."""
    command = train("lora", "r/corpora/ace/train.txt.gz", PHASE, LANGUAGE, "--shape", shape)
    return f"{STATS}\nShell command: deftx {command.replace('train --settings', 'lora --settings', 1)}"


def test_lora_by_hand() -> None:
    """Gradients pass through the encoder once; factors are multiplied in both directions, and have gradients."""
    (one,) = plan(experiment(), lora('{"rank": 4, "targets": ["query", "output.dense"]}'), None).works
    entries = 12 * 4 * (2 * (768 + 768) + (768 + 3072))  # of a layer: two matrices of the attention, one above it
    assert (one.stage, one.result, one.checkpoint) == ("LoRA", 4 * entries, 2 * 4 * 3 * entries)
    encoder = 2 * BASE.body + 4 * 12 * 768 * 256
    output = 2 * 0.15 * 768 * 250_002
    tokens, looked_at = 20 * 8 * 256, 2 * 256 * 256
    expected = tokens * (2 * encoder + 6 * entries + 2 * output) + looked_at * (encoder + 2 * entries + output)
    assert one.operations == (pytest.approx(expected), pytest.approx(expected))
    assert disk(plan(experiment(), lora("{}"), None))["LoRA"] == 4 * 12 * 8 * (4 * 2 * 768 + 2 * (768 + 3072))


@pytest.mark.parametrize("name", ["paper", "paper-large"])
def test_lora_of_the_paper_trains_as_much_as_sparse_fine_tuning(name: str) -> None:
    """Ranks are such that there are as many factors' entries as entries of the masks, but for a hundredth."""
    paper = load(REPOSITORY / f"config/{name}.yaml")
    assert paper.recipe.lora and paper.base.model
    budget = paper.selections["lt-sft"].k
    recipes = (paper.recipe.lora.language, paper.task_lora("sentiment"), paper.task_lora("nli"))
    for recipe, k in zip(recipes, (budget.language, budget.task, budget.task), strict=True):
        assert recipe
        command = ["lora", "--shape", recipe.model_dump_json(exclude={"phase"})]
        assert trained(command, SHAPES[paper.base.model], {}) == pytest.approx(k, rel=0.01)


def test_random_masks_and_pruned_deltas() -> None:
    commands = ["random-mask delta --k 1000000 --out mask", "prune delta --mask mask --out pruned"]
    output = "\n".join([STATS, *(f"Shell command: deftx {command}" for command in commands)])
    mask, pruned = plan(experiment(), output, None).works
    assert (mask.stage, mask.result) == ("mask", pytest.approx(1.01e6))
    assert (pruned.stage, pruned.result) == ("pruned deltas", pytest.approx(5.01e6))


def test_operations_of_a_step_by_hand() -> None:
    """Weights of the layers in each product, attention, and the output at the predicted positions."""
    (one,) = (w for w in plan(experiment(), OUTPUT, None).works if w.stage == "full fine-tuning")
    assert one.steps == (20, 20)  # 3 MB are 3,711 blocks, 464 steps an epoch: as many as are let in
    layer = 4 * 768 * 768 + 2 * 768 * 3072
    biases = 9 * 768 + 3072
    forward = 2 * 12 * (layer + biases) + 4 * 12 * 768 * 256
    output = 2 * 0.15 * 768 * 250_002
    tokens = 20 * 8 * 256
    looked_at = 2 * 256 * 256 * (forward + output)
    assert one.operations[0] == pytest.approx(tokens * (3 * forward + 2 * output) + looked_at)
    assert one.tokens == (tokens, tokens)


def test_hours_by_hand() -> None:
    machine = Machine("slow", operations=100.0, forward=50.0, bandwidth=10.0, launch=2.0, origin="")
    one = Work("train", operations=(3600.0, 7200.0), traffic=(360.0, 720.0), steps=(18, 36), seconds=0.0)
    assert hours([one, one], machine) == pytest.approx((2 * (36 + 36 + 36) / 3600, 2 * (72 + 72 + 72) / 3600))
    assert hours([Work("evaluate", forward=500.0, seconds=3.0)], machine) == pytest.approx((13 / 3600, 13 / 3600))


def test_an_evaluation_takes_what_the_machine_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 sentences as published, half of the tokens let in; as many as there are where they have been counted."""
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[-1]
    (one,) = plan(experiment(), f"{STATS}\nShell command: deftx {command}", None).works
    assert one.forward == pytest.approx(400 * 64 * (2 * BASE.body + 4 * 12 * 768 * 64))
    spent = [3600 * hours([one], MACHINES[name])[1] for name in ("h200", "t4", "cpu")]
    assert START_SECONDS < spent[0] < spent[1] < spent[2]
    counted = tmp_path / "r/datasets/nusax/ace/test.json"
    counted.parent.mkdir(parents=True)
    counted.write_text('{"rows": 100}')
    (other,) = plan(experiment(), f"{STATS}\nShell command: deftx {command}", None).works
    assert other.forward == pytest.approx(one.forward / 4)
    (composed,) = plan(experiment(), f"{STATS}\nShell command: deftx compose a:1.0 --out b", None).works
    assert (composed.forward, composed.seconds) == (0, COMPOSING_SECONDS)


PHASES = st.builds(
    Phase,
    epochs=st.none() | st.floats(0.1, 20),
    min_steps=st.integers(0, 50),
    max_steps=st.integers(1, 200),
    batch_size=st.integers(1, 16),
    learning_rate=st.just(1e-3),
)


@given(PHASES, st.integers(1, 300))
def test_steps_are_those_of_the_training_loop(phase: Phase, examples: int) -> None:
    """And between fewest and most where the number of examples is not known."""
    from deftx.training.loop import steps_of

    steps = steps_of(phase, math.ceil(examples / phase.batch_size))
    assert steps_between(phase, examples) == (steps, steps)
    low, high = steps_between(phase, None)
    assert low <= steps <= high


def test_the_size_of_a_model_without_loading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same from a name, from a local copy's config.json, and from base.json."""
    monkeypatch.delenv("DEFTX_BASE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert shape_of(*base_of(experiment())) == BASE
    assert shape_of(*base_of(validate(EXPERIMENT))) is None
    config = {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 99}
    (tmp_path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 20}))
    monkeypatch.setenv("DEFTX_BASE", str(tmp_path))
    assert shape_of(*base_of(experiment())) == Shape(2, 8, 16, 99, 20)
    (tmp_path / "config.json").write_text(json.dumps({"n_layers": 2, "dim": 8, "hidden_dim": 16, "vocab_size": 99}))
    assert shape_of(*base_of(experiment())) is None, "another family's names"
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(BaseModelError, match=r"config\.json is no JSON object"):
        shape_of(*base_of(experiment()))
    shapes = {"embeddings.word_embeddings.weight": [50, 4], "embeddings.position_embeddings.weight": [9, 4],
              "encoder.layer.0.intermediate.dense.weight": [6, 4]}  # fmt: skip
    described = tmp_path / "results/pico/base.json"
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps({"shapes": shapes}))
    assert shape_of(*base_of(experiment())) == Shape(1, 4, 6, 50, 9)
    described.write_text('{"shapes": {')
    with pytest.raises(ResultError, match=r"base\.json is damaged: .* snakemake --force"):
        shape_of(*base_of(experiment()))


def test_text_is_counted_where_it_is_there(tmp_path: Path) -> None:
    """Else by the sizes of its files; what is damaged is neither."""
    text = tmp_path / "corpora/ace/train.txt.gz"
    assert blocks(text, experiment(), 100) == 9500  # 3 MB, 3 bytes a piece, 95 % of them for training
    statistics = text.with_name("stats.json")
    statistics.parent.mkdir(parents=True)
    statistics.write_text('{"characters": 6000}')
    assert blocks(text, experiment(), 100) == 19
    statistics.write_text('{"characters": ')
    with pytest.raises(ResultError, match=r"stats\.json is damaged"):
        blocks(text, experiment(), 100)


def test_parameters_of_a_shape_are_those_of_the_model(pico_xlmr: Path) -> None:
    """XLM-R has one type of token, the pico model more."""
    shapes = {n: s for n, s in json.loads(pico_xlmr.read_text())["shapes"].items() if "pooler" not in n}
    types, hidden = shapes["embeddings.token_type_embeddings.weight"]
    found = shape_of_parameters(shapes)
    assert found is not None
    assert found.total == sum(math.prod(shape) for shape in shapes.values()) - (types - 1) * hidden


def test_a_model_of_unknown_shape_is_planned_without_hours() -> None:
    text = render(plan(validate(EXPERIMENT), OUTPUT, None), MACHINES["h200"])
    assert "some/model: size not known" in text
    assert "snakemake results/pico/base.json, then ask again" in text


def test_each_speed_says_where_it_comes_from() -> None:
    for name, machine in MACHINES.items():
        assert machine.origin.startswith(("measured: ", "computed from operations: ")), name
        assert machine.origin.startswith("computed") or machine.origin.count("2026-11") == 2, "training, evaluation"
        assert MEASURED.startswith("measured on ") and MEASURED in render(plan(experiment(), OUTPUT, None), machine)


def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    assert "--gpu b1: not known; known are h200" in refused("plan", "a.yaml", "--gpu", "b1")
    assert "no Snakefile here: run deftx plan in the project's folder" in refused("plan", "a.yaml")
