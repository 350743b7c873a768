# The experiment, and small questions the rules ask it. Every rule gets its own slice of the configuration as
# plain builtins or JSON text, because Snakemake compares params by their repr.

import json
import os
import re
from functools import cache
from pathlib import Path
from shlex import quote
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

import deftx
from deftx.data import fetch as fetching
from deftx.core import files
from deftx.evaluation import published
from deftx.experiment import load as reading
from deftx.experiment.config import Experiment
from deftx.data.layouts import files_of
from deftx.config.data import File
from deftx.core.errors import DeftxError
from deftx.modules.registry import MODULE_TYPES
from deftx.core.hashing import code_of, fingerprint


def experiment() -> Experiment:
    """The experiment given by --configfile, or the quickstart, with --config on top; a module's own configuration."""
    content = dict(config)
    files = map(Path, workflow.configfiles) if workflow.modifier.is_main_snakefile() else ()
    try:
        for path in files:  # Snakemake has read them, and takes the last of equal keys
            if path.suffix in (".yaml", ".yml"):
                reading.read(path)
        if "methods" not in content:
            content = reading.read(Path(workflow.source_path("../config/quickstart.yaml")))
            update_config(content, config)
        return reading.validate(content)
    except DeftxError as error:
        raise WorkflowError(str(error)) from None


EXPERIMENT = experiment()
ROOT = EXPERIMENT.folder
REPORT = EXPERIMENT.report_folder


wildcard_constraints:
    lang="[^/]+",
    dataset="[^/]+",
    split="train|valid|test",
    task="[^/]+",
    method="[^/]+",
    selection="[^/]+",
    start="[^/]+",
    seed=r"\d+",
    pin="[0-9a-f]{64}",
    kind="language|task",


def as_json(content) -> str:
    """Settings as one shell word."""
    return quote(json.dumps(content, ensure_ascii=False))


LONGEST = 100_000  # bytes of a word: Linux gives a command no longer argument than 131,071


def as_document(content) -> str:
    """Settings about all languages, as one shell word: as JSON, or where that is too long, a file that the shell makes."""
    word = as_json(content)
    return word if len(word.encode()) <= LONGEST else f"<(printf %s {word})"


def dumped(model, **which) -> str:
    """A pydantic model as one shell word."""
    return as_json(model.model_dump(mode="json", **which))


def each_of(paths) -> list[str]:
    """One path or several as a list: Snakemake makes one of a list of one."""
    return [paths] if isinstance(paths, str) else list(paths)


def family() -> str:
    """The family of artificial languages as an option, or nothing."""
    return f"--family {dumped(EXPERIMENT.testbed)}" if EXPERIMENT.testbed else ""


def raw(file: File) -> str:
    """Where a raw file lies: a local one where the user has it, a pinned one where `fetch` puts it."""
    return f"{ROOT}/raw/{file.pin}/{Path(file.path).name}" if file.pin else file.path


def raw_files():
    """All raw files of the experiment."""
    for language in EXPERIMENT.languages.values():
        yield from (language.corpus.files if language.corpus else ())
    for dataset in EXPERIMENT.datasets.values():
        for lang in dataset.languages:
            for files in files_of(dataset, lang).values():
                yield from files


PINNED = {file.pin: file for file in raw_files() if file.pin}


# For envs/deftx.post-deploy.sh.
os.environ.setdefault("DEFTX_SOURCE", str(Path(deftx.__file__).parents[1]))


def check_mirror() -> None:
    """Say at once, not in every `fetch`, that there is no such mirror."""
    mirror = os.environ.get("DEFTX_MIRROR")
    try:
        fetching.check_mirror(Path(mirror) if mirror else None)
    except DeftxError as error:
        raise WorkflowError(str(error)) from None


if PINNED and workflow.is_main_process:  # jobs elsewhere read these rules, too, but fetch nothing
    check_mirror()


def check_folders(*folders: str) -> None:
    """Say at once, not by a traceback of Snakemake's, that nothing can be written where it has to be."""
    try:
        for folder in folders:
            files.require_writable(Path(folder))
    except DeftxError as error:
        raise WorkflowError(str(error)) from None


if workflow.is_main_process:  # whatever is asked of it, Snakemake keeps its records there
    check_folders(".snakemake")


# For questions that every job asks: languages of each dataset, as sets.
HELD = {name: frozenset(dataset.languages) for name, dataset in EXPERIMENT.datasets.items()}


def splits_of(name: str, lang: str) -> list[str]:
    """CSV files of all splits of a dataset in a language, where it has them."""
    dataset = EXPERIMENT.datasets[name]
    if lang not in HELD[name]:
        return []
    splits = ["test"] if dataset.layout == "testbed" else files_of(dataset, lang)
    return [f"{ROOT}/datasets/{name}/{lang}/{split}.csv" for split in splits]


FORMS = {"dense": "deltas", "sft": "sfts", "pruned": "pruned", "adapter": "adapters", "lora": "loras"}
"""Folder of each form of module."""


def module_of(kind: str, form: str, selection: str | None, where: str) -> str:
    """The file of a language or task module, below the root and without ending."""
    below = f"{selection}/{where}" if form in ("sft", "pruned") else where
    return f"{FORMS[form]}/{kind}/{below}"


def start_of(method, task, lang) -> str:
    """The name of the start of a method's task training, where the language `lang` is scored."""
    adapted = lang if method.target_adaptation else task.source if method.adapts_source else None
    if adapted is None or not EXPERIMENT.has_text(adapted):
        return "base"
    if method.stacked:
        return adapted
    if method.factored:
        return f"lora-{adapted}"
    selection = method.start_selection or ("mlm" if method.dense else method.selection)
    return f"{selection}-{adapted}"


