"""Jobs as rules see them: patterns of files, and functions of wildcards for inputs and parameters.

Snakemake keeps and compares parameters by their `repr`, and a job runs again where they differ: a spec holds all that
its job needs to know and nothing else, as plain builtins or text.
"""

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from deftx.config.modules import LanguageRecipe, TaskRecipe
from deftx.config.tasks import Task
from deftx.core.hashing import code_of, code_of_entry
from deftx.experiment.methods import recipe_of, types_of
from deftx.masks.registry import MASK_SCORES
from deftx.merging.registry import MERGING_RULES
from deftx.models.architectures import architecture_of
from deftx.models.registry import ARCHITECTURES
from deftx.modules.registry import MODULE_TYPES, ModuleType
from deftx.tasks.forwards.registry import FORWARDS
from deftx.tasks.registry import LANGUAGE_OBJECTIVE, OBJECTIVES, TASK_KINDS
from deftx.views.registry import TRANSFORMS
from deftx.workflow.artifacts import BENCHMARKS, LOGS, Artifact, Cell, Corpus, Dataset, Mask, Module, View, fill
from deftx.workflow.graph import Artifacts, Paths

PHASES = {"full", "sparse", "gradients"}
SHARED = {
    "language": {"block", "packed", "mask_probability", "replacement", "clip", "precision"},
    "task": {"max_length", "clip", "precision"},
}
"""What trainings beside a frozen encoder share with the others; the rest says how encoders move."""
LONGEST = 100_000
"""Bytes of a word: Linux gives a command no longer argument than 131,071."""


