"""Validation of an experiment: unknown names, and blocks that need others.

`deftx.config` has already validated each key. Every function yields one message per problem, which begins with the
place of the key.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from deftx.config.data import Dataset, View
from deftx.config.methods import Method
from deftx.config.modules import LanguageRecipe, TaskRecipe
from deftx.config.report import Published
from deftx.config.tasks import Task
from deftx.core.errors import ConfigError, DatasetError
from deftx.data.layouts import files_of
from deftx.evaluation import published
from deftx.experiment import methods as resolved
from deftx.experiment.config import Experiment
from deftx.masks.registry import MASK_SCORES
from deftx.modules.registry import MODULE_TYPES
from deftx.tasks.registry import TASK_KINDS, forwards_of
from deftx.views.settings import settings_of

RESERVED = ("costs", "published")
"""Names of other tables of the report than those of the tasks."""


def problems(experiment: Experiment) -> Iterator[str]:
    """Yield all problems of an experiment, in a fixed order."""
    for name, method in experiment.methods.items():
        yield from (f"methods.{name}: {problem}" for problem in resolved.problems(method, experiment))
    yield from _find_ambiguous_starts(experiment)
    yield from _find_sweep_problems(experiment)
    yield from _find_comparison_problems(experiment)
    yield from _find_selection_problems(experiment)
    for name, dataset in experiment.datasets.items():
        yield from _find_dataset_problems(f"datasets.{name}", dataset, experiment)
    for name, view in experiment.views.items():
        yield from _find_view_problems(f"views.{name}", name, view, experiment)
    for code, language in experiment.languages.items():
        if language.testbed and experiment.testbed is None:
            yield f"languages.{code}: a synthetic language needs the block `testbed`"
    yield from _find_base_problems(experiment)
    for name, task in experiment.tasks.items():
        if name in RESERVED:
            yield f"tasks.{name}: a table of the report has this name; choose another"
        yield from _find_task_problems(f"tasks.{name}", task, experiment)
    yield from _find_shared_datasets(experiment)


def _find_ambiguous_starts(experiment: Experiment) -> Iterator[str]:
    """Yield names that two initializations of task trainings would share."""
    starts: dict[str, str] = {}
    for code in experiment.languages:
        for start, module in _name_starts(code, experiment):
            if start in starts:
                problem = f"would both be called {start} as a task's initialization; rename one"
                yield f"{module} and {starts[start]} {problem}"
            starts[start] = module


def _name_starts(code: str, experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Yield the names of initializations with modules of a language, and the description of each module."""
    for entry in sorted(MODULE_TYPES.values(), key=lambda entry: entry.masked):
        if entry.masked and entry.start:
            for name in experiment.selections:
                yield entry.start.format(selection=name, lang=code), f"selections.{name}: the vector of {code}"
        elif entry.start:
            yield entry.start.format(lang=code), f"languages.{code}: {entry.title} of {code}"


def _find_comparison_problems(experiment: Experiment) -> Iterator[str]:
    """Yield unknown methods that the report should compare."""
    for part, name in experiment.compare:
        if name is not None and name not in experiment.methods:
            yield f"compare.{part}: there is no method {name!r} (known: {_known(experiment.methods)})"
    chosen = experiment.compared
    if chosen["reference"] is not None and chosen["reference"] == chosen["proposed"]:
        yield f"compare: reference and proposed are both {chosen['reference']}; choose two methods"


def _find_sweep_problems(experiment: Experiment) -> Iterator[str]:
    """Yield unknown methods in sweeps."""
    for name, sweep in experiment.sweeps.items():
        for method in dict.fromkeys((*sweep.beside, *(m for methods in sweep.series.values() for m in methods))):
            if method not in experiment.methods:
                yield f"sweeps.{name}: there is no method {method!r} (known: {_known(experiment.methods)})"


