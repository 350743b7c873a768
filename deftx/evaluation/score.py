"""Scores of stored predictions: measures with the signature that says what they are of. Needs no model and no torch.

Another metric scores the same predictions; nothing is predicted anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deftx.config.tasks import Metric
from deftx.core import integrity
from deftx.core.errors import ConfigError, ResultError
from deftx.core.integrity import damaged, read_json, remade, write_json
from deftx.core.readers import read_table
from deftx.evaluation.signature import signature
from deftx.tasks import metrics

REQUIRED = ("sha256", "base", "dataset", "rows", "labels", "vectors", "entries", "seeds", "versions")


@dataclass(frozen=True)
class Predictions:
    """Gold and predicted labels of a test set's items, in its order, and where they come from."""

    gold: list[str]
    predicted: list[str]
    provenance: dict[str, Any]
    """As `deftx.evaluation.predict.predict` wrote it."""


def score(predictions: Path, out: Path, metric: Metric) -> None:
    """Score a file of predictions; writes all measures, and the signature by the metric the task is judged by.

    Raises:
        ConfigError: `out` is the provenance of the predictions.
        ResultError: predictions or their provenance are missing or damaged.
    """
    check_names(predictions, out)
    read = load(predictions)
    stated = read.provenance
    resolved = {key: stated[key] for key in ("conflicts",) if key in stated}
    added = [*stated["vectors"], *([resolved] if resolved else [])]
    content = measures(read.gold, read.predicted, stated["labels"]) | {
        "base": stated["base"],
        "dataset": stated["dataset"],
        "vectors": stated["vectors"],
        **resolved,
        "entries": stated["entries"],
        "predictions": stated["sha256"],
        "metric": metric,
        "signature": signature(
            metric, len(read.gold), stated["seeds"], stated["base"], stated["dataset"], added, stated["versions"]
        ),
    }
    write_json(out, content)


def check_names(predictions: Path, scores: Path) -> None:
    """Check that predictions, their provenance and their scores are three files.

    Raises:
        ConfigError: they are not.
    """
    provenance = predictions.with_suffix(".json")
    if provenance.resolve() in (predictions.resolve(), scores.resolve()):
        raise ConfigError(
            f"{provenance} is to hold where the predictions come from, and something else besides. Let the "
            "predictions end in .csv, and give the scores another name or folder"
        )


def load(path: Path) -> Predictions:
    """Read predictions, checked against the JSON beside them.

    Raises:
        ResultError: one of the two files is missing or damaged, or they are not predictions.
    """
    beside = path.with_suffix(".json")
    provenance = read_json(beside, path)
    if missing := [key for key in REQUIRED if key not in provenance]:
        raise ResultError(
            f"{beside} does not describe predictions (it has no {missing[0]!r}). Name a file that deftx predict wrote"
        )
    if not path.is_file():
        raise ResultError(f"{path} does not exist. {remade(path)}")
    integrity.check(path)
    header, rows = read_table(path, ",")
    if not {"label", "predicted"} <= set(header) or len(rows) != provenance["rows"]:
        raise ResultError(damaged(path, f"it does not hold the {provenance['rows']} predictions it is stated to hold"))
    gold, predicted = ([str(row[column]) for row in rows] for column in ("label", "predicted"))
    if unknown := sorted({*gold, *predicted} - {*provenance["labels"]}):
        raise ResultError(damaged(path, f"{unknown[0]!r} is not one of its labels"))
    return Predictions(gold, predicted, provenance)


def measures(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Return macro-F1, accuracy, scores by class and confusion matrix (rows: gold), in percent where they are rates.

    All are those of `deftx.tasks.metrics`, as in tables, and equal scikit-learn's to the last bit.
    """
    code = {label: n for n, label in enumerate(labels)}
    true, given = (np.array([code[label] for label in column], np.int64) for column in (gold, predicted))
    counts, occurring = metrics.confusion(true, given, len(labels)), np.unique(true)
    rates = {"precision": metrics.precision(counts), "recall": metrics.recall(counts), "f1": metrics.f1(counts)}
    return {
        "n": len(gold),
        "macro_f1": float(metrics.macro_f1(counts, occurring)),
        "accuracy": float(metrics.accuracy(counts, occurring)),
        "classes": {
            label: {name: 100 * float(values[n]) for name, values in rates.items()} | {"support": int(counts[n].sum())}
            for n, label in enumerate(labels)
        },
        "confusion": counts.astype(np.int64).tolist(),
    }


def restore_provenance(predictions: Path, scores: Path) -> bool:
    """Write the provenance of predictions of an earlier version, which have none, from their scores.

    Returns whether it was written: not where it is there, or where the scores are of other predictions.
    """
    beside = predictions.with_suffix(".json")
    if beside.is_file() or not predictions.is_file() or not scores.is_file():
        return False
    stated = read_json(scores)
    if stated.get("predictions") != integrity.sha256_of(predictions) or "signature" not in stated:
        return False
    fields = dict(field.split(":", 1) for field in stated["signature"].split("|")[1:])
    seeds = [None if seed == "unknown" else int(seed) for seed in fields["seed"].split("+")]
    content = {
        "sha256": stated["predictions"],
        "base": stated["base"],
        "dataset": stated["dataset"],
        "rows": stated["n"],
        "labels": list(stated["classes"]),
        "vectors": stated["vectors"],
        **({"conflicts": stated["conflicts"]} if "conflicts" in stated else {}),
        "entries": stated["entries"],
        "seeds": seeds,
        "versions": {name: fields[name] for name in ("deftx", "torch")},
    }
    write_json(beside, content)
    return True
