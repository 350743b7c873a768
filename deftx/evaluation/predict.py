"""Evaluation: a composed model meets a labelled test set it has never seen."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deftx.config.tasks import Metric
from deftx.core.device import device
from deftx.core.errors import VectorError
from deftx.core.files import write_text
from deftx.core.integrity import sha256_of, write_json
from deftx.core.provenance import threads, versions
from deftx.data.rows import Row, check_labels
from deftx.data.rows import load as load_rows
from deftx.evaluation.signature import signature
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import loading
from deftx.tasks.classification import probabilities, tokenise
from deftx.tasks.metrics import score


def build(recipe: recipes.Recipe, description: base_model.Description) -> Any:
    """The composed model with its head.

    Raises:
        VectorError: no module of the recipe carries a head, or a module does not fit.
    """
    terms = recipes.load_terms(recipe, description)
    task = next((module for module, _ in terms if module.head), None)
    if task is None or task.metadata.labels is None:
        raise VectorError("the composed model has no task vector, so there is no head to evaluate")
    model = base_model.classifier(description, task.metadata.labels, seed=0)
    loading.apply(model, description, terms)
    parameters = dict(model.named_parameters())
    for name, value in task.head.items():
        parameters[name].data.copy_(torch.from_numpy(value))
    return model.eval()


def evaluate(
    recipe: Path,
    base: Path,
    dataset: Path,
    max_length: int,
    scores: Path,
    predictions: Path,
    metric: Metric = "macro_f1",
) -> None:
    """Score a composed model on a dataset: writes the scores and every prediction with its probabilities.

    All measures are written; `metric` is the one that the task is judged by, and that the signature names.

    Raises:
        VectorError, BaseModelError, DatasetError: something does not fit; named.
    """
    torch.set_num_threads(threads())
    description = base_model.read(base)
    composed = recipes.read(recipe)
    model = build(composed, description)
    model.to(device())
    rows = load_rows(dataset)
    labels = list(model.config.id2label.values())
    check_labels(rows, labels, dataset)
    tokenizer = base_model.tokenizer(description)
    probability = probabilities(model, tokenizer, tokenise(tokenizer, rows, max_length))
    write_text(predictions, as_csv(rows, labels, probability))
    predicted = [labels[i] for i in probability.argmax(1)]
    modules = [module for module, _ in recipes.load_terms(composed, description)]
    added = [{"sha256": term.sha256, "weight": term.weight} for term in composed.terms]
    resolved = {} if composed.conflicts == "sum" else {"conflicts": composed.conflicts}
    data = sha256_of(dataset)
    seeds = [module.metadata.seed for module in sorted(modules, key=lambda module: not module.head)]
    software = {name: version for name, version in versions().items() if name in ("deftx", "torch")}
    content = measures([row["label"] for row in rows], predicted, labels) | {
        "base": description.hash,
        "dataset": data,
        "vectors": added,
        **resolved,
        "entries": [module.entries for module in modules],
        "predictions": sha256_of(predictions),
        "metric": metric,
        "signature": signature(
            metric, len(rows), seeds, description.hash, data, [*added, *([resolved] if resolved else [])], software
        ),
    }
    write_json(scores, content)


def measures(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Macro-F1, accuracy, scores by class and confusion matrix (rows: gold), in percent where they are rates.

    Macro-F1 and accuracy are those of `deftx.tasks.metrics`, as in tables.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    precision, recall, f1, support = precision_recall_fscore_support(
        gold, predicted, labels=list(labels), zero_division=0
    )
    coded = [np.array([labels.index(label) for label in some]) for some in (gold, predicted)]
    return {
        "n": len(gold),
        "macro_f1": score("macro_f1", *coded),
        "accuracy": score("accuracy", *coded),
        "classes": {
            label: {
                "precision": 100 * float(precision[i]),
                "recall": 100 * float(recall[i]),
                "f1": 100 * float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "confusion": confusion_matrix(gold, predicted, labels=list(labels)).tolist(),
    }


def as_csv(rows: Sequence[Row], labels: Sequence[str], probability: NDArray[np.float64]) -> str:
    """Predictions as CSV: id, gold label, predicted label, probability of each label."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "label", "predicted", *(f"p_{label}" for label in labels)])
    for row, p in zip(rows, probability, strict=True):
        writer.writerow([row["id"], row["label"], labels[int(p.argmax())], *(f"{x:.6f}" for x in p)])
    return stream.getvalue()