class Place(dict[str, str]):
    """Text that says where files lie: it stands in a command or a message, and is nothing a result is known by."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "Place()"


class Origin(dict[str, Any]):
    """What else a shared result is known by; being written alike whatever it holds, it makes no job run again."""

    def __repr__(self) -> str:
        return "Origin()"


def as_json(content: Any) -> str:
    """Return settings as JSON text."""
    return json.dumps(content, ensure_ascii=False)


def as_document(content: Any) -> str:
    """Return settings about all languages as one shell word: JSON, or where that is long, a file the shell makes."""
    word = quote(as_json(content))
    return word if len(word.encode()) <= LONGEST else f"<(printf %s {word})"


def log_of(root: str, place: str) -> str:
    """Return the log of a job."""
    return f"{root}/{LOGS}/{place}.log"


def benchmark_of(root: str, place: str) -> str:
    """Return the file in which Snakemake measures a job."""
    return f"{root}/{BENCHMARKS}/{place}.jsonl"


class Step:
    """A kind of artifact as its rule needs it."""

    def __init__(self, graph: Artifacts, pattern: Artifact, root: str | None = None) -> None:
        root = root or graph.root
        self.graph, self.pattern = graph, pattern
        self.file, self.record = f"{root}/{pattern.path}", f"{root}/{pattern.record}"
        self.log, self.benchmark = log_of(root, pattern.place), benchmark_of(root, pattern.place)

    def artifact(self, wildcards: Any) -> Any:
        """Return the artifact that a job makes."""
        return fill(self.pattern, wildcards)

    def needs(self, wildcards: Any) -> Paths:
        """Return the files that a job reads."""
        return self.graph.needs(self.artifact(wildcards))

    def spec(self, wildcards: Any) -> str:
        """Return what of the configuration decides over a job."""
        return as_json(spec_of(self.graph, self.artifact(wildcards)))


def describe(trained: Module) -> str:
    """Return the message of a training's job, with Snakemake's wildcards."""
    subject = "{wildcards.lang}" if trained.role == "language" else "{wildcards.task} from {wildcards.start}"
    selection = ", {wildcards.selection}" if trained.selection else ""
    return f"{subject}: {trained.entry.title}{selection}, seed {{wildcards.seed}}"


class Jobs:
    """What rules ask about the jobs of an experiment."""

    def __init__(self, graph: Artifacts) -> None:
        self.graph, self.experiment = graph, graph.experiment

    # Data

    @property
    def family(self) -> str:
        """The family of synthetic languages as an option, or nothing."""
        family = self.experiment.testbed
        return f"--family {quote(as_json(family.model_dump(mode='json')))}" if family else ""

    def family_of_text(self, wildcards: Any) -> str:
        """Return what the corpus of a synthetic language is made with, or nothing."""
        return self.family if self.experiment.languages[wildcards.lang].testbed else ""

    def family_of_rows(self, wildcards: Any) -> str:
        """Return what the rows of a synthetic language are made with, or nothing."""
        variety = self.experiment.languages.get(wildcards.lang)
        if self.experiment.datasets[wildcards.dataset].layout != "testbed" or not variety or not variety.testbed:
            return ""
        return f"{self.family} --spoken {quote(as_json(variety.testbed.model_dump(mode='json')))}"

    def code_of_text(self, wildcards: Any) -> str:
        """Return the code that cleans text, and that of synthetic languages where the language is one."""
        synthetic = ["deftx.data.synthetic"] if self.experiment.languages[wildcards.lang].testbed else []
        return code_of("deftx.data.corpora", *synthetic)

    def code_of_rows(self, wildcards: Any) -> str:
        """Return the code that reads and drops labelled rows, and that of synthetic languages where it makes them."""
        synthetic = self.experiment.datasets[wildcards.dataset].layout == "testbed"
        code = ["deftx.data.synthetic"] if synthetic else []
        return code_of("deftx.data.datasets", "deftx.data.layouts", *code)

    def raw_of_rows(self, wildcards: Any) -> Paths:
        """Return the raw files that rows of a split come from or are compared with."""
        needs = self.graph.needs(Dataset(wildcards.dataset, wildcards.lang, wildcards.split))
        return {name: paths for name, paths in needs.items() if name in ("raw", "sibling")}

    def labels_of_rows(self, wildcards: Any) -> str:
        """Return the labels that rows of a dataset may have."""
        return as_json(labels_of_dataset(self.graph, wildcards.dataset))

    def code_of_view(self, wildcards: Any) -> str:
        """Return the code of a view's transforms, and what registries say of them."""
        entries = [TRANSFORMS[step.transform] for step in self.experiment.views[wildcards.view].steps]
        return " ".join(
            [code_of("deftx.views.transform_rows"), *(code_of_entry(entry, entry.code) for entry in entries)]
        )

    # Trainings and masks

    def options(self, entry: ModuleType) -> Callable[..., Place]:
        """Return the options of a training: mask and start, where it has them, and processes that share it."""

        def options(wildcards: Any, input: Any, resources: Any) -> Place:
            files = [f"--{name} {quote(input.get(name))}" for name in ("mask", "start") if input.get(name)]
            shared = [f"--processes {resources.gpu}"] if entry.several and resources.gpu else []
            return Place(" ".join([*shared, *files]))

        return options

    def code_of_training(self, entry: ModuleType, role: str) -> Callable[[Any], str]:
        """Return the code that trains modules of a type, what registries say of them, and what they are trained with.

        Args:
            role: what is learned, `language` or `task`.
        """

        def code(wildcards: Any) -> str:
            learned = code_of_task(self.graph, wildcards.task) if role == "task" else [LANGUAGE_OBJECTIVE.code]
            return f"{code_of_entry(entry, entry.make, *learned)} {self.architecture}"

        return code

    @property
    def code_of_pruning(self) -> str:
        """Return the code that prunes deltas, and what registries say of them."""
        entry = MODULE_TYPES["pruned"]
        return f"{code_of_entry(entry, entry.make)} {self.architecture}"

    @cached_property
    def architecture(self) -> str:
        """What is known of the base's architecture, hashed: of its own, or of all where only the model itself says."""
        known = architecture_of(self.experiment.base)
        return " ".join(code_of_entry(entry) for entry in ([known] if known else ARCHITECTURES.values()))

    def budget(self, mask: Step) -> Callable[[Any], int | float]:
        """Return how many elements a mask has."""

        def budget(wildcards: Any) -> int | float:
            artifact: Mask = mask.artifact(wildcards)
            return budget_of(self.graph, artifact)

        return budget

    def score(self, wildcards: Any) -> str:
        """Return what elements of a mask are chosen by."""
        return self.experiment.selections[wildcards.selection].select

    def code_of_score(self, wildcards: Any) -> str:
        """Return the code that chooses, and what its entry in the registry says."""
        entry = MASK_SCORES[self.score(wildcards)]
        return f"{code_of_entry(entry, entry.code)} {self.architecture}"

    # Composed models

    def code_with_modules(self, stage: str) -> Callable[[Any], str]:
        """Return the code of a stage that loads modules, and of what a method adds."""
        return lambda wildcards: f"{code_of(stage, *code_behind(self.graph, wildcards.method))} {self.architecture}"

    def code_of_predictions(self, wildcards: Any) -> str:
        """Return the code that predicts, and of the way forward of a task."""
        forward = FORWARDS[forward_of(self.graph, wildcards.task)]
        return f"{self.code_with_modules('deftx.evaluation.predict')(wildcards)} {code_of_entry(forward, forward.code)}"

    def forward(self, wildcards: Any) -> str:
        """Return how the model of a task computes logits, as an option, where a task or its kind says so."""
        forward = forward_of(self.graph, wildcards.task)
        return "" if forward == "plain" else f"--forward {quote(forward)}"

    def weighted(self, wildcards: Any) -> list[str]:
        """Return the modules of a model with their weights, in the order they are added."""
        cell = Cell(wildcards.method, wildcards.task, wildcards.lang, wildcards.seed)
        return [f"{self.graph.at(module.path)}:{weight}" for module, weight in self.graph.modules_of(cell)]

    def composition(self, wildcards: Any) -> str:
        """Return what a recipe says beside its modules, as options."""
        options = composition_of(self.graph, wildcards.method, wildcards.task, wildcards.lang)
        return " ".join(f"--{name} {quote(value)}" for name, value in options.items())

    def max_length(self, wildcards: Any) -> int:
        """Return to how many tokens texts of a task are cut."""
        return self.experiment.task_recipe(wildcards.task).max_length

    def metric(self, wildcards: Any) -> str:
        """Return what a task is judged by."""
        return self.experiment.tasks[wildcards.task].metric

    @staticmethod
    def folder(file: str) -> Place:
        """Return the folder of a file, as a word of a command."""
        return Place(quote(str(Path(file).parent)))


