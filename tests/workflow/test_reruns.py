"""What makes a rerun: each change plans exactly the jobs it concerns. Only plans are made here, nothing is run.

A result is named as in `project.result_of`: all files of one job have one name.
"""

import json
import os
import shlex
from pathlib import Path
from typing import Any

from tests.helpers.project import REPOSITORY, SHORT, Project, each

Config = dict[str, Any]
OVERLAPS = each("tables/overlap-{lt-sft,deft-x}")
REPORT = {"tables", "figures"}
FROM_FULL_TASK = each(
    "deltas/task/sentiment/{lt-sft,deft-x}-sumi/seed0",
    "masks/task/lt-sft/sentiment/{base,lt-sft-sumi}/seed0",
    "masks/task/deft-x/sentiment/deft-x-sumi/seed0",
    "sfts/task/lt-sft/sentiment/{base,lt-sft-sumi}/seed0",
    "sfts/task/deft-x/sentiment/deft-x-sumi/seed0",
)
"""What is trained on the task, but for the full fine-tuning that starts from the base."""


def of_language(lang: str) -> set[str]:
    """What is made of a target language's text."""
    names = each(
        "corpora/LANG",
        "deltas/language/LANG/seed0",
        "{masks,sfts}/language/{lt-sft,deft-x}/LANG/seed0",
        "{composed,scores}/{lt-sft,deft-x}/sentiment/LANG/seed0",
    )
    return {name.replace("LANG", lang) for name in names}


def delete_deltas(project: Project) -> None:
    """Delete the large files of the full fine-tunings; their records stay."""
    deltas = list((project.results / "deltas").rglob("*.safetensors"))
    assert deltas
    for path in deltas:
        path.unlink()


# Nothing


def test_nothing_changed(project: Project) -> None:
    assert project.planned() == set()


def test_files_touched_but_not_changed(project: Project) -> None:
    """Times are set so that every result is older than everything it was made of."""
    files = [path for top in ("texts", "results") for path in (project.folder / top).rglob("*") if path.is_file()]
    ordered = sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)
    latest = max(path.stat().st_mtime for path in files)
    for age, path in enumerate(ordered):
        os.utime(path, (latest + age, latest + age))
    assert project.planned() == set()


def test_comment_and_docstring_of_the_training_edited(project: Project) -> None:
    project.edit("deftx/finetuning/common.py", '"""Fine-tuning: what is', '"""Fine-tuning, or what is')
    with (project.folder / "deftx/finetuning/common.py").open("a") as file:
        file.write("\n\n# Nothing more.\n")
    assert project.planned() == set()


def test_another_mirror_other_threads_and_the_configuration_by_name(project: Project, tmp_path: Path) -> None:
    arguments = ("--cores", "1", "--configfile", "config/quickstart.yaml")
    assert project.planned(*arguments, DEFTX_MIRROR=str(tmp_path), OMP_NUM_THREADS="1") == set()


def test_command_line_and_error_messages_edited(project: Project) -> None:
    project.edit("deftx/cli/app.py", "no_args_is_help=True", "no_args_is_help=False")
    project.edit("deftx/cli/training.py", "Module the training starts on", "The module it starts on")
    project.edit("deftx/experiment/methods.py", "there is no selection", "nobody knows the selection")
    assert project.planned() == set()


def test_deltas_deleted(project: Project) -> None:
    delete_deltas(project)
    assert project.planned() == set()


def test_deltas_deleted_before_a_selection_is_added(project: Project) -> None:
    """What `deftx clean-deltas` warns of: all that came of them is made again, but what starts from the base."""
    delete_deltas(project)
    project.configure(add_selection)
    again = each(
        "deltas/language/{sumi,suma,nolo}/seed0",
        "{masks,sfts}/language/{lt-sft,deft-x}/{sumi,suma,nolo}/seed0",
        "deltas/task/sentiment/{lt-sft,deft-x}-sumi/seed0",
        "{composed,scores}/{lt-sft,deft-x}/sentiment/{suma,nolo}/seed0",
    )
    assert project.planned() > again


