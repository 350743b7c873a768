"""The plan: jobs, downloads, disk and hours follow from results that are pending."""

import hashlib
import json
import math
from pathlib import Path
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
from deftx.workflow.artifacts import Corpus
from deftx.workflow.cost_model import (
    COMPOSING_SECONDS,
    MACHINES,
    MEASURED,
    START_SECONDS,
    Machine,
    Work,
    blocks,
    hours,
    module_entries,
    steps_between,
)
from deftx.workflow.graph import Artifacts
from deftx.workflow.plan import disk, parse_summary, plan, render
from tests.experiment.test_config import EXPERIMENT, changed
from tests.helpers import REPOSITORY
from tests.helpers.command import refused

BASE = Shape(12, 768, 3072, 250_002, 514)
HUB = File(hub="somebody/rows", commit="0" * 40, path="train.parquet")
TEXT = File(repository="owner/texts", commit="0" * 40, path="ace.txt", sha256="0" * 64, size=3_000_000)


def base_of(experiment: Experiment) -> tuple[Base, Family | None, Path]:
    """What the shapes of a base model are known from."""
    return experiment.base, experiment.testbed, Path(experiment.folder) / "base.json"


PHASE = {"epochs": 100, "min_steps": 10, "max_steps": 20, "batch_size": 8, "learning_rate": 1e-3}


def experiment(**changes: Any) -> Experiment:
    """The small experiment on XLM-R base, with a pinned file for each language."""
    content = changed("base/model", "FacebookAI/xlm-roberta-base")
    content["languages"] = {
        "ind": {"corpus": {"files": [HUB.model_dump(mode="json") | {"column": "text"}]}},
        "ace": {"corpus": {"files": [TEXT.model_dump(mode="json")]}},
    }
    content["recipe"]["language"] = {"full": PHASE, "sparse": PHASE}
    content["selections"]["lt-sft"]["k"]["language"] = 1_000_000
    return validate(content | changes)


ROOT = "results/pico"
HUB_PIN = hashlib.sha256(f"{HUB.hub}@{HUB.commit}/{HUB.path}".encode()).hexdigest()
FULL = ("full_language", f"{ROOT}/deltas/language/ace/seed0.safetensors")
SPARSE = ("sparse_language", f"{ROOT}/sfts/language/lt-sft/ace/seed0.safetensors")
MASK = ("mask_language", f"{ROOT}/masks/language/lt-sft/ace/seed0.safetensors")
SCORED = ("evaluate", f"{ROOT}/predictions/lt-sft/sentiment/ace/seed0.csv")
RESULTS = [
    ("fetch", f"{ROOT}/raw/{HUB_PIN}/train.parquet"),
    ("fetch", f"{ROOT}/raw/{'0' * 64}/ace.txt"),
    FULL,
    ("full_language", f"{ROOT}/deltas/language/ace/seed0.json"),
    MASK,
    SPARSE,
    SCORED,
]
SUMMARY = "output_file\tdate\trule\tlog-file(s)\tstatus\tplan\n" + "".join(
    f"{file}\t-\t{rule}\t\tmissing\tupdate pending\n" for rule, file in RESULTS
)


def of(*results: tuple[str, str], **changes: Any) -> list[Work]:
    """What jobs cost, of the small experiment with some changes."""
    return plan(experiment(**changes), results, None).works


def test_results_that_are_pending_are_read_from_the_summary() -> None:
    done = "results/pico/base.json\t-\tbase\t\tok\tno update\n"
    assert parse_summary(SUMMARY + done) == RESULTS
    assert parse_summary("") == []


def test_jobs_are_counted_by_rule() -> None:
    """Two results of a job are one, and the target rule counts as in Snakemake's table."""
    jobs = plan(experiment(), RESULTS, None).jobs
    rules = {"fetch": 2, "full_language": 1, "mask_language": 1, "sparse_language": 1, "evaluate": 1, "all": 1}
    assert jobs == rules | {"total": 7}
    assert plan(experiment(), [], None).jobs == {"total": 0}


