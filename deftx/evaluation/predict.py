"""Predictions: a composed model meets a labelled test set it has never seen.

A file of predictions holds a row for each item (`id,label,predicted` and the probability of each label), and says in
the JSON beside it what it is of. Whatever comes after (scores, tables, tests, figures) reads these two files and no
model.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deftx.core.errors import ConfigError, DatasetError
from deftx.core.files import write_text
from deftx.core.integrity import sha256_of, write_json
from deftx.core.provenance import threads, versions
from deftx.core.runtime import device
from deftx.data.rows import Row, check_labels
from deftx.data.rows import load as load_rows
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.tasks.forwards.registry import FORWARDS
from deftx.tasks.inference import probabilities
from deftx.tasks.objective import forward_pass


def predict(recipe: Path, base: Path, dataset: Path, max_length: int, out: Path, forward: str = "plain") -> None:
    """Predict the labels of a dataset with a composed model; writes the CSV file `out`, and its provenance as JSON.

    The JSON beside it holds the SHA-256 of the CSV file, hashes of base and dataset, the labels, and for each module
    its hash, weight, number of entries and seed (the task's first). Each module is loaded and hashed once.

    Args:
        forward: how the model computes logits, by its name in `deftx.tasks.forwards.registry`.
    Raises:
        ConfigError: a file to write has the name of another one, or there is no such way forward.
        VectorError, BaseModelError, DatasetError: something does not fit; named.
    """
    if forward not in FORWARDS:
        raise ConfigError(f"there is no way forward {forward!r} (known: {', '.join(FORWARDS)})")
    _check_names(out, (recipe, base, dataset, dataset.with_suffix(".json")))
    torch.set_num_threads(threads())
    description = base_model.read(base)
    composed = recipes.read(recipe)
    terms = recipes.load_terms(composed, description)
    modules = [module for module, _ in terms]
    entries = [module.entries for module in modules]
    seeds = [module.metadata.seed for module in sorted(modules, key=lambda module: not module.head)]
    model = recipes.build(composed, description, terms, forward)
    del terms, modules  # a dense module is as large as the model
    model.to(device())
    rows = load_rows(dataset)
    if not rows:
        raise DatasetError(f"{dataset} has no rows, so there is nothing to predict. Check the file, or rebuild it")
    labels = list(model.config.id2label.values())
    check_labels(rows, labels, dataset)
    tokenizer, way = base_model.tokenizer(description), forward_pass(forward)
    encoded = way.encode(tokenizer, rows, max_length)
    write_text(out, as_csv(rows, labels, probabilities(model, way, tokenizer, encoded)))
    content = {
        "sha256": sha256_of(out),
        "base": description.hash,
        "dataset": sha256_of(dataset),
        "rows": len(rows),
        "labels": labels,
        "vectors": [{"sha256": term.sha256, "weight": term.weight} for term in composed.terms],
        **({} if composed.conflicts == "sum" else {"conflicts": composed.conflicts}),
        "entries": entries,
        "seeds": seeds,
        "max_length": max_length,
        **({} if forward == "plain" else {"forward": forward}),
        "versions": {name: version for name, version in versions().items() if name in ("deftx", "torch")},
    }
    write_json(out.with_suffix(".json"), content)


def _check_names(out: Path, inputs: Sequence[Path]) -> None:
    """Check that predictions and their provenance overwrite neither one another nor what they are made of."""
    provenance = out.with_suffix(".json")
    taken = {path.resolve() for path in inputs}
    if provenance == out or not taken.isdisjoint((out.resolve(), provenance.resolve())):
        raise ConfigError(
            f"predictions and the JSON beside them would be {out} and {provenance}, but these names are taken. "
            "Give the predictions another name, ending in .csv"
        )


def as_csv(rows: Sequence[Row], labels: Sequence[str], probability: NDArray[np.float64]) -> str:
    """Return predictions as CSV: id, gold label, predicted label, probability of each label."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "label", "predicted", *(f"p_{label}" for label in labels)])
    for row, p in zip(rows, probability, strict=True):
        writer.writerow([row["id"], row["label"], labels[int(p.argmax())], *(f"{x:.6f}" for x in p)])
    return stream.getvalue()