def test_old_results_accepted_after_a_harmless_change(project: Project) -> None:
    project.edit(
        "deftx/finetuning/common.py", "torch.set_num_threads(threads())", "torch.set_num_threads(int(threads()))"
    )
    assert project.planned() > {"deltas/language/nolo/seed0"}
    project.run("--touch")
    assert project.planned() == set()


# Data and configuration


def test_a_corpus_edited(project: Project) -> None:
    with (project.folder / "texts/nolo.txt").open("a") as file:
        file.write("some more text\n")
    assert project.planned() == of_language("nolo") | OVERLAPS | REPORT


def test_a_language_added(project: Project) -> None:
    def add(config: Config) -> None:
        config["languages"]["tila"] = {"testbed": {"cognates": 0.5}}
        config["datasets"]["trial"]["languages"].append("tila")
        config["datasets"]["trial"]["files"]["tila"] = {"test": {"path": "texts/suma.csv"}}
        config["tasks"]["sentiment"]["targets"].append("tila")

    project.configure(add)
    without_vector = each("{composed,scores}/{full-ft,task-sft}/sentiment/tila/seed0")
    expected = {"datasets/trial/tila/test"} | of_language("tila") | without_vector
    assert project.planned() == expected | OVERLAPS | REPORT


def test_a_language_removed(project: Project) -> None:
    def remove(config: Config) -> None:
        del config["languages"]["suma"]
        config["datasets"]["trial"]["languages"].remove("suma")
        config["tasks"]["sentiment"]["targets"].remove("suma")

    project.configure(remove)
    assert project.planned() == OVERLAPS | REPORT


def test_a_seed_added_to_the_task(project: Project) -> None:
    project.configure(lambda config: config["seeds"]["task"].append(1))
    of_task = {name.replace("seed0", "seed1") for name in FROM_FULL_TASK}
    expected = of_task | each(
        "deltas/task/sentiment/base/seed1",
        "composed/{full-ft,task-sft,lt-sft,deft-x}/sentiment/{suma,nolo}/seed1",
        "scores/{full-ft,task-sft,lt-sft,deft-x}/sentiment/{suma,nolo}/{seed0,seed1}",  # one job scores all seeds
    )
    assert project.planned() == expected | REPORT


def test_a_seed_added_to_languages_and_task(project: Project) -> None:
    project.configure(lambda config: config.update(seeds={"language": [0, 5], "task": [0, 1]}))
    of_task = {name.replace("seed0", "seed1") for name in FROM_FULL_TASK}
    expected = of_task | each(
        "deltas/language/{sumi,suma,nolo}/seed5",
        "{masks,sfts}/language/{lt-sft,deft-x}/{sumi,suma,nolo}/seed5",
        "deltas/task/sentiment/base/seed1",
        "composed/{full-ft,task-sft,lt-sft,deft-x}/sentiment/{suma,nolo}/seed1",
        "scores/{full-ft,task-sft,lt-sft,deft-x}/sentiment/{suma,nolo}/{seed0,seed1}",  # one job scores all seeds
    )
    assert project.planned() == expected | REPORT


# Scores


def test_another_metric_scores_what_is_predicted(project: Project) -> None:
    """Nothing is predicted anew: the plan is read by files here, as predictions have the names of their scores."""
    project.configure(lambda config: config["tasks"]["sentiment"].update(metric="accuracy"))
    lines = [line.split("\t") for line in project.run("--summary").splitlines() if line.endswith("update pending")]
    assert {Path(line[0]).parts[2] for line in lines} == {"scores", "tables", "figures"}
    project.run("--allowed-rules", "score", "--", "results/pico/scores/lt-sft/sentiment/suma/seed0.json")
    scores = json.loads((project.results / "scores/lt-sft/sentiment/suma/seed0.json").read_text())
    assert scores["metric"] == "accuracy" and scores["signature"].startswith("accuracy|")


# Selections and methods


