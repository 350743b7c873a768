"""The configuration: what is shipped is valid, and every mistake is named with its place."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from deftx.config.methods import Seeds
from deftx.config.modules import TaskAdapterRecipe
from deftx.config.training import Phase
from deftx.core.errors import ConfigError
from deftx.data.layouts import files_of
from deftx.experiment import schema
from deftx.experiment.config import Experiment
from deftx.experiment.load import load, validate
from deftx.experiment.methods import adapts_source
from tests.helpers import REPOSITORY

CONFIGS = sorted((REPOSITORY / "config").glob("*.yaml"))
OVERLAYS = sorted((CONFIGS[0].parent / "overlays").glob("*.yaml"))
PHASE = {"max_steps": 3, "learning_rate": 1e-3}
EXPERIMENT: dict[str, Any] = {
    "name": "pico",
    "base": {"model": "some/model"},
    "languages": {
        "ind": {"corpus": {"files": [{"path": "ind.txt"}]}},
        "ace": {"corpus": {"files": [{"path": "ace.txt"}]}},
    },
    "datasets": {
        "nusax": {"layout": "nusax", "languages": ["ind", "ace"]},
        "smsa": {
            "layout": "smsa",
            "languages": ["ind"],
            "drop_near_copies": {"dataset": "nusax", "languages": ["ind"]},
        },
    },
    "tasks": {
        "sentiment": {"labels": ["bad", "good"], "source": "ind", "train": "smsa", "test": "nusax", "targets": ["ace"]}
    },
    "recipe": {"language": {"full": PHASE, "sparse": PHASE}, "task": {"full": PHASE, "sparse": PHASE}},
    "selections": {"lt-sft": {"rank": "none", "k": {"language": 0.05, "task": 100}}},
    "methods": {"lt-sft": {"selection": "lt-sft"}},
}


def changed(place: str, value: Any) -> dict[str, Any]:
    """The experiment with one value set, by its keys with slashes between."""
    content = copy.deepcopy(EXPERIMENT)
    *parents, last = place.split("/")
    block: Any = content
    for key in parents:
        block = block[int(key)] if isinstance(block, list) else block.setdefault(key, {})
    block[last] = value
    return content


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert load(path).name == path.stem


def test_the_overlay_of_mad_x_is_valid() -> None:
    folder = CONFIGS[0].parent
    content = yaml.safe_load((folder / "nusax-cpu.yaml").read_text())
    update_config(content, yaml.safe_load((folder / "overlays/nusax-mad-x.yaml").read_text()))
    experiment = validate(content)
    assert adapts_source(experiment.methods["mad-x"])
    assert experiment.task_adapter("sentiment") == experiment.recipe.adapters.task  # type: ignore[union-attr]


def test_a_task_may_have_its_own_adapters() -> None:
    content = changed("recipe/adapters", {"language": {"phase": PHASE}, "task": {"phase": PHASE}})
    assert validate(content).task_adapter("sentiment") == TaskAdapterRecipe(phase=Phase(**PHASE))
    content["tasks"]["sentiment"]["adapter"] = {"reduction": 8, "phase": PHASE}
    own = validate(content).task_adapter("sentiment")
    assert own and own.reduction == 8
    assert validate(EXPERIMENT).task_adapter("sentiment") is None


def test_a_task_may_have_its_own_lora() -> None:
    content = changed("recipe/lora", {"language": {"phase": PHASE}, "task": {"rank": 4, "phase": PHASE}})
    shared = validate(content).task_lora("sentiment")
    assert shared and (shared.rank, shared.alpha, shared.targets) == (4, 16, ("query", "key", "value", "dense"))
    content["tasks"]["sentiment"]["lora"] = {"rank": 2, "targets": ["query"], "phase": PHASE}
    own = validate(content).task_lora("sentiment")
    assert own and (own.rank, own.targets) == (2, ("query",))
    assert validate(EXPERIMENT).task_lora("sentiment") is None


def test_the_schema_and_the_manual_are_current() -> None:
    schema.build(CONFIGS[0].parent, check=True)


def test_a_stale_manual_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Rebuild it: deftx schema"):
        schema.build(tmp_path, check=True)
    schema.build(tmp_path, check=False)
    schema.build(tmp_path, check=True)


def test_the_small_experiment_is_valid() -> None:
    experiment = validate(EXPERIMENT)
    assert experiment.folder == "results/pico"
    assert adapts_source(experiment.methods["lt-sft"])
    assert experiment.tasks["sentiment"].metric == "macro_f1"
    assert Experiment.model_validate(experiment.model_dump(mode="json")) == experiment


NUSAX, AMERICAS = "nusax-xlm-r-base", "americasnli-xlm-r-base"
MISTAKES = [
    ("metods", {}, "metods: unknown key"),
    ("recipe/task/full/lr", 1, r"recipe\.task\.full\.lr: unknown key"),
    ("selections/lt-sft/keep", 1.5, r"selections\.lt-sft\.keep: .*less than or equal to 1"),
    ("selections/lt-sft/k/task", 1.5, r"selections\.lt-sft\.k\.task"),
    ("selections/lt-sft/k/task", -1, r"selections\.lt-sft\.k\.task"),
    ("selections/lt-sft/rank", "all", r"selections\.lt-sft\.rank"),
    ("selections/lt-sft/rank", {"variance": 1.5}, r"selections\.lt-sft\.rank.*variance"),
    ("selections/lt-sft/rank", {"uniform": 0}, r"selections\.lt-sft\.rank.*uniform"),
    ("methods/lt-sft/selection", "deft-x", r"methods\.lt-sft: there is no selection 'deft-x' \(known: lt-sft\)"),
    ("methods/lt-sft/selection", None, "needs a `selection`"),
    ("methods/x", {"task": "adapter", "language": "adapter"}, r"methods\.x: adapter needs recipe\.adapters"),
    ("methods/x", {"task": "adapter"}, r"methods\.x: .*give `adapter` for task and language, or for neither"),
    (
        "methods/x",
        {"task": "dense", "language": "adapter"},
        "adapter cannot be combined with modules of another type: give `adapter` for",
    ),
    (
        "methods/x",
        {"task": "adapter", "language": "none", "selection": "lt-sft"},
        "no elements to select: leave out",
    ),
    (
        "methods/x",
        {"task": "adapter", "language": "none", "weights": {"task": 0.5}},
        "stacks its modules and does not add them",
    ),
    ("recipe/adapters", {"language": {"phase": PHASE}}, r"recipe\.adapters\.task: Field required"),
    ("methods/x", {"task": "lora", "language": "lora"}, r"methods\.x: LoRA needs recipe\.lora"),
    (
        "methods/x",
        {"task": "lora", "selection": "lt-sft"},
        "LoRA cannot be combined .*: give `lora` for task and language, or for neither",
    ),
    (
        "methods/x",
        {"task": "sft", "language": "lora", "selection": "lt-sft"},
        "LoRA cannot be combined with modules of another type",
    ),
    (
        "methods/x",
        {"task": "lora", "language": "adapter"},
        "LoRA cannot be combined with modules of another type: give `lora` for",
    ),
    ("methods/x", {"task": "lora", "language": "none", "selection": "lt-sft"}, "no elements to select: leave out"),
    ("methods/x", {"task": "lora", "language": "lora", "conflicts": "ties"}, "no elements to select: leave out"),
    ("recipe/lora", {"language": {"phase": PHASE}}, r"recipe\.lora\.task: Field required"),
    ("recipe/lora", {"language": {"phase": PHASE, "rank": 0}, "task": {"phase": PHASE}}, r"lora\.language\.rank"),
    ("tasks/sentiment/train", "other", "there is no dataset 'other' .known: nusax, smsa"),
    ("tasks/sentiment/targets", ["ind", "ban"], "ban is not among the languages .known: ind, ace"),
    ("tasks/sentiment/source", "ace", "dataset smsa does not contain the source language ace"),
    ("tasks/sentiment/test", "smsa", "dataset smsa does not contain the target language ace"),
    ("datasets/smsa/drop_near_copies/dataset", "other", r"datasets\.smsa: there is no dataset 'other'"),
    ("datasets/smsa/drop_near_copies/languages", ["ban"], r"datasets\.smsa: dataset nusax does not contain ban"),
    ("datasets/smsa/layout", "csv", "the layout csv needs `files`"),
    ("datasets/smsa/layout", "testbed", "needs the block `testbed`"),
    (
        "languages/ind",
        {},
        r"methods\.lt-sft: tasks\.sentiment cannot be trained on top of .* language ind, which has no",
    ),
    ("methods/lt-sft/start_selection", "deft-x", r"methods\.lt-sft: there is no selection 'deft-x' \(known: lt-sft\)"),
    ("methods/x", {"task": "pruned", "language": "none"}, "needs a `selection`"),
    ("methods/x", {"language": "dense"}, "needs a `selection`"),
    ("methods/x", {"task": "dense", "language": "none", "swap": False}, "this method has none"),
    ("methods/x", {"task": "dense", "language": "none", "target_adaptation": True}, "this method has none"),
    (
        "methods/x",
        {"selection": "lt-sft", "target_adaptation": True, "swap": False},
        "does not use the source language",
    ),
    ("methods/x", {"selection": "lt-sft", "target_adaptation": True, "source_adaptation": True}, "the source language"),
    (
        "methods/x",
        {"selection": "lt-sft", "start_selection": "lt-sft", "source_adaptation": False},
        "which this method does not use",
    ),
    ("methods/lt-sft/conflicts", "elect", r"methods\.lt-sft: conflicts: there is no rule .elect. \(known: sum"),
    ("selections/mlm", {"k": {"language": 1, "task": 1}}, r"selections\.mlm: .*full fine-tuning of ind would both be"),
    ("selections/lora", {"k": {"language": 1, "task": 1}}, r"selections\.lora: .*LoRA of ind would both be called"),
    ("languages/lora-ind", {}, r"languages\.lora-ind: .*LoRA of ind would both be called lora-ind .*rename"),
    ("languages/mlm-ind", {}, r"languages\.mlm-ind: .*full fine-tuning of ind would both be called"),
    ("languages/lt-sft-ind", {}, r"languages\.lt-sft-ind: .*selections\.lt-sft: the vector of ind would both be"),
    ("languages/base", {}, "not .base."),
    (
        "selections/lt-sft",
        {"select": "random", "rank": {"uniform": 2}, "k": {"language": 1, "task": 1}},
        "have no rank",
    ),
    ("sweeps/x", {"title": "x", "at": [1], "series": {"A": ["nobody"]}}, r"sweeps\.x: there is no method 'nobody'"),
    ("sweeps/x", {"title": "x", "at": [1, 2], "series": {"A": ["lt-sft"]}}, "has 1 methods for 2 values"),
    ("tasks/sentiment/labels", ["bad", "good", "bad"], r"tasks\.sentiment\.labels contains duplicates of bad"),
    ("tasks/sentiment/targets", ["ace", "ace"], r"tasks\.sentiment\.targets contains duplicates of ace"),
    ("tasks/sentiment/targets", ["ind", "ace"], r"tasks\.sentiment\.targets: ind is the source language.*remove it"),
    ("datasets/nusax/languages", ["ind", "ace", "xyz"], r"datasets\.nusax: nusax has no language 'xyz'; it has ace, "),
    (
        "datasets/smsa",
        {"layout": "csv", "languages": ["ind"], "files": {"ind": {"train": {"path": "a.csv"}}}},
        r"tasks\.sentiment: dataset smsa has no split valid in ind \(it has train\)",
    ),
    (
        "datasets/nusax",
        {
            "layout": "csv",
            "languages": ["ind", "ace"],
            "files": {"ind": {"test": {"path": "a.csv"}}, "ace": {"valid": {"path": "b.csv"}}},
        },
        r"tasks\.sentiment: dataset nusax has no split test in ace \(it has valid\)",
    ),
    (
        "tasks/mood",
        EXPERIMENT["tasks"]["sentiment"] | {"labels": ["sad", "glad"]},
        r"tasks\.sentiment: the task mood has other labels, but both use the dataset nusax",
    ),
    ("languages/ace/testbed", {}, "not both"),
    ("languages/ace/corpus/files", [{"path": "x", "url": "http://x"}], "needs its sha256"),
    ("languages/ace/corpus/files", [{"path": "x", "repository": "a/b"}], "needs its commit"),
    ("base", {}, "either `model` or `pretrain`"),
    ("base", {"pretrain": {"languages": ["xx"], "phase": PHASE}}, "xx is not among the languages"),
    ("base", {"pretrain": {"languages": ["ind"], "phase": PHASE}}, r"base\.pretrain: .*`testbed`, which is missing"),
    ("recipe/task/full", {"learning_rate": 1e-3}, "needs epochs, max_steps or both"),
    ("name", "a/b", "cannot be part of a file name"),
    ("selections/base", {"k": {"language": 1, "task": 1}}, "not 'base'"),
    ("tasks/sentiment/metric", "f1", r"tasks\.sentiment\.metric"),
    ("tasks/sentiment/published", {"scores": "nusax", "methods": {"lt-sft": "lt-sft"}}, "'nusax' .known: nusax-xlm-r"),
    (
        "tasks/sentiment/published",
        {"scores": NUSAX, "methods": {"x": "lt-sft"}},
        "no system 'x' .known: mad-x",
    ),
    (
        "tasks/sentiment/published",
        {"scores": NUSAX, "methods": {"lt-sft-released": "x"}},
        "no method 'x' .known: lt-sft",
    ),
    ("tasks/sentiment/published", {"scores": AMERICAS, "methods": {"lt-sft": "lt-sft"}}, "contains accuracy, but the"),
    ("tasks/sentiment/published", {"scores": NUSAX, "methods": {"lt-sft": "lt-sft"}}, "nothing in nusax-xlm-r-base is"),
    ("tasks", {"costs": EXPERIMENT["tasks"]["sentiment"]}, r"tasks\.costs: a table of the report has this name"),
    ("seeds", {"language": [0, 1], "task": [0, 1, 2]}, r"as many as seeds\.task"),
    ("seeds", {"task": [1, 1]}, r"seeds\.task contains duplicates"),
]


@pytest.mark.parametrize(("place", "value", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_place(place: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)the configuration cannot be used:\n  .*{message}"):
        validate(changed(place, value))


def test_starts_of_two_selections_are_told_apart() -> None:
    """`lt-sft-ind` is the vector of `ind` by `lt-sft`, or that of `sft-ind` by `lt`."""
    content = changed("languages/sft-ind", {})
    validate(content)
    content["selections"]["lt"] = {"k": {"language": 1, "task": 1}}
    with pytest.raises(ConfigError, match=r"selections\.lt: .* would both be called lt-sft-ind"):
        validate(content)


@pytest.mark.parametrize("code", ["ind", "zz"])
def test_a_dataset_of_the_testbed_needs_artificial_languages(code: str) -> None:
    content = changed("datasets/x", {"layout": "testbed", "languages": [code]}) | {"testbed": {}}
    with pytest.raises(ConfigError, match=rf"datasets\.x: {code} is not a synthetic language"):
        validate(content)


NORWEGIAN = [
    ("languages/no", "languages: {no: {corpus: {files: [{path: x}]}}}", "languages: .*False"),
    ("targets", "tasks: {sentiment: {targets: [ace, no]}}", r"tasks\.sentiment\.targets: .*False"),
    ("source", "tasks: {sentiment: {source: no}}", r"tasks\.sentiment\.source: .*False"),
    (
        "languages of a dataset",
        "datasets: {nusax: {languages: [no, on]}}",
        r"datasets\.nusax\.languages: .*False.*\n.*True",
    ),
    ("known languages", "base: {pretrain: {languages: [no]}}", r"base\.pretrain\.languages: .*False"),
]


@pytest.mark.parametrize(("content", "message"), [case[1:] for case in NORWEGIAN], ids=[case[0] for case in NORWEGIAN])
def test_the_language_code_no_needs_quotes(content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}.*in quotes"):
        validate(yaml.safe_load(content))


def test_truth_values_stay_where_they_belong() -> None:
    assert not validate(changed("recipe/language/freeze_layer_norm", False)).recipe.language.freeze_layer_norm
    quoted = yaml.safe_load('languages: {"no": {corpus: {files: [{path: x}]}}}')
    assert "no" in validate(changed("languages", EXPERIMENT["languages"] | quoted["languages"])).languages


def test_every_problem_is_told_at_once() -> None:
    content = changed("metods", {})
    del content["recipe"], content["name"]
    with pytest.raises(ConfigError) as refusal:
        validate(content)
    assert len(str(refusal.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "dictionary"), (b"[1]", "dictionary"), (b"a: [", "not YAML"), (b"\xff", "not YAML")]
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"(?s)c\.yaml.*{message}"):
        load(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.yaml")


def test_seeds_pair_by_position() -> None:
    paired = Seeds(language=(7, 8), task=(1, 2))
    assert [paired.language_seed(s) for s in (1, 2)] == [7, 8]
    shared = Seeds(language=(7,), task=(1, 2, 3))
    assert [shared.language_seed(s) for s in (1, 2, 3)] == [7, 7, 7]


@pytest.mark.parametrize(("k", "kind"), [(100, int), (0.05, float), (1, int), (1.0, float)])
def test_a_budget_keeps_its_kind(k: float, kind: type) -> None:
    """1 is an entry, 1.0 is everything."""
    assert type(validate(changed("selections/lt-sft/k/task", k)).selections["lt-sft"].k.task) is kind


@pytest.mark.parametrize(
    ("method", "adapts"),
    [
        ({"selection": "lt-sft"}, True),
        ({"selection": "lt-sft", "source_adaptation": False}, False),
        ({"selection": "lt-sft", "language": "none"}, False),
        ({"task": "dense", "language": "none"}, False),
        ({"task": "dense", "language": "dense"}, True),
        ({"task": "dense", "language": "dense", "target_adaptation": True}, False),
        ({"task": "adapter", "language": "adapter"}, True),
        ({"task": "adapter", "language": "none"}, False),
        ({"task": "adapter", "language": "none", "source_adaptation": True}, True),
        ({"task": "lora", "language": "lora"}, False),
        ({"task": "lora", "language": "lora", "source_adaptation": True, "weights": {"language": 0.5}}, True),
    ],
)
def test_source_adaptation_goes_with_a_language_module(method: dict[str, Any], adapts: bool) -> None:
    content = changed("recipe/adapters", {"language": {"phase": PHASE}, "task": {"phase": PHASE}})
    content["recipe"]["lora"] = content["recipe"]["adapters"]
    content["methods"]["x"] = method
    assert adapts_source(validate(content).methods["x"]) is adapts


def test_a_target_without_text_is_no_mistake() -> None:
    experiment = validate(changed("languages/ace", {}))
    assert experiment.has_text("ind") and not experiment.has_text("ace")


def test_a_pruned_vector_needs_a_delta() -> None:
    content = changed("methods/x", {"task": "pruned", "language": "none", "selection": "lt-sft"})
    validate(content)
    content["selections"]["lt-sft"]["select"] = "accumulated-gradient"
    for recipe in content["recipe"].values():
        recipe["gradients"] = PHASE
    with pytest.raises(ConfigError, match=r"methods\.x: a pruned vector contains values of a full fine-tuning's delta"):
        validate(content)


def test_results_may_be_shared_but_not_the_report() -> None:
    experiment = validate(changed("root", "results/other"))
    assert (experiment.folder, experiment.report_folder) == ("results/other", "results/pico")


def test_ablations_take_place_in_the_world_of_the_quickstart() -> None:
    """Otherwise they could not share its results; their first methods are the quickstart's."""
    one, other = (load(CONFIGS[0].parent / f"{name}.yaml") for name in ("quickstart", "ablations"))
    for key in ("base", "testbed", "languages", "datasets", "tasks", "recipe", "seeds"):
        assert getattr(one, key) == getattr(other, key), key
    assert one.selections.items() <= other.selections.items()
    assert one.methods.items() <= other.methods.items()
    assert other.folder == one.folder
    drawn = {m for s in other.sweeps.values() for some in (s.beside, *s.series.values()) for m in some}
    assert set(other.methods) - drawn == {"full-ft", "full-arithmetic", "mlm-then-task"}


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_shipped_overlays_are_valid(path: Path) -> None:
    """Laid over the configurations of the command in their first lines."""
    command = re.search(r"--configfile (config/.*)", path.read_text())
    assert command and command[1].endswith(path.name)
    content: dict[str, Any] = {}
    for name in command[1].split():
        update_config(content, yaml.safe_load((CONFIGS[0].parents[1] / name).read_text()))
    validate(content)


