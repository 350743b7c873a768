"""Whether the parts of an experiment fit together: names that lead nowhere, and blocks that need another.

Each key by itself has been checked by `deftx.config`. Every function yields one message per problem, which begins
with the place of the key.
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

TAKEN = ("costs", "published")
"""Tables of the report beside those of the tasks."""


def problems(experiment: Experiment) -> Iterator[str]:
    """Everything that does not fit together, in a fixed order."""
    for name, method in experiment.methods.items():
        yield from (f"methods.{name}: {problem}" for problem in resolved.problems(method, experiment))
    yield from _ambiguous_starts(experiment)
    yield from _of_sweeps(experiment)
    yield from _of_compare(experiment)
    yield from _of_selections(experiment)
    for name, dataset in experiment.datasets.items():
        yield from _of_dataset(f"datasets.{name}", dataset, experiment)
    for name, view in experiment.views.items():
        yield from _of_view(f"views.{name}", name, view, experiment)
    for code, language in experiment.languages.items():
        if language.testbed and experiment.testbed is None:
            yield f"languages.{code}: an artificial language needs the block `testbed`"
    yield from _of_base(experiment)
    for name, task in experiment.tasks.items():
        if name in TAKEN:
            yield f"tasks.{name}: a table of the report has this name; choose another"
        yield from _of_task(f"tasks.{name}", task, experiment)
    yield from _shared_datasets(experiment)


def _ambiguous_starts(experiment: Experiment) -> Iterator[str]:
    """Names of starts of task trainings that two of them would have."""
    starts: dict[str, str] = {}
    for code in experiment.languages:
        for start, module in _named_starts(code, experiment):
            if start in starts:
                yield f"{module} and {starts[start]} would both be called {start} where a task starts from them; rename"
            starts[start] = module


def _named_starts(code: str, experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Names of starts on modules of a language, and what each module is."""
    for entry in sorted(MODULE_TYPES.values(), key=lambda entry: entry.masked):
        if entry.masked and entry.start:
            for name in experiment.selections:
                yield entry.start.format(selection=name, lang=code), f"selections.{name}: the vector of {code}"
        elif entry.start:
            yield entry.start.format(lang=code), f"languages.{code}: {entry.title} of {code}"


def _of_compare(experiment: Experiment) -> Iterator[str]:
    """Methods that the report compares."""
    for part, name in experiment.compare:
        if name is not None and name not in experiment.methods:
            yield f"compare.{part}: there is no method {name!r} (known: {_known(experiment.methods)})"
    chosen = experiment.compared
    if chosen["reference"] is not None and chosen["reference"] == chosen["proposed"]:
        yield f"compare: reference and proposed are both {chosen['reference']}; name two methods"


def _of_sweeps(experiment: Experiment) -> Iterator[str]:
    """Methods that sweeps name."""
    for name, sweep in experiment.sweeps.items():
        for method in dict.fromkeys((*sweep.beside, *(m for methods in sweep.series.values() for m in methods))):
            if method not in experiment.methods:
                yield f"sweeps.{name}: there is no method {method!r}"


def _of_selections(experiment: Experiment) -> Iterator[str]:
    """Importance scores that are not known, and phases of recipes that selections need."""
    recipes: dict[str, LanguageRecipe | TaskRecipe] = {
        "recipe.language": experiment.recipe.language,
        "recipe.task": experiment.recipe.task,
        **{f"tasks.{name}.recipe": task.recipe for name, task in experiment.tasks.items() if task.recipe},
    }
    for name, selection in experiment.selections.items():
        score = MASK_SCORES.get(selection.select)
        if score is None:
            yield f"selections.{name}: `select` is {selection.select!r}; it may be {_known(MASK_SCORES)}"
            continue
        if score.drawn and selection.rank != "none":
            yield f"selections.{name}: elements that are drawn have no rank; leave `rank` out"
        phase = MODULE_TYPES[score.ranks].phase
        for where, recipe in recipes.items():
            if getattr(recipe, phase) is None:
                yield f"selections.{name}: selecting by {score.name} needs {where}.{phase}"


def _of_dataset(where: str, dataset: Dataset, experiment: Experiment) -> Iterator[str]:
    """Pinned files, other datasets, splits and artificial languages that a dataset needs."""
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
        yield f"{where}: there is no dataset {copies.dataset!r}"
    elif copies:
        held = frozenset(experiment.datasets[copies.dataset].languages)
        for code in copies.languages:
            if code not in held:
                yield f"{where}: dataset {copies.dataset} does not hold {code}"
    if dataset.layout == "testbed" and experiment.testbed is None:
        yield f"{where}: the layout testbed needs the block `testbed`"
    for code in dataset.languages if dataset.layout == "testbed" else ():
        if code not in experiment.languages or experiment.languages[code].testbed is None:
            yield f"{where}: {code} is not among the artificial languages (`languages.{code}.testbed`)"


def _of_view(where: str, name: str, view: View, experiment: Experiment) -> Iterator[str]:
    """Datasets and transforms that a view needs, and names that are taken."""
    if view.dataset not in experiment.datasets:
        yield f"{where}: there is no dataset {view.dataset!r} (known: {_known(experiment.datasets)})"
    if name in experiment.datasets:
        yield f"{where}: a dataset has this name; choose another"
    for step in view.steps:
        try:
            settings_of(step)
        except ConfigError as error:
            yield f"{where}: {error}"