def starts() -> dict[str, tuple[str, str | None, str]]:
    """Form, selection and language of the modules a task may be trained on top of, by the name of the start."""
    named = {}
    for lang in EXPERIMENT.languages:
        named[lang] = ("adapter", None, lang)
        named[f"mlm-{lang}"] = ("dense", None, lang)
        named[f"lora-{lang}"] = ("lora", None, lang)
        named |= {f"{selection}-{lang}": ("sft", selection, lang) for selection in EXPERIMENT.selections}
    return named


STARTS = starts()


def module_of_start(start: str) -> tuple[str, str | None, str]:
    """Form, selection and language of the module a task is trained on top of, by the name of the start."""
    if start not in STARTS:
        raise WorkflowError(
            f"no training starts from {start}: a start is base, LANGUAGE, mlm-LANGUAGE, lora-LANGUAGE or SELECTION-LANGUAGE"
        )
    return STARTS[start]


def module_at_start(wildcards) -> dict[str, str]:
    """The file of the module a task is trained on top of, by the name of the start."""
    if wildcards.start == "base":
        return {}
    form, selection, lang = module_of_start(wildcards.start)
    where = f"{lang}/seed{EXPERIMENT.seeds.language_seed(int(wildcards.seed))}"
    start = module_of("language", form, selection, where)
    return {"start": f"{ROOT}/{start}.safetensors"}


def start_option(wildcards, input) -> str:
    """The start as an option of `deftx train`, `deftx adapter` or `deftx lora`."""
    return f"--start {input.start}" if "start" in input.keys() else ""


def task_data(wildcards) -> dict[str, str]:
    """Training and validation data of a task."""
    task = EXPERIMENT.tasks[wildcards.task]
    folder = f"{ROOT}/datasets/{task.train}/{task.source}"
    return {"train": f"{folder}/train.csv", "valid": f"{folder}/valid.csv"}


def labels_of(wildcards) -> str:
    """A task's labels as one shell word."""
    return as_json(list(EXPERIMENT.tasks[wildcards.task].labels))


def recipe_of(kind: str, wildcards):
    """How languages, or a task, are trained."""
    return EXPERIMENT.recipe.language if kind == "language" else EXPERIMENT.task_recipe(wildcards.task)


def training_settings(kind: str):
    """What all phases of language or task training share, as one shell word."""

    def settings(wildcards) -> str:
        return dumped(recipe_of(kind, wildcards), exclude={"full", "sparse", "gradients"})

    return settings


def phase_of(kind: str, name: str):
    """Length and speed of a phase, as one shell word; nothing where no selection needs it."""

    def phase(wildcards) -> str:
        chosen = getattr(recipe_of(kind, wildcards), name)
        return dumped(chosen) if chosen else ""

    return phase


# What the trainings of adapters and LoRA share with the others; the rest says how encoders move, and theirs stays.
BESIDE = {
    "language": {"block", "packed", "mask_probability", "replacement", "clip", "precision"},
    "task": {"max_length", "clip", "precision"},
}


def settings_beside(kind: str):
    """What adapters or LoRA, of languages or of a task, are trained on, as one shell word."""

    def settings(wildcards) -> str:
        return dumped(recipe_of(kind, wildcards), include=BESIDE[kind])

    return settings


def recipe_beside(form: str, kind: str, wildcards):
    """Sizes and training of adapters or LoRA, of languages or of a task."""
    shared, of_task = {
        "adapter": (EXPERIMENT.recipe.adapters, EXPERIMENT.task_adapter),
        "lora": (EXPERIMENT.recipe.lora, EXPERIMENT.task_lora),
    }[form]
    return shared.language if kind == "language" else of_task(wildcards.task)


def shape_beside(form: str, kind: str):
    """Sizes of adapters or LoRA, as one shell word."""

    def shape(wildcards) -> str:
        return dumped(recipe_beside(form, kind, wildcards), exclude={"phase"})

    return shape


def phase_beside(form: str, kind: str):
    """Length and speed of the training of adapters or LoRA, as one shell word."""

    def phase(wildcards) -> str:
        return dumped(recipe_beside(form, kind, wildcards).phase)

    return phase


def selection_of(wildcards) -> str:
    """What of a selection decides over a mask, beside its size and what it ranks, as one shell word."""
    return dumped(EXPERIMENT.selections[wildcards.selection], exclude={"k", "select"})


# Selections whose masks are drawn at random, as a pattern of their names; where there are none it matches nothing.
RANDOM = "|".join(re.escape(n) for n, s in EXPERIMENT.selections.items() if s.select == "random") or "(?!)"


def code_with_modules(stage: str):
    """The code of a stage that loads modules, and of the types of modules that a method adds."""

    def code(wildcards) -> str:
        method = EXPERIMENT.methods[wildcards.method]
        used = {method.task, method.language} & MODULE_TYPES.keys()
        return code_of(stage, *sorted({MODULE_TYPES[name].code for name in used}))

    return code


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
    return [*([task.source] if task.source in HELD[task.test] else []), *task.targets]


def composed_cells(pattern: str) -> list[str]:
    """A file for every method, task, scored language and seed."""
    return [
        pattern.format(root=ROOT, method=method, task=name, lang=lang, seed=seed)
        for method in EXPERIMENT.methods
        for name, task in EXPERIMENT.tasks.items()
        for lang in scored(task)
        for seed in EXPERIMENT.seeds.task
    ]
