"""Specs: what of the configuration decides over an artifact, as plain builtins for the parameters of its job.

Snakemake compares parameters by their `repr`, and a job runs again where they differ: a spec holds all that its job
needs to know, and nothing else. Where files lie is in none.
"""

from typing import Any

from deftx.config.modules import LanguageRecipe, TaskRecipe
from deftx.experiment.methods import recipe_of, types_of
from deftx.merging.registry import MERGING_RULES
from deftx.workflow.artifacts import Artifact, Corpus, Dataset, Mask, Module
from deftx.workflow.graph import Artifacts

PHASES = {"full", "sparse", "gradients"}
SHARED = {
    "language": {"block", "packed", "mask_probability", "replacement", "clip", "precision"},
    "task": {"max_length", "clip", "precision"},
}
"""What trainings beside a frozen encoder share with the others; the rest says how encoders move."""


def spec_of(graph: Artifacts, artifact: Artifact) -> Any:
    """Return the spec of an artifact's job."""
    match artifact:
        case Corpus():
            language = graph.experiment.languages[artifact.lang]
            block = language.testbed or language.corpus
            return block.model_dump(mode="json") if block else None
        case Dataset():
            dataset = graph.experiment.datasets[artifact.dataset]
            return dataset.model_dump(mode="json", exclude={"languages", "files"})
        case Mask():
            return graph.experiment.selections[artifact.selection].model_dump(mode="json", exclude={"k", "select"})
        case Module():
            return _of_training(graph, artifact)
    raise TypeError(f"{type(artifact).__name__} has no spec")


def _of_training(graph: Artifacts, module: Module) -> dict[str, Any]:
    """Return a `deftx.config.modules.TrainingSpec` as builtins."""
    experiment, entry = graph.experiment, module.entry
    task = module.task or None
    recipe: LanguageRecipe | TaskRecipe = experiment.task_recipe(task) if task else experiment.recipe.language
    if entry.block:
        block = recipe_of(experiment, entry, task)
        settings = recipe.model_dump(mode="json", include=SHARED[module.role])
        phase, sizes = block.phase, {"sizes": block.model_dump(mode="json", exclude={"phase"})}
    else:
        settings = recipe.model_dump(mode="json", exclude=PHASES)
        phase, sizes = getattr(recipe, entry.phase), {}
    labels = {"labels": list(experiment.tasks[task].labels)} if task else {}
    dumped = phase.model_dump(mode="json") if phase else None
    return {"type": entry.name, module.role: settings, **labels, "phase": dumped, **sizes, "seed": int(module.seed)}


def budget_of(graph: Artifacts, mask: Mask) -> int | float:
    """Return how many entries a mask has: a number, or a share of all."""
    budget: int | float = getattr(graph.experiment.selections[mask.selection].k, mask.role)
    return budget


def labels_of_dataset(graph: Artifacts, name: str) -> list[str]:
    """Return the labels of the task that uses a dataset, or, if none does, of one whose rows are compared with its."""
    experiment = graph.experiment
    used = [(dataset, task.labels) for task in experiment.tasks.values() for dataset in (task.train, task.test)]
    copies = [(experiment.datasets[dataset].drop_near_copies, labels) for dataset, labels in used]
    compared = [(copied.dataset, labels) for copied, labels in copies if copied]
    return list(next(labels for dataset, labels in used + compared if dataset == name))


def code_behind(graph: Artifacts, method: str) -> list[str]:
    """Return the modules of the package behind what a method adds and how, for a hash of code."""
    settings = graph.experiment.methods[method]
    rule = MERGING_RULES[settings.conflicts].code
    return sorted({entry.code for entry in types_of(settings)} | ({rule} if rule else set()))


def composition_of(graph: Artifacts, method: str, task: str, lang: str) -> dict[str, str]:
    """Return what a recipe says beside its modules, where it says anything, by the options of `deftx compose`."""
    settings = graph.experiment.methods[method]
    rule = {"conflicts": settings.conflicts} if settings.conflicts != "sum" else {}
    lacks = graph.lacks_module(method, task, lang)
    return rule | ({"note": "no language vector"} if lacks else {})