def _of_base(experiment: Experiment) -> Iterator[str]:
    """What pretraining needs."""
    pretrain = experiment.base.pretrain
    for code in pretrain.languages if pretrain else ():
        if code not in experiment.languages:
            yield f"base.pretrain.languages: {code} is not among the languages"
    if pretrain and experiment.testbed is None:
        yield "base.pretrain: the pieces of the vocabulary come from the block `testbed`, which is missing"


def _of_task(where: str, task: Task, experiment: Experiment) -> Iterator[str]:
    """Datasets, languages, text and published scores that a task needs."""
    for name in dict.fromkeys((task.train, task.test)):
        if experiment.dataset_of(name) not in experiment.datasets:
            yield f"{where}: there is no dataset {name!r} (known: {_known([*experiment.datasets, *experiment.views])})"
    train, test = experiment.dataset_of(task.train), experiment.dataset_of(task.test)
    for name, role, codes in ((train, "source", (task.source,)), (test, "target", task.targets)):
        held = frozenset(experiment.datasets[name].languages if name in experiment.datasets else codes)
        for code in codes:
            if code not in held:
                yield f"{where}: dataset {name} does not hold the {role} language {code}"
    yield from _of_kind(where, task)
    yield from _lacking_splits(where, task, train, test, experiment.datasets)
    for key, names in (("labels", task.labels), ("targets", task.targets)):
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{where}.{key}: {name} stands there more than once"
    if task.source in task.targets:
        yield (
            f"{where}.targets: {task.source} is the source language, which is scored besides and no target; take it out"
        )
    for code in dict.fromkeys((task.source, *task.targets)):
        if code not in experiment.languages:
            yield f"{where}: {code} is not among the languages (known: {_known(experiment.languages)})"
    if task.published:
        yield from _unpublished(f"{where}.published", task.published, task, experiment.methods)
    if task.source in experiment.languages and not experiment.has_text(task.source):
        for name, method in experiment.methods.items():
            if resolved.adapts_source(method):
                yield (
                    f"methods.{name}: {where} cannot be trained on top of the vector of its source language "
                    f"{task.source}, which has no text; give languages.{task.source} a corpus, or set "
                    "source_adaptation: false"
                )


def _of_kind(where: str, task: Task) -> Iterator[str]:
    """Kinds of tasks and ways forward that are not known, and what does not suit a kind."""
    kind = TASK_KINDS.get(task.kind)
    if kind is None:
        yield f"{where}.kind: there is no kind of task {task.kind!r}; kinds are {_known(TASK_KINDS)}"
        return
    if task.forward is not None and task.forward not in forwards_of(kind):
        yield (
            f"{where}.forward: {task.forward!r} does not suit a task of kind {task.kind}; it may be "
            f"{_known(forwards_of(kind))}"
        )
    if task.metric not in kind.metrics:
        yield f"{where}.metric: a task of kind {task.kind} is judged by {_known(kind.metrics)}, not by {task.metric}"


def _lacking_splits(where: str, task: Task, train: str, test: str, datasets: Mapping[str, Dataset]) -> Iterator[str]:
    """Splits that a task is learned from or scored on, and that a dataset's files lack."""
    needs = [(train, task.source, split) for split in ("train", "valid")]
    needs += [(test, code, task.split) for code in dict.fromkeys((task.source, *task.targets))]
    held = {name: frozenset(datasets[name].languages) for name in (train, test) if name in datasets}
    for name, code, split in needs:
        if code not in held.get(name, ()):
            continue
        try:
            files = files_of(datasets[name], code)
        except DatasetError:  # told with the dataset
            continue
        if files and split not in files:
            yield f"{where}: dataset {name} has no split {split} in {code} (it has {_known(files)})"


def _shared_datasets(experiment: Experiment) -> Iterator[str]:
    """Datasets of two tasks whose labels differ."""
    for (name, task), (other_name, other) in combinations(experiment.tasks.items(), 2):
        used, used_too = ({experiment.dataset_of(rows) for rows in (t.train, t.test)} for t in (task, other))
        shared = used & used_too
        if shared and set(other.labels) != set(task.labels):
            yield (
                f"tasks.{name}: the task {other_name} has other labels, but both use the dataset {min(shared)}; give "
                "one of them a dataset of its own, with the same files"
            )


def _unpublished(where: str, beside: Published, task: Task, methods: Mapping[str, Method]) -> Iterator[str]:
    """What cannot be set beside our scores."""
    sets = published.load()
    if beside.scores not in sets:
        yield f"{where}: there is no set of published scores {beside.scores!r} (known: {_known(sets)})"
        return
    known = sets[beside.scores]
    if known.metric != task.metric:
        yield (
            f"{where}: {beside.scores} holds {known.metric}, the task is scored by {task.metric}; "
            "set the task's `metric`, or take `published` out"
        )
    unknown = [system for system in beside.methods if system not in known.systems]
    if not unknown and not published.comparable(beside.scores, beside.methods, task.targets):
        yield (
            f"{where}: nothing in {beside.scores} is about these targets (its languages: {_known(known.languages)}; "
            "an average needs all of them); take `published` out"
        )
    for system, method in beside.methods.items():
        if system not in known.systems:
            yield f"{where}: {beside.scores} holds no system {system!r} (known: {_known(known.systems)})"
        if method not in methods:
            yield f"{where}: there is no method {method!r} (known: {_known(methods)})"


def _known(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