def _find_selection_problems(experiment: Experiment) -> Iterator[str]:
    """Yield unknown importance scores, and missing phases that selections need."""
    recipes: dict[str, LanguageRecipe | TaskRecipe] = {
        "recipe.language": experiment.recipe.language,
        "recipe.task": experiment.recipe.task,
        **{f"tasks.{name}.recipe": task.recipe for name, task in experiment.tasks.items() if task.recipe},
    }
    for name, selection in experiment.selections.items():
        score = MASK_SCORES.get(selection.select)
        if score is None:
            yield f"selections.{name}: there is no importance score {selection.select!r} (known: {_known(MASK_SCORES)})"
            continue
        if score.drawn and selection.rank != "none":
            yield f"selections.{name}: drawn elements have no rank; leave out `rank`"
        phase = MODULE_TYPES[score.ranks].phase
        for where, recipe in recipes.items():
            if getattr(recipe, phase) is None:
                yield f"selections.{name}: selecting by {score.name} needs {where}.{phase}"


def _find_dataset_problems(where: str, dataset: Dataset, experiment: Experiment) -> Iterator[str]:
    """Yield missing pinned files, datasets, splits and synthetic languages that a dataset needs."""
    for code in dataset.languages:
        try:
            files_of(dataset, code)
        except DatasetError as error:
            yield f"{where}: {error}"
    for code in dataset.languages if dataset.drop_held_out and dataset.files else ():
        if dataset.files and "valid" not in dataset.files[code]:
            yield f"{where}: drop_held_out needs a split valid in {code}"
    copies = dataset.drop_near_copies
    if copies and copies.dataset not in experiment.datasets:
        yield f"{where}: there is no dataset {copies.dataset!r} (known: {_known(experiment.datasets)})"
    elif copies:
        languages = frozenset(experiment.datasets[copies.dataset].languages)
        for code in copies.languages:
            if code not in languages:
                yield f"{where}: dataset {copies.dataset} does not contain {code}"
    if dataset.layout == "testbed" and experiment.testbed is None:
        yield f"{where}: the layout testbed needs the block `testbed`"
    for code in dataset.languages if dataset.layout == "testbed" else ():
        if code not in experiment.languages or experiment.languages[code].testbed is None:
            yield f"{where}: {code} is not a synthetic language (`languages.{code}.testbed` is missing)"


def _find_view_problems(where: str, name: str, view: View, experiment: Experiment) -> Iterator[str]:
    """Yield missing datasets, unknown transforms and wrong settings of a view."""
    if view.dataset not in experiment.datasets:
        yield f"{where}: there is no dataset {view.dataset!r} (known: {_known(experiment.datasets)})"
    if name in experiment.datasets:
        yield f"{where}: a dataset has this name; choose another"
    for step in view.steps:
        try:
            settings_of(step)
        except ConfigError as error:
            yield f"{where}: {error}"


def _find_base_problems(experiment: Experiment) -> Iterator[str]:
    """Yield missing languages and blocks that pretraining needs."""
    pretrain = experiment.base.pretrain
    for code in pretrain.languages if pretrain else ():
        if code not in experiment.languages:
            yield f"base.pretrain.languages: {code} is not among the languages"
    if pretrain and experiment.testbed is None:
        yield "base.pretrain: the tokens of the vocabulary come from the block `testbed`, which is missing"


def _find_task_problems(where: str, task: Task, experiment: Experiment) -> Iterator[str]:
    """Yield missing datasets, languages, text and published scores that a task needs."""
    for name in dict.fromkeys((task.train, task.test)):
        if experiment.dataset_of(name) not in experiment.datasets:
            yield f"{where}: there is no dataset {name!r} (known: {_known([*experiment.datasets, *experiment.views])})"
    train, test = experiment.dataset_of(task.train), experiment.dataset_of(task.test)
    for name, role, codes in ((train, "source", (task.source,)), (test, "target", task.targets)):
        languages = frozenset(experiment.datasets[name].languages if name in experiment.datasets else codes)
        for code in codes:
            if code not in languages:
                yield f"{where}: dataset {name} does not contain the {role} language {code}"
    yield from _find_kind_problems(where, task)
    yield from _find_missing_splits(where, task, train, test, experiment.datasets)
    for key, names in (("labels", task.labels), ("targets", task.targets)):
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{where}.{key} contains duplicates of {name}"
    if task.source in task.targets:
        yield (
            f"{where}.targets: {task.source} is the source language, which is also scored and not a target; remove it"
        )
    for code in dict.fromkeys((task.source, *task.targets)):
        if code not in experiment.languages:
            yield f"{where}: {code} is not among the languages (known: {_known(experiment.languages)})"
    if task.published:
        yield from _find_incomparable(f"{where}.published", task.published, task, experiment.methods)
    if task.source in experiment.languages and not experiment.has_text(task.source):
        for name, method in experiment.methods.items():
            if resolved.adapts_source(method):
                yield (
                    f"methods.{name}: {where} cannot be trained on top of the vector of its source language "
                    f"{task.source}, which has no text; give languages.{task.source} a corpus, or set "
                    "source_adaptation: false"
                )