def test_downloads_are_those_no_mirror_holds(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/ace.txt").touch()
    assert [file.path for file in plan(experiment(), RESULTS, None).downloads] == ["train.parquet", "ace.txt"]
    made = plan(experiment(), RESULTS, tmp_path)
    assert [file.path for file in made.downloads] == ["train.parquet"]
    assert [file.path for file in made.mirrored] == ["ace.txt"]
    text = render(made, MACHINES["a100"])
    assert "somebody/rows (hub): 1 file, size not stated" in text
    assert "Also, in the mirror: 1 file, 3.0 MB" in text
    assert "Not counted: 1 raw file whose pin states no size" in text


def test_a_folder_is_not_to_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that is not there: nobody can download it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEFTX_BASE", raising=False)
    made = plan(experiment(base={"model": "../models/typo"}), RESULTS, None)
    assert made.model is None
    text = render(made, MACHINES["h200"])
    assert "typo" not in text and "The shapes of the base model are not known" in text


def test_disk_of_each_kind() -> None:
    parts = disk(plan(experiment(), RESULTS, None))
    assert parts["deltas"] == 4 * BASE.total
    assert parts["masks"] == pytest.approx(1.01e6)
    assert parts["sparse vectors"] == pytest.approx(5.01e6)
    of_full, of_sparse = 2 * 4 * 3 * BASE.total, 2 * 4 * 3 * 1e6
    assert parts["checkpoints of 2 trainings"] == of_full + of_sparse
    made = plan(experiment(), RESULTS, None)
    assert disk(made, at_once=1)["checkpoints of 1 training"] == of_full
    assert disk(made, at_once=9)["checkpoints of 9 trainings"] == of_full + of_sparse
    assert parts["base model"] == 4 * BASE.total


OF_LANGUAGE = ("adapter_language", f"{ROOT}/adapters/language/ace/seed0.safetensors")
BESIDE = {
    "adapters": {
        "language": {"phase": PHASE},
        "task": {"phase": {"max_steps": 5, "batch_size": 8, "learning_rate": 1e-3}},
    },
    "lora": {"language": {"phase": PHASE}, "task": {"phase": PHASE}},
}


def beside(**changes: Any) -> dict[str, Any]:
    """The small experiment's recipe with adapters and LoRA."""
    recipe = EXPERIMENT["recipe"] | {"language": {"full": PHASE, "sparse": PHASE}}
    return recipe | BESIDE | changes


def test_adapters_of_the_published_sizes() -> None:
    """7.4 million parameters for XLM-R base: twelve bottlenecks of 384 and couplings of 192; biases left out."""
    (work,) = of(OF_LANGUAGE, recipe=beside())
    assert work.stage == "adapter"
    assert work.result == 4 * (12 * 2 * 768 * 384 + 2 * 2 * 384 * 192)


def test_operations_of_adapters_by_hand() -> None:
    """Theirs are part of every product; those of the language, below a task's, only pass gradients through."""
    of_language = 12 * 2 * 768 * 384 + 2 * 2 * 384 * 192
    encoder, output = 2 * BASE.body + 4 * 12 * 768 * 256, 2 * 0.15 * 768 * 250_002
    (language,) = of(OF_LANGUAGE, recipe=beside())
    tokens, evaluated = 20 * 8 * 256, 2 * 256 * 256
    expected = tokens * (2 * encoder + 6 * of_language + 2 * output) + evaluated * (encoder + 2 * of_language + output)
    assert language.operations == (pytest.approx(expected), pytest.approx(expected))

    (task,) = of(("adapter_task", f"{ROOT}/adapters/task/sentiment/ind/seed0.safetensors"), recipe=beside())
    of_task, encoder = 11 * 2 * 768 * 48, 2 * BASE.body + 4 * 12 * 768 * 64
    below = of_language - 2 * 768 * 384  # it ends where the task's does
    evaluated = 2 * 1260 * 64
    expected = 5 * 8 * 64 * (2 * encoder + 6 * of_task + 4 * below) + evaluated * (encoder + 2 * (of_task + below))
    assert task.operations == (pytest.approx(expected), pytest.approx(expected))


def test_lora_by_hand() -> None:
    """Gradients pass through the encoder once; factors are multiplied in both directions, and have gradients."""
    result = ("lora_language", f"{ROOT}/loras/language/ace/seed0.safetensors")
    sizes = {"rank": 4, "targets": ["query", "output.dense"], "phase": PHASE}
    (work,) = of(result, recipe=beside(lora={"language": sizes, "task": sizes}))
    entries = 12 * 4 * (2 * (768 + 768) + (768 + 3072))  # of a layer: two matrices of the attention, one above it
    assert (work.stage, work.result, work.checkpoint) == ("LoRA", 4 * entries, 2 * 4 * 3 * entries)
    encoder = 2 * BASE.body + 4 * 12 * 768 * 256
    output = 2 * 0.15 * 768 * 250_002
    tokens, evaluated = 20 * 8 * 256, 2 * 256 * 256
    expected = tokens * (2 * encoder + 6 * entries + 2 * output) + evaluated * (encoder + 2 * entries + output)
    assert work.operations == (pytest.approx(expected), pytest.approx(expected))
    made = plan(experiment(recipe=beside()), [result], None)
    assert disk(made)["LoRA"] == 4 * 12 * 8 * (4 * 2 * 768 + 2 * (768 + 3072))


@pytest.mark.parametrize("name", ["paper", "paper-large"])
def test_lora_of_the_paper_trains_as_much_as_sparse_fine_tuning(name: str) -> None:
    """Ranks are such that there are as many factors' entries as entries of the masks, but for a hundredth."""
    paper = load(REPOSITORY / f"config/{name}.yaml")
    assert paper.recipe.lora and paper.base.model
    budget = paper.selections["lt-sft"].k
    recipes = (paper.recipe.lora.language, paper.task_lora("sentiment"), paper.task_lora("nli"))
    for recipe, k in zip(recipes, (budget.language, budget.task, budget.task), strict=True):
        assert recipe
        assert module_entries(recipe, SHAPES[paper.base.model]) == pytest.approx(k, rel=0.01)


def test_random_masks_and_pruned_deltas() -> None:
    selections = {"random": {"select": "random", "k": {"language": 1_000_000, "task": 1}}}
    mask, pruned = of(
        ("random_mask_language", f"{ROOT}/masks/language/random/ace/seed0.safetensors"),
        ("prune_language", f"{ROOT}/pruned/language/random/ace/seed0.safetensors"),
        selections=EXPERIMENT["selections"] | selections,
    )
    assert (mask.stage, mask.result) == ("mask", pytest.approx(1.01e6))
    assert (pruned.stage, pruned.result) == ("pruned delta", pytest.approx(5.01e6))


def test_operations_of_a_step_by_hand() -> None:
    """Weights of the layers in each product, attention, and the output at the predicted positions."""
    (one,) = (w for w in plan(experiment(), RESULTS, None).works if w.stage == "full fine-tuning")
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
    (one,) = of(SCORED)
    assert one.forward == pytest.approx(400 * 64 * (2 * BASE.body + 4 * 12 * 768 * 64))
    spent = [3600 * hours([one], MACHINES[name])[1] for name in ("h200", "t4", "cpu")]
    assert START_SECONDS < spent[0] < spent[1] < spent[2]
    counted = tmp_path / ROOT / "datasets/nusax/ace/test.json"
    counted.parent.mkdir(parents=True)
    counted.write_text('{"rows": 100}')
    (other,) = of(SCORED)
    assert other.forward == pytest.approx(one.forward / 4)
    (composed,) = of(("compose", f"{ROOT}/composed/lt-sft/sentiment/ace/seed0.json"))
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
    with pytest.raises(BaseModelError, match=r"config\.json is not a JSON object"):
        shape_of(*base_of(experiment()))
    shapes = {"embeddings.word_embeddings.weight": [50, 4], "embeddings.position_embeddings.weight": [9, 4],
              "encoder.layer.0.intermediate.dense.weight": [6, 4]}  # fmt: skip
    described = tmp_path / "results/pico/base.json"
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps({"shapes": shapes}))
    assert shape_of(*base_of(experiment())) == Shape(1, 4, 6, 50, 9)
    described.write_text('{"shapes": {')
    with pytest.raises(ResultError, match=r"base\.json is corrupted .* snakemake --force"):
        shape_of(*base_of(experiment()))


