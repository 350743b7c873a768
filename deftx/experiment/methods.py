"""Resolved methods: the modules that each needs, by the registry of module types, and their problems."""

from collections.abc import Iterator
from typing import Any

from deftx.config.methods import LanguageTerm, Method, Weights
from deftx.experiment.config import Experiment
from deftx.masks.registry import MASK_SCORES
from deftx.merging.registry import MERGING_RULES
from deftx.modules.registry import MODULE_TYPES, ModuleType, names


def language_terms(method: Method) -> tuple[LanguageTerm, ...]:
    """Return the language modules that a method adds, in the order of their addition."""
    if not isinstance(method.language, str):
        terms = method.language
    elif method.language == "none":
        return ()
    else:
        of = "target" if method.swap else "source"
        terms = (LanguageTerm(of=of, type=method.language, weight=method.weights.language),)
    return tuple(term.model_copy(update={"selection": term.selection or method.selection}) for term in terms)


def types_of(method: Method) -> list[ModuleType]:
    """Return the types of a method's modules, that of the task first."""
    type_names = [method.task, *(term.type for term in language_terms(method))]
    return [MODULE_TYPES[name] for name in dict.fromkeys(type_names)]


def adapts_source(method: Method) -> bool:
    """Return whether the task is trained on top of the source language's module."""
    if method.source_adaptation is not None:
        return method.source_adaptation
    by_default = MODULE_TYPES[method.task].adapts_source
    return bool(language_terms(method)) and not method.target_adaptation and by_default


def start_type(method: Method) -> tuple[ModuleType, str | None]:
    """Return the type and the selection of the language module that a task is trained on top of."""
    terms = language_terms(method)
    task = MODULE_TYPES[method.task]
    if method.start_selection:
        return MODULE_TYPES["sft"], method.start_selection
    if not task.has_entries:
        return task, None
    first = MODULE_TYPES[terms[0].type] if terms else MODULE_TYPES["sft"]
    entry = MODULE_TYPES[first.starts_as] if first.starts_as else first
    return entry, (terms[0].selection if terms else method.selection) if entry.masked else None


def recipe_of(experiment: Experiment, entry: ModuleType, task: str | None) -> Any:
    """Return the block with sizes and phase of a type that has one, of a language or of a task."""
    block = getattr(experiment.recipe, entry.block)
    if task is None:
        return block.language if block else None
    return getattr(experiment.tasks[task], entry.task_key) or (block.task if block else None)


def problems(method: Method, experiment: Experiment) -> Iterator[str]:
    """Yield the problems of a method."""
    terms = language_terms(method)
    unknown = [name for name in (method.task, *(term.type for term in terms)) if name not in names()]
    if unknown:
        yield f"there is no type of module {unknown[0]!r} (known: {', '.join(names())})"
        return
    task, types = MODULE_TYPES[method.task], types_of(method)
    if len({entry.group for entry in types}) > 1:
        stacked = next(entry for entry in types if not entry.has_entries)
        yield (
            f"{stacked.title} cannot be combined with modules of another type: give `{stacked.name}` for task and "
            "language, or for neither"
        )
        return
    if not task.has_entries and (method.selection or method.start_selection or method.conflicts != "sum"):
        yield (
            f"a method of type `{task.name}` has no elements to select: leave out `selection`, "
            "`start_selection`, `conflicts`"
        )
    is_weighted = method.weights != Weights() or any(term.weight != 1 for term in terms)
    if not task.merges and is_weighted:
        yield f"a method of type `{task.name}` stacks its modules and does not add them: leave out `weights`"
    if method.conflicts not in MERGING_RULES:
        yield f"conflicts: there is no rule {method.conflicts!r} (known: {', '.join(MERGING_RULES)})"
    yield from _find_start_problems(method, types)
    for entry in types:
        if entry.block and getattr(experiment.recipe, entry.block) is None:
            yield f"{entry.title} needs recipe.{entry.block}"
    yield from _find_unknown_names(method, terms, experiment)


def _find_start_problems(method: Method, types: list[ModuleType]) -> Iterator[str]:
    """Yield the problems of the initialization of a method's task training."""
    terms, adapts = language_terms(method), adapts_source(method)
    entry, selection = start_type(method)
    unselected = [term for term in terms if MODULE_TYPES[term.type].masked and term.selection is None]
    of_task = MODULE_TYPES[method.task].masked and method.selection is None
    if of_task or unselected or (adapts and entry.masked and selection is None):
        yield "a method with a sparse vector, also of the source language, needs a `selection`"
    if not terms and (method.target_adaptation or not method.swap):
        yield "target_adaptation and swap need a language module; this method has none"
    if method.target_adaptation and (method.source_adaptation or method.start_selection or not method.swap):
        yield "target_adaptation does not use the source language; leave out its keys"
    if method.start_selection and not adapts:
        yield "start_selection names a vector of the source language, which this method does not use"
    if not isinstance(method.language, str) and (not method.swap or method.weights.language != 1):
        yield "a list of language terms has its own languages and weights: leave out `swap`, `weights`"


def _find_unknown_names(method: Method, terms: tuple[LanguageTerm, ...], experiment: Experiment) -> Iterator[str]:
    """Yield unknown names of selections and languages, and selections that do not fit."""
    known = ", ".join(experiment.selections) or "none"
    for name in dict.fromkeys((method.selection, method.start_selection, *(term.selection for term in terms))):
        if name is not None and name not in experiment.selections:
            yield f"there is no selection {name!r} (known: {known})"
    for term in terms:
        if term.of not in ("target", "source", *experiment.languages):
            yield f"language: {term.of!r} is neither `target`, `source` nor one of the languages"
    pruned = [method.selection] if method.task == "pruned" else []
    for name in dict.fromkeys([*pruned, *(term.selection for term in terms if term.type == "pruned")]):
        selection = experiment.selections.get(name or "")
        score = MASK_SCORES.get(selection.select) if selection else None
        if score and score.ranks != "dense":
            yield (
                f"a pruned vector contains values of a full fine-tuning's delta, but the selection {name} ranks "
                f"{MODULE_TYPES[score.ranks].title}; choose another selection"
            )