def content_of(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONFIGS[0].parent / name).read_text())


def differences(one: Any, other: Any, where: str = "") -> set[str]:
    """Where two configurations differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return {d for key in keys for d in differences(one.get(key), other.get(key), f"{where}/{key}")}
    return set() if one == other else {where}


SELECTIONS = ("lt-sft", "deft-x", "deft-x-uniform")


def test_the_large_paper_is_the_paper_with_another_base() -> None:
    """Everything else is written twice, and must not drift apart."""
    assert differences(content_of("paper.yaml"), content_of("paper-large.yaml")) == {
        "/name",
        "/base/model",
        "/base/revision",
        "/tasks/sentiment/published",
        "/tasks/nli/published/scores",
        "/tasks/nli/published/note",  # no text of a target takes part in what is published on it
        *(f"/tasks/nli/published/methods/{system}" for system in ("mlm-zero-shot", "mad-x", "lt-sft", "deft-x")),
        *(
            f"/selections/{name}/k/{kind}"
            for name in ("lt-sft", "deft-x", "deft-x-uniform")
            for kind in ("language", "task")
        ),
        *(
            f"/{phase}/{key}"
            for phase in (
                *("recipe/task/full", "recipe/task/sparse", "recipe/adapters/task/phase"),
                *("tasks/nli/recipe/full", "tasks/nli/recipe/sparse", "tasks/nli/adapter/phase"),
            )
            for key in ("learning_rate", "warmup")
        ),
        *(
            f"/{lora}/{key}"
            for lora in ("recipe/lora/language", "recipe/lora/task", "tasks/nli/lora")
            for key in ("rank", "alpha", "phase/learning_rate")
        ),
    }


def test_adapters_of_the_paper_have_the_budget_of_their_authors() -> None:
    """At least 30,000 steps on a language, where full and sparse fine-tuning have at least 10,000."""
    recipe = load(CONFIGS[0].parent / "paper.yaml").recipe
    assert recipe.adapters and recipe.adapters.language.phase.min_steps == 30_000
    assert recipe.language.full == recipe.language.sparse
    assert recipe.adapters.language.phase.model_copy(update={"min_steps": 10_000}) == recipe.language.full


@pytest.mark.parametrize("name", ["paper.yaml", "paper-large.yaml", "americasnli-cpu.yaml", "nusax-cpu.yaml"])
def test_every_source_is_pinned(name: str) -> None:
    experiment = load(CONFIGS[0].parent / name)
    corpora = [file for language in experiment.languages.values() if language.corpus for file in language.corpus.files]
    sets = [files_of(dataset, code) for dataset in experiment.datasets.values() for code in dataset.languages]
    files = [*corpora, *(file for splits in sets for some in splits.values() for file in some)]
    assert files
    assert all(file.remote and file.pin and (file.commit or file.sha256) for file in files)
    # Those of two cores name no commit of the base: it would be in base.json, and they run on a local one (DEFTX_BASE).
    assert name.endswith("-cpu.yaml") or re.fullmatch("[0-9a-f]{40}", experiment.base.revision or "")


def test_the_halves_of_americasnli_make_it_up() -> None:
    halves = [
        content_of(f"overlays/americasnli-cpu-{half}.yaml")["tasks"]["nli"]["targets"] for half in ("first", "second")
    ]
    assert halves[0] + halves[1] == content_of("americasnli-cpu.yaml")["tasks"]["nli"]["targets"]
    assert [len(half) for half in halves] == [5, 5]


HUB = {"hub": "somebody/rows", "path": "train.parquet"}
SHA256 = "0" * 64
PINS = {
    "a file of a repository needs its commit": HUB,
    "give one of `repository`": HUB | {"commit": "0" * 40, "url": "https://example.org", "sha256": SHA256},
    "a file from the network needs its sha256": {"path": "x", "url": "https://example.org"},
}


@pytest.mark.parametrize("message", PINS)
def test_a_file_without_a_pin_is_refused(message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(changed("languages/ace/corpus/files", [PINS[message]]))


def test_a_task_may_have_its_own_recipe() -> None:
    recipe = {"max_length": 64, "full": PHASE, "sparse": PHASE}
    experiment = validate(changed("tasks/sentiment/recipe", recipe))
    assert experiment.task_recipe("sentiment").max_length == 64
    assert validate(EXPERIMENT).task_recipe("sentiment").max_length == 128


def test_what_is_held_out_needs_a_validation_split() -> None:
    files = {"ind": {"train": {"path": "a.csv"}}}
    dataset = {"layout": "csv", "languages": ["ind"], "files": files, "drop_held_out": True}
    with pytest.raises(ConfigError, match=r"datasets\.smsa: drop_held_out needs a split valid in ind"):
        validate(changed("datasets/smsa", dataset))


# What is compared


def test_what_is_compared_by_default() -> None:
    assert validate(EXPERIMENT).compared == {"reference": "lt-sft", "proposed": None, "control": None}


def test_what_is_compared_may_have_other_names() -> None:
    methods = {name: {"selection": "lt-sft"} for name in ("lt-sft", "plain", "mine")}
    content = changed("methods", methods) | {"compare": {"reference": "plain", "proposed": "mine"}}
    assert validate(content).compared == {"reference": "plain", "proposed": "mine", "control": None}


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        ({"control": "deft-x"}, r"compare\.control: there is no method 'deft-x' \(known: lt-sft\)"),
        ({"proposed": "lt-sft"}, r"compare: reference and proposed are both lt-sft; choose two methods"),
    ],
)
def test_what_cannot_be_compared(compare: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(changed("compare", compare))
