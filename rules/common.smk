# The experiment, and small questions the rules ask it. Every rule gets its own slice of the configuration as
# plain builtins or JSON text, because Snakemake compares params by their repr.

import json
import os
from pathlib import Path
from shlex import quote

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from deftx import datasets
from deftx.config import Experiment, validate
from deftx.settings import File
from deftx.errors import DeftxError
from deftx.provenance import code_of, fingerprint


def experiment() -> Experiment:
    """The experiment given by --configfile, or the quickstart, with --config on top."""
    content = dict(config)
    if "methods" not in content:
        content = yaml.safe_load(Path(workflow.basedir, "config/quickstart.yaml").read_text())
        update_config(content, config)
    try:
        return validate(content)
    except DeftxError as error:
        raise WorkflowError(str(error)) from None


EXPERIMENT = experiment()
ROOT = EXPERIMENT.folder
# A tiny model is fastest on one thread, two jobs at a time; a real one on half the cores.
TRAIN_THREADS = 1 if EXPERIMENT.base.pretrain else max(1, (workflow.cores or 2) // 2)
TRAIN_MB = 2000 if EXPERIMENT.base.pretrain else 8000


wildcard_constraints:
    lang="[^/]+",
    dataset="[^/]+",
    split="train|valid|test",
    task="[^/]+",
    method="[^/]+",
    selection="[^/]+",
    start="[^/]+",
    seed=r"\d+",
    sha256="[0-9a-f]{64}",
    kind="language|task",


def as_json(content) -> str:
    """Settings as one shell word."""
    return quote(json.dumps(content, ensure_ascii=False))


def dumped(model, **which) -> str:
    """A pydantic model as one shell word."""
    return as_json(model.model_dump(mode="json", **which))


def family() -> str:
    """The family of artificial languages as an option, or nothing."""
    return f"--family {dumped(EXPERIMENT.testbed)}" if EXPERIMENT.testbed else ""


def raw(file: File) -> str:
    """Where a raw file lies: a local one where the user has it, a pinned one where `fetch` puts it."""
    return f"{ROOT}/raw/{file.sha256}/{Path(file.path).name}" if file.sha256 else file.path


def raw_files():
    """All raw files of the experiment."""
    for language in EXPERIMENT.languages.values():
        yield from (language.corpus.files if language.corpus else ())
    for dataset in EXPERIMENT.datasets.values():
        for lang in dataset.languages:
            yield from files_of(dataset, lang).values()


def files_of(dataset, lang) -> dict[str, File]:
    """The raw file of each split."""
    try:
        return datasets.files_of(dataset, lang)
    except DeftxError as error:
        raise WorkflowError(str(error)) from None


PINNED = {file.sha256: file for file in raw_files() if file.sha256}


def splits_of(name: str, lang: str) -> list[str]:
    """CSV files of all splits of a dataset in a language, where it has them."""
    dataset = EXPERIMENT.datasets[name]
    if lang not in dataset.languages:
        return []
    splits = ["test"] if dataset.layout == "testbed" else files_of(dataset, lang)
    return [f"{ROOT}/datasets/{name}/{lang}/{split}.csv" for split in splits]


def start_of(method, task) -> str:
    """The name of the start of a method's task training."""
    source = f"{method.selection}-{task.source}" if method.selection else task.source
    return source if method.adapts_source else "base"


def vector_of_start(wildcards) -> dict[str, str]:
    """The vector that is added to the base before a task is trained, by the name of the start."""
    if wildcards.start == "base":
        return {}
    source = EXPERIMENT.tasks[wildcards.task].source
    selection = wildcards.start.removesuffix(f"-{source}")
    seed = EXPERIMENT.seeds.language_seed(int(wildcards.seed))
    return {"start": f"{ROOT}/sfts/language/{selection}/{source}/seed{seed}.safetensors"}


def adapter_of_start(wildcards) -> dict[str, str]:
    """The language adapter a task's is stacked on, by the name of the start."""
    if wildcards.start == "base":
        return {}
    seed = EXPERIMENT.seeds.language_seed(int(wildcards.seed))
    return {"start": f"{ROOT}/adapters/language/{wildcards.start}/seed{seed}.safetensors"}


def start_option(wildcards, input) -> str:
    """The start as an option of `deftx train` or `deftx adapter`."""
    return f"--start {input.start}" if "start" in input.keys() else ""


def task_data(wildcards) -> dict[str, str]:
    """Training and validation data of a task."""
    task = EXPERIMENT.tasks[wildcards.task]
    folder = f"{ROOT}/datasets/{task.train}/{task.source}"
    return {"train": f"{folder}/train.csv", "valid": f"{folder}/valid.csv"}


def labels_of(wildcards) -> str:
    """A task's labels as one shell word."""
    return as_json(list(EXPERIMENT.tasks[wildcards.task].labels))


def training_settings(kind: str) -> str:
    """What all phases of language or task training share, as one shell word."""
    return dumped(getattr(EXPERIMENT.recipe, kind), exclude={"full", "sparse", "gradients"})


def gradients_phase(kind: str) -> str:
    """How gradients are added up, as one shell word; nothing where no selection needs them."""
    phase = getattr(EXPERIMENT.recipe, kind).gradients
    return dumped(phase) if phase else ""


# What the trainings of adapters share with the others; the rest says how encoders move, and theirs stays.
WITH_ADAPTERS = {
    "language": {"block", "packed", "mask_probability", "replacement", "clip", "precision"},
    "task": {"max_length", "clip", "precision"},
}


def adapter_settings(kind: str):
    """What language or task adapters are trained on, as one shell word."""

    def settings(wildcards) -> str:
        return dumped(getattr(EXPERIMENT.recipe, kind), include=WITH_ADAPTERS[kind])

    return settings


def adapter_recipe(kind: str, wildcards):
    """Sizes and training of language adapters, or of a task's."""
    return EXPERIMENT.recipe.adapters.language if kind == "language" else EXPERIMENT.task_adapter(wildcards.task)


def adapter_shape(kind: str):
    """Sizes of adapters, as one shell word."""

    def shape(wildcards) -> str:
        return dumped(adapter_recipe(kind, wildcards), exclude={"phase"})

    return shape


def adapter_phase(kind: str):
    """Length and speed of the training of adapters, as one shell word."""

    def phase(wildcards) -> str:
        return dumped(adapter_recipe(kind, wildcards).phase)

    return phase


def selection_of(wildcards) -> str:
    """What of a selection decides over a mask, beside its size and what it ranks, as one shell word."""
    return dumped(EXPERIMENT.selections[wildcards.selection], exclude={"k", "select"})


def ranked_by(selection) -> str:
    """Folder of what a selection ranks: deltas, or summed gradients. Without a selection it is the delta."""
    by_gradients = selection and EXPERIMENT.selections[selection].select == "accumulated-gradient"
    return "gradients" if by_gradients else "deltas"


def ranked(kind: str):
    """The file a selection ranks, for language masks or for task masks."""
    name = "{lang}" if kind == "language" else "{task}/{start}"

    def file(wildcards) -> str:
        return f"{ROOT}/{ranked_by(wildcards.selection)}/{kind}/{name.format(**dict(wildcards.items()))}/seed{wildcards.seed}.safetensors"

    return file


def scored(task) -> list[str]:
    """Languages that are scored: the targets, and the source where the test set has it."""
    return [
        *([task.source] if task.source in EXPERIMENT.datasets[task.test].languages else []),
        *task.targets,
    ]


def composed_cells(pattern: str) -> list[str]:
    """A file for every method, task, scored language and seed."""
    return [
        pattern.format(root=ROOT, method=method, task=name, lang=lang, seed=seed)
        for method in EXPERIMENT.methods
        for name, task in EXPERIMENT.tasks.items()
        for lang in scored(task)
        for seed in EXPERIMENT.seeds.task
    ]
