"""Composition: a model is the base plus weighted vectors, summed in float32 in a fixed order.

theta = theta_0 + w_task phi_task + w_language phi_language (Ansell et al. 2022, section 3.2), or any number of terms.
Their order is part of the recipe, because float addition is not associative. So are the rule for elements that several
vectors change (`deftx.merging.conflicts`), and the term with the head if it is not the first one.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deftx.core.errors import ConfigError, VectorError
from deftx.core.integrity import read_json, remade, sha256_of, write_json
from deftx.merging import arithmetic, conflicts
from deftx.merging.overlap import overlap
from deftx.merging.registry import MERGING_RULES
from deftx.models.base_model import Description
from deftx.modules import loading, vectors


@dataclass(frozen=True)
class Term:
    """Weighted vector of a sum."""

    path: Path
    weight: float
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """Recipe of a composed model: the base, and the terms in the order of their addition."""

    base: str
    terms: tuple[Term, ...]
    conflicts: str = "sum"
    note: str | None = None
    """Remark for readers, such as that a vector is missing."""
    head: int | None = None
    """Index of the term with the head, if the recipe states it; otherwise it is the only term with one."""


def compose(
    terms: Sequence[tuple[Path, float]],
    description: Description,
    out: Path,
    write: Path | None = None,
    rule: str = "sum",
    note: str | None = None,
    head: int | None = None,
) -> Recipe:
    """Check that modules fit the base and each other, and write the recipe of their sum with its statistics.

    The recipe lists the number of elements of each module, and for vectors the number added after conflicts are
    resolved.

    Args:
        terms: any number of modules with their weights, in the order of their addition.
        write: file for the sum of the vectors as an SFT (`arithmetic.sum_of`), if it is also stored.
        head: index of the term with the head, required if several have one.
    Raises:
        ConfigError: the rule does not exist.
        VectorError: a module is corrupted or belongs to another base, several have a head and none is chosen, the
            chosen one has none, a weight is not a number, or the modules have no sum that could be written.
    """
    if rule not in MERGING_RULES:
        raise ConfigError(f"there is no rule for conflicts {rule!r} (known: {', '.join(MERGING_RULES)})")
    modules = []
    for path, weight in terms:
        if not math.isfinite(weight):
            raise VectorError(f"{path} has the weight {weight}. Give it a number, as in {path}:0.5")
        modules.append(loading.load(path))
    loading.check([(path, m, weight) for m, (path, weight) in zip(modules, terms, strict=True)], description)
    bearer = _choose_head([path for path, _ in terms], modules, head)
    modules = _keep_one_head(modules, bearer)
    are_vectors = loading.are_vectors(modules)
    if write is not None or rule != "sum":
        require_vectors(modules)
    resolved = conflicts.resolve([(m, weight) for m, (_, weight) in zip(modules, terms, strict=True)], rule)
    if write is not None:
        vectors.save(arithmetic.sum_of(resolved), write)
    hashed = tuple(Term(path, weight, sha256_of(path)) for path, weight in terms)
    recipe = Recipe(description.hash, hashed, rule, note, bearer)
    write_json(
        out,
        {
            "base": recipe.base,
            "terms": [asdict(t) | {"path": os.path.relpath(t.path, out.parent)} for t in recipe.terms],
            **({} if recipe.head is None else {"head": recipe.head}),
            "conflicts": recipe.conflicts,
            "note": recipe.note,
            "entries": [module.entries for module in modules],
            "added": [_count_added(vector) for vector, _ in resolved] if are_vectors else None,
            "overlap": overlap(modules[0], modules[1]) if len(modules) == 2 and are_vectors else None,
        },
    )
    return recipe


def read(path: Path) -> Recipe:
    """Load a recipe.

    Raises:
        ResultError: it is missing or corrupted.
        VectorError: it is not a recipe.
    """
    content = read_json(path)
    try:
        terms = tuple(
            Term(Path(os.path.normpath(path.parent / t["path"])), t["weight"], t["sha256"]) for t in content["terms"]
        )
        rule = content.get("conflicts", "sum")
        if rule not in MERGING_RULES:
            raise ValueError(f"it resolves conflicts by {rule!r}, which this version does not know")
        head = content.get("head")
        if head is not None and head not in range(len(terms)):
            raise ValueError(f"it takes the head of term {head}, and has {len(terms)} terms, counted from 0")
        return Recipe(content["base"], terms, rule, content.get("note"), head)
    except (ValueError, KeyError, TypeError) as error:
        raise VectorError(f"{path} is not the recipe of a composed model ({error}). Rebuild it: snakemake") from None


def _choose_head(paths: Sequence[Path], modules: Sequence[loading.Module], chosen: int | None) -> int | None:
    """Return the index of the term with the head, or None if it is the first and only one.

    Raises:
        VectorError: several have a head and none is chosen, or the chosen one has none.
    """
    heads = [n for n, module in enumerate(modules) if module.head]
    if chosen is not None and chosen not in heads:
        problem = f"{paths[chosen]} has none" if chosen in range(len(paths)) else f"there are {len(paths)} vectors"
        raise VectorError(
            f"vector {chosen} should have the head, but {problem}. Choose one that has a head, counted from 0"
        )
    if chosen is None and len(heads) > 1:
        names = ", ".join(str(paths[n]) for n in heads)
        raise VectorError(
            f"several vectors have a head ({names}). Compose at most one task vector, or choose one with --head"
        )
    bearer = chosen if chosen is not None else next(iter(heads), 0)
    return bearer if bearer > 0 or len(heads) > 1 else None


def _keep_one_head(modules: Sequence[Any], bearer: int | None) -> list[Any]:
    """Return modules with only the head of the term `bearer`; unchanged if it is None."""
    if bearer is None:
        return list(modules)
    return [module if n == bearer or not module.head else replace(module, head={}) for n, module in enumerate(modules)]


def require_merging(modules: Sequence[loading.Module]) -> None:
    """Check that modules can be merged into the base's own parameters.

    Raises:
        VectorError: a module is of a type that cannot.
    """
    if not loading.merge(modules):
        raise VectorError(
            "adapters are stacked and not added, so this model is neither a sum of vectors nor an ordinary checkpoint. "
            "Store its recipe; deftx evaluate takes it"
        )


def require_vectors(modules: Sequence[loading.Module]) -> None:
    """Check that modules are vectors, whose elements can be stored or selected.

    Raises:
        VectorError: a module is not a vector.
    """
    require_merging(modules)
    if not loading.are_vectors(modules):
        raise VectorError(
            "LoRA is a product of factors, added to whole matrices: it has no sparse sum to store and no elements to "
            "select. Compose it by plain sum; deftx export stores the whole model"
        )


def load_terms(recipe: Recipe, description: Description) -> list[tuple[Any, float]]:
    """Load the modules of a recipe with their weights, and check that they are those it was composed of.

    Each file is loaded and hashed once. At most one module has a head, and conflicts are resolved.

    Raises:
        VectorError: the base or a module has changed since then.
    """
    if recipe.base != description.hash:
        raise VectorError(
            f"the model was composed on another base (weights {recipe.base[:12]}); "
            f"this one has weights {description.hash[:12]}"
        )
    loaded = []
    for term in recipe.terms:
        module = loading.load(term.path)
        if sha256_of(term.path) != term.sha256:
            raise VectorError(f"{term.path} has changed since the model was composed. {remade(term.path)}")
        loaded.append(module)
    weights = [term.weight for term in recipe.terms]
    terms = zip(_keep_one_head(loaded, recipe.head), weights, strict=True)
    return conflicts.resolve(list(terms), recipe.conflicts)


def build(
    recipe: Recipe,
    description: Description,
    terms: Sequence[tuple[Any, float]] | None = None,
    forward: str = "plain",
) -> Any:
    """Build a composed model with its head, for inference.

    Args:
        terms: the recipe's modules, if `load_terms` has already loaded them.
        forward: how the task's model computes logits (`deftx.tasks.forwards.registry`), which decides over its head.
    Raises:
        VectorError: no module of the recipe has a head, or a module does not fit.
    """
    import torch

    from deftx.tasks.objective import forward_pass

    if terms is None:
        terms = load_terms(recipe, description)
    task = next((module for module, _ in terms if module.head), None)
    if task is None or task.metadata.labels is None:
        raise VectorError("the composed model has no task vector, so there is no head to evaluate")
    model = forward_pass(forward).model(description, task.metadata.labels, seed=0)
    loading.apply(model, description, terms)
    parameters = dict(model.named_parameters())
    for name, value in task.head.items():
        parameters[name].data.copy_(torch.from_numpy(value))
    return model.eval()


def _count_added(vector: vectors.Vector) -> int:
    """Return the number of elements of the base that a vector changes."""
    return int(sum(np.count_nonzero(part) for part in (*vector.values.values(), *vector.dense.values())))
