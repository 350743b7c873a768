"""Composition: a model is the base plus weighted vectors, summed in float32 in a fixed order.

theta = theta_0 + w_task phi_task + w_language phi_language (Ansell et al. 2022, section 3.2), or any number of terms.
Their order is part of the recipe, because float addition is not associative; so is the rule for entries that several
vectors move (`deftx.merging.conflicts`), and which term brings the head, where it is not the first one.
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
    """One weighted vector of the sum."""

    path: Path
    weight: float
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """A composed model: the base, and the terms in the order they are added."""

    base: str
    terms: tuple[Term, ...]
    conflicts: str = "sum"
    note: str | None = None
    """What a reader must know of it, such as that a vector is missing."""
    head: int | None = None
    """Index of the term that brings the head, where recipes state it; otherwise it is that of the term that has one."""


def compose(
    terms: Sequence[tuple[Path, float]],
    description: Description,
    out: Path,
    write: Path | None = None,
    rule: str = "sum",
    note: str | None = None,
    head: int | None = None,
) -> Recipe:
    """Check that modules fit the base and one another, and write the recipe of their sum with its statistics.

    The recipe lists for each module the entries it holds, and of vectors those it adds once conflicts are resolved.

    Args:
        terms: any number of modules with their weights, in the order they are added.
        write: where the sum of vectors itself is stored too, as an SFT (`arithmetic.sum_of`).
        head: index of the term that brings the head, needed where several carry one.
    Raises:
        ConfigError: there is no such rule.
        VectorError: a module is damaged or made for another base, several carry a head and none is chosen, the chosen
            one has none, a weight is no number, or a sum is to be written of what cannot be added.
    """
    if rule not in MERGING_RULES:
        raise ConfigError(f"there is no rule for conflicts {rule!r}; rules are {', '.join(MERGING_RULES)}")
    modules = []
    for path, weight in terms:
        if not math.isfinite(weight):
            raise VectorError(f"{path} has the weight {weight}; give it a number, as in {path}:0.5")
        modules.append(loading.load(path))
    loading.check([(path, m, weight) for m, (path, weight) in zip(modules, terms, strict=True)], description)
    stated = _stated_head([path for path, _ in terms], modules, head)
    modules = _with_one_head(modules, stated)
    are_vectors = loading.are_vectors(modules)
    if write is not None or rule != "sum":
        require_vectors(modules)
    resolved = conflicts.resolve([(m, weight) for m, (_, weight) in zip(modules, terms, strict=True)], rule)
    if write is not None:
        vectors.save(arithmetic.sum_of(resolved), write)
    named = tuple(Term(path, weight, sha256_of(path)) for path, weight in terms)
    recipe = Recipe(description.hash, named, rule, note, stated)
    write_json(
        out,
        {
            "base": recipe.base,
            "terms": [asdict(t) | {"path": os.path.relpath(t.path, out.parent)} for t in recipe.terms],
            **({} if recipe.head is None else {"head": recipe.head}),
            "conflicts": recipe.conflicts,
            "note": recipe.note,
            "entries": [module.entries for module in modules],
            "added": [_added(vector) for vector, _ in resolved] if are_vectors else None,
            "overlap": overlap(modules[0], modules[1]) if len(modules) == 2 and are_vectors else None,
        },
    )
    return recipe


def read(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ResultError: it is missing or damaged.
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
        raise VectorError(f"{path} is not the recipe of a composed model ({error}); run snakemake") from None


def _stated_head(paths: Sequence[Path], modules: Sequence[loading.Module], chosen: int | None) -> int | None:
    """Return which term brings the head, where a recipe has to say so: it is not the first, or not the only one.

    Raises:
        VectorError: several could, and none is chosen; or the chosen one cannot.
    """
    heads = [n for n, module in enumerate(modules) if module.head]
    if chosen is not None and chosen not in heads:
        problem = f"{paths[chosen]} has none" if chosen in range(len(paths)) else f"there are {len(paths)} vectors"
        raise VectorError(
            f"vector {chosen} is to bring the head, but {problem}. Name one that carries a head, counted from 0"
        )
    if chosen is None and len(heads) > 1:
        names = ", ".join(str(paths[n]) for n in heads)
        raise VectorError(
            f"several vectors carry a head ({names}); compose at most one task vector, or say which brings it (--head)"
        )
    bearer = chosen if chosen is not None else next(iter(heads), 0)
    return bearer if bearer > 0 or len(heads) > 1 else None


def _with_one_head(modules: Sequence[Any], bearer: int | None) -> list[Any]:
    """Return modules without their heads but for that of the stated term; as they are where none is stated."""
    if bearer is None:
        return list(modules)
    return [module if n == bearer or not module.head else replace(module, head={}) for n, module in enumerate(modules)]


def require_merging(modules: Sequence[loading.Module]) -> None:
    """Refuse what does not end up in the base's own parameters, where these are all that is stored or compared.

    Raises:
        VectorError: a module is of such a family.
    """
    if not loading.merge(modules):
        raise VectorError(
            "adapters are stacked and not added, so this model is no sum of vectors and no ordinary checkpoint. "
            "Its recipe is what there is to store; deftx evaluate takes it"
        )


def require_vectors(modules: Sequence[loading.Module]) -> None:
    """Refuse what has no entries of its own, where these are stored or chosen among.

    Raises:
        VectorError: a module is not a vector.
    """
    require_merging(modules)
    if not loading.are_vectors(modules):
        raise VectorError(
            "LoRA is a product of factors, added to whole matrices: there is no sparse sum to store and no entry to "
            "choose. Compose it by plain sum; deftx export stores the whole model"
        )


def load_terms(recipe: Recipe, description: Description) -> list[tuple[Any, float]]:
    """Load the modules of a recipe with their weights, checked to be the ones it was made of.

    Each file is loaded and hashed once. At most one module has a head, and conflicts are resolved.

    Raises:
        VectorError: the base or a module has changed since.
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
    terms = zip(_with_one_head(loaded, recipe.head), weights, strict=True)
    return conflicts.resolve(list(terms), recipe.conflicts)


def build(
    recipe: Recipe,
    description: Description,
    terms: Sequence[tuple[Any, float]] | None = None,
    forward: str = "plain",
) -> Any:
    """Build a composed model with its head, for inference.

    Args:
        terms: the recipe's modules, where `load_terms` has loaded them already.
        forward: how the task's model computes logits (`deftx.tasks.forwards.registry`), which decides over its head.
    Raises:
        VectorError: no module of the recipe carries a head, or a module does not fit.
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


def _added(vector: vectors.Vector) -> int:
    """Number of base entries a vector adds something to."""
    return int(sum(np.count_nonzero(part) for part in (*vector.values.values(), *vector.dense.values())))