def add_selection(config: Config, **method: Any) -> None:
    config["selections"]["uniform"] = {"rank": {"uniform": 2}, "k": {"language": 0.2, "task": 0.1}}
    config["methods"]["uniform"] = {"selection": "uniform"} | method


def test_a_selection_added_with_a_method(project: Project) -> None:
    """Language deltas are there already; the task starts from a new vector, so it has one delta more."""
    project.configure(add_selection)
    expected = each(
        "{masks,sfts}/language/uniform/{sumi,suma,nolo}/seed0",
        "deltas/task/sentiment/uniform-sumi/seed0",
        "{masks,sfts}/task/uniform/sentiment/uniform-sumi/seed0",
        "{composed,scores}/uniform/sentiment/{suma,nolo}/seed0",
        "tables/overlap-uniform",
    )
    assert project.planned() == expected | REPORT


def test_a_selection_added_with_a_method_without_source_adaptation(project: Project) -> None:
    project.configure(lambda config: add_selection(config, source_adaptation=False))
    expected = each(
        "{masks,sfts}/language/uniform/{suma,nolo}/seed0",
        "{masks,sfts}/task/uniform/sentiment/base/seed0",
        "{composed,scores}/uniform/sentiment/{suma,nolo}/seed0",
        "tables/overlap-uniform",
    )
    assert project.planned() == expected | REPORT


def test_a_method_added_that_composes_a_full_fine_tuning(project: Project) -> None:
    """A dense task module needs no mask and no sparse vector of the task."""
    project.configure(lambda config: config["methods"].update(dense={"task": "dense", "selection": "deft-x"}))
    expected = each("{composed,scores}/dense/sentiment/{suma,nolo}/seed0")
    assert project.planned() == expected | REPORT


def test_a_method_added_that_differs_in_weights(project: Project) -> None:
    method = {"selection": "lt-sft", "weights": {"task": 0.5, "language": -1.0}}
    project.configure(lambda config: config["methods"].update(half=method))
    assert project.planned() == each("{composed,scores}/half/sentiment/{suma,nolo}/seed0") | REPORT


def test_a_method_removed(project: Project) -> None:
    project.configure(lambda config: config["methods"].pop("deft-x"))
    assert project.planned() == REPORT


def test_sizes_of_task_masks_changed(project: Project) -> None:
    project.configure(lambda config: config["selections"]["deft-x"]["k"].update(task=0.2))
    expected = each(
        "{masks,sfts}/task/deft-x/sentiment/deft-x-sumi/seed0",
        "{composed,scores}/deft-x/sentiment/{suma,nolo}/seed0",
        "tables/overlap-deft-x",
    )
    assert project.planned() == expected | REPORT


def test_a_selection_by_gradients_added(project: Project) -> None:
    """Gradients are added up where deltas were trained; no delta is."""

    def add(config: Config) -> None:
        for kind in ("language", "task"):
            config["recipe"][kind]["gradients"] = SHORT
        config["selections"]["gradient"] = config["selections"]["lt-sft"] | {"select": "accumulated-gradient"}
        config["methods"]["gradient"] = {"selection": "gradient"}

    project.configure(add)
    expected = each(
        "gradients/language/{sumi,suma,nolo}/seed0",
        "{masks,sfts}/language/gradient/{sumi,suma,nolo}/seed0",
        "gradients/task/sentiment/gradient-sumi/seed0",
        "{masks,sfts}/task/gradient/sentiment/gradient-sumi/seed0",
        "{composed,scores}/gradient/sentiment/{suma,nolo}/seed0",
        "tables/overlap-gradient",
    )
    assert project.planned() == expected | REPORT


def test_the_metric_changed(project: Project) -> None:
    project.configure(lambda config: config["tasks"]["sentiment"].update(metric="accuracy"))
    expected = each("scores/{full-ft,task-sft,lt-sft,deft-x}/sentiment/{suma,nolo}/seed0")
    assert project.planned() == expected | REPORT