def test_text_is_counted_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise by the sizes of its files; what is damaged is neither."""
    monkeypatch.chdir(tmp_path)
    graph, corpus = Artifacts(experiment()), Corpus("ace")
    assert blocks(graph, corpus, 100) == 9500  # 3 MB, 3 bytes a piece, 95 % of them for training
    statistics = tmp_path / ROOT / "corpora/ace/stats.json"
    statistics.parent.mkdir(parents=True)
    statistics.write_text('{"characters": 6000}')
    assert blocks(graph, corpus, 100) == 19
    statistics.write_text('{"characters": ')
    with pytest.raises(ResultError, match=r"stats\.json is corrupted"):
        blocks(graph, corpus, 100)


def test_parameters_of_a_shape_are_those_of_the_model(pico_xlmr: Path) -> None:
    """XLM-R has one type of token, the pico model more."""
    shapes = {n: s for n, s in json.loads(pico_xlmr.read_text())["shapes"].items() if "pooler" not in n}
    types, hidden = shapes["embeddings.token_type_embeddings.weight"]
    found = shape_of_parameters(shapes)
    assert found is not None
    assert found.total == sum(math.prod(shape) for shape in shapes.values()) - (types - 1) * hidden


def test_a_model_of_unknown_shape_is_planned_without_hours() -> None:
    text = render(plan(validate(EXPERIMENT), [FULL], None), MACHINES["h200"])
    assert "some/model: size not known" in text
    assert "snakemake results/pico/base.json, then rerun deftx plan" in text


def test_each_speed_says_where_it_comes_from() -> None:
    for name, machine in MACHINES.items():
        assert machine.origin.startswith(("measured: ", "computed from operations: ")), name
        assert machine.origin.startswith("computed") or machine.origin.count("2026-11") == 2, "training, evaluation"
        assert MEASURED.startswith("measured on ") and MEASURED in render(plan(experiment(), RESULTS, None), machine)


def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    assert "--gpu b1: not known; known are h200" in refused("plan", "a.yaml", "--gpu", "b1")
    assert "no Snakefile here: run deftx plan in the project's folder" in refused("plan", "a.yaml")