# Specs: what of the configuration decides over an artifact. Where files lie is in none.


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
        case View():
            return graph.experiment.views[artifact.view].model_dump(mode="json")
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
    labels = {"labels": list(experiment.tasks[task].labels), **_of_kind(experiment.tasks[task])} if task else {}
    dumped = phase.model_dump(mode="json") if phase else None
    return {"type": entry.name, module.role: settings, **labels, "phase": dumped, **sizes, "seed": int(module.seed)}


def _of_kind(task: Task) -> dict[str, Any]:
    """Return kind and way forward of a task, where they are not what a spec takes by itself."""
    kind = {} if task.kind == "classification" else {"kind": task.kind}
    return kind | ({"forward": task.forward} if task.forward else {})


def forward_of(graph: Artifacts, task: str) -> str:
    """Return how the model of a task computes logits."""
    settings = graph.experiment.tasks[task]
    return settings.forward or TASK_KINDS[settings.kind].forward


def code_of_task(graph: Artifacts, task: str) -> list[str]:
    """Return the modules of the package that a task is trained with."""
    kind = TASK_KINDS[graph.experiment.tasks[task].kind]
    return [OBJECTIVES[kind.objective].code, FORWARDS[forward_of(graph, task)].code]


def budget_of(graph: Artifacts, mask: Mask) -> int | float:
    """Return how many entries a mask has: a number, or a share of all."""
    budget: int | float = getattr(graph.experiment.selections[mask.selection].k, mask.role)
    return budget


def labels_of_dataset(graph: Artifacts, name: str) -> list[str]:
    """Return the labels of the task that uses a dataset, or, if none does, of one whose rows are compared with its."""
    experiment = graph.experiment
    tasks = experiment.tasks.values()
    used = [(experiment.dataset_of(rows), task.labels) for task in tasks for rows in (task.train, task.test)]
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