def test_published_scores_set_beside(project: Project) -> None:
    """The report alone is made again; it has a table and a figure more."""
    project.edit("deftx/evaluation/published.json", '["ace", "ban", "bjn", "mad", "min"]', '["suma", "nolo"]')
    beside = {"scores": "nusax-xlm-r-base", "methods": {"lt-sft": "lt-sft", "deft-x": "deft-x"}}
    project.configure(lambda config: config["tasks"]["sentiment"].update(published=beside))
    assert project.planned() == REPORT
    project.run()
    text = (project.results / "tables/published.md").read_text()
    assert text.count("\n| sentiment | mean of targets |") == 2
    assert {path.suffix for path in (project.results / "figures").glob("published.*")} == {".svg", ".png", ".pdf"}
    assert project.planned() == set()


def test_other_methods_compared(project: Project) -> None:
    compare = {"reference": "full-ft", "proposed": "lt-sft", "control": "full-ft"}
    project.configure(lambda config: config.update(compare=compare))
    assert project.planned() == REPORT


def test_titles_changed(project: Project) -> None:
    project.configure(lambda config: config["methods"]["deft-x"].update(title="DeFT-X"))
    assert project.planned() == REPORT


# Code


def test_code_of_the_figures_edited(project: Project) -> None:
    project.edit("deftx/report/figures/style.py", "COLUMN = 3.35", "COLUMN = 3.5")
    assert project.planned() == {"figures"}


def test_code_of_the_denoising_edited(project: Project) -> None:
    """Task trainings that start from a language vector come after that vector; those from the base do not."""
    with (project.folder / "deftx/masks/denoise.py").open("a") as file:
        file.write("\nMORE = 1\n")
    expected = FROM_FULL_TASK | each(
        "{masks,sfts}/language/{lt-sft,deft-x}/{sumi,suma,nolo}/seed0",
        "{composed,scores}/{task-sft,lt-sft,deft-x}/sentiment/{suma,nolo}/seed0",
    )
    assert project.planned() == expected | OVERLAPS | REPORT


def test_code_of_the_training_edited(project: Project) -> None:
    """All is trained again, but corpora, data sets and the base stay."""
    project.edit(
        "deftx/finetuning/common.py", "torch.set_num_threads(threads())", "torch.set_num_threads(int(threads()))"
    )
    expected = FROM_FULL_TASK | each(
        "deltas/language/{sumi,suma,nolo}/seed0",
        "deltas/task/sentiment/base/seed0",
        "{masks,sfts}/language/{lt-sft,deft-x}/{sumi,suma,nolo}/seed0",
        "{composed,scores}/{full-ft,task-sft,lt-sft,deft-x}/sentiment/{suma,nolo}/seed0",
    )
    assert project.planned() == expected | OVERLAPS | REPORT


# The base model, and `make figures`


def test_a_base_model_that_lies_elsewhere(project: Project, tmp_path: Path) -> None:
    """A model is known by its weights, wherever a machine keeps it."""
    here, there = tmp_path / "here", tmp_path / "there"
    (project.results / "base").rename(here)
    project.configure(lambda config: config.update(base={"model": "somebody/tiny"}))
    project.run("results/pico/base.json", DEFTX_BASE=str(here))
    here.rename(there)
    assert project.planned("results/pico/base.json", DEFTX_BASE=str(there)) == set()
    weights = there / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert project.planned("results/pico/base.json", DEFTX_BASE=str(there)) == {"base"}


def test_make_figures_trains_nothing(project: Project) -> None:
    delete_deltas(project)
    project.edit(
        "deftx/finetuning/common.py", "torch.set_num_threads(threads())", "torch.set_num_threads(int(threads()))"
    )
    assert project.planned(*make_figures()) == REPORT


def make_figures() -> list[str]:
    """The arguments of `snakemake` in the Makefile's target `figures`."""
    lines = (REPOSITORY / "Makefile").read_text().splitlines()
    target = next(n for n, line in enumerate(lines) if line.startswith("figures:"))
    command = lines[target + 1].replace("$(CORES)", "all").replace("$(CONFIG)", "config/quickstart.yaml")
    words = shlex.split(command.strip())
    assert words[0] == "snakemake"
    return words[1:]