def _find_kind_problems(where: str, task: Task) -> Iterator[str]:
    """Yield unknown kinds of tasks, and ways forward and metrics that do not suit a kind."""
    kind = TASK_KINDS.get(task.kind)
    if kind is None:
        yield f"{where}.kind: there is no kind of task {task.kind!r} (known: {_known(TASK_KINDS)})"
        return
    if task.forward is not None and task.forward not in forwards_of(kind):
        yield (
            f"{where}.forward: {task.forward!r} does not suit a task of kind {task.kind}; it may be "
            f"{_known(forwards_of(kind))}"
        )
    if task.metric not in kind.metrics:
        yield f"{where}.metric: metrics of a task of kind {task.kind} are {_known(kind.metrics)}, not {task.metric}"


def _find_missing_splits(
    where: str, task: Task, train: str, test: str, datasets: Mapping[str, Dataset]
) -> Iterator[str]:
    """Yield missing splits of datasets that a task is learned from or scored on."""
    needs = [(train, task.source, split) for split in ("train", "valid")]
    needs += [(test, code, task.split) for code in dict.fromkeys((task.source, *task.targets))]
    languages = {name: frozenset(datasets[name].languages) for name in (train, test) if name in datasets}
    for name, code, split in needs:
        if code not in languages.get(name, ()):
            continue
        try:
            files = files_of(datasets[name], code)
        except DatasetError:  # reported with the dataset
            continue
        if files and split not in files:
            yield f"{where}: dataset {name} has no split {split} in {code} (it has {_known(files)})"


def _find_shared_datasets(experiment: Experiment) -> Iterator[str]:
    """Yield datasets that two tasks with different labels share."""
    for (name, task), (other_name, other) in combinations(experiment.tasks.items(), 2):
        used, used_too = ({experiment.dataset_of(rows) for rows in (t.train, t.test)} for t in (task, other))
        shared = used & used_too
        if shared and set(other.labels) != set(task.labels):
            yield (
                f"tasks.{name}: the task {other_name} has other labels, but both use the dataset {min(shared)}; give "
                "one of them a separate dataset, with the same files"
            )


def _find_incomparable(where: str, settings: Published, task: Task, methods: Mapping[str, Method]) -> Iterator[str]:
    """Yield published scores that cannot be compared with ours."""
    sets = published.load()
    if settings.scores not in sets:
        yield f"{where}: there is no set of published scores {settings.scores!r} (known: {_known(sets)})"
        return
    known = sets[settings.scores]
    if known.metric != task.metric:
        yield (
            f"{where}: {settings.scores} contains {known.metric}, but the task is scored by {task.metric}; "
            "set the task's `metric`, or remove `published`"
        )
    unknown = [system for system in settings.methods if system not in known.systems]
    if not unknown and not published.comparable(settings.scores, settings.methods, task.targets):
        yield (
            f"{where}: nothing in {settings.scores} is about these targets (its languages: {_known(known.languages)}; "
            "an average needs all of them); remove `published`"
        )
    for system, method in settings.methods.items():
        if system not in known.systems:
            yield f"{where}: {settings.scores} contains no system {system!r} (known: {_known(known.systems)})"
        if method not in methods:
            yield f"{where}: there is no method {method!r} (known: {_known(methods)})"


def _known(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
