"""Scores of stored predictions: measures with their signature. Needs no model and no torch.

Another metric scores the same predictions, without a new inference.
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
    """Gold and predicted labels of a test set's items, in its order, with their provenance."""

    gold: list[str]
    predicted: list[str]
    provenance: dict[str, Any]
    """Content of the sidecar by `deftx.evaluation.predict.predict`."""


def score(predictions: Path, out: Path, metric: Metric) -> None:
    """Score a file of predictions, and write all measures and the signature for the task's metric.

    Raises:
        ConfigError: `out` is the provenance of the predictions.
        ResultError: predictions or their provenance are missing or corrupted.
    """
    check_names(predictions, out)
    loaded = load(predictions)
    provenance = loaded.provenance
    rule = {key: provenance[key] for key in ("conflicts",) if key in provenance}
    vectors = [*provenance["vectors"], *([rule] if rule else [])]
    content = measures(loaded.gold, loaded.predicted, provenance["labels"]) | {
        "base": provenance["base"],
        "dataset": provenance["dataset"],
        "vectors": provenance["vectors"],
        **rule,
        "entries": provenance["entries"],
        "predictions": provenance["sha256"],
        "metric": metric,
        "signature": signature(
            metric,
            len(loaded.gold),
            provenance["seeds"],
            provenance["base"],
            provenance["dataset"],
            vectors,
            provenance["versions"],
        ),
    }
    write_json(out, content)


def check_names(predictions: Path, scores: Path) -> None:
    """Check that predictions, their provenance and their scores are three files.

    Raises:
        ConfigError: two of them are the same file.
    """
    provenance = predictions.with_suffix(".json")
    if provenance.resolve() in (predictions.resolve(), scores.resolve()):
        raise ConfigError(
            f"{provenance} is the file for the provenance of the predictions, but also that of the predictions or "
            "scores. Let the predictions end in .csv, and give the scores another name or folder"
        )


def load(path: Path) -> Predictions:
    """Load predictions, and check them against their sidecar.

    Raises:
        ResultError: one of the two files is missing or corrupted, or they are not predictions.
    """
    sidecar = path.with_suffix(".json")
    provenance = read_json(sidecar, path)
    if missing := [key for key in REQUIRED if key not in provenance]:
        raise ResultError(
            f"{sidecar} does not describe predictions (it has no {missing[0]!r}). Pass a file that deftx predict wrote"
        )
    if not path.is_file():
        raise ResultError(f"{path} does not exist. {remade(path)}")
    integrity.check(path)
    header, rows = read_table(path, ",")
    if not {"label", "predicted"} <= set(header) or len(rows) != provenance["rows"]:
        raise ResultError(damaged(path, f"it does not contain the {provenance['rows']} predictions in its sidecar"))
    gold, predicted = ([str(row[column]) for row in rows] for column in ("label", "predicted"))
    if unknown := sorted({*gold, *predicted} - {*provenance["labels"]}):
        raise ResultError(damaged(path, f"{unknown[0]!r} is not one of its labels"))
    return Predictions(gold, predicted, provenance)


def measures(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Return macro-F1, accuracy, scores by class and confusion matrix (rows: gold); rates are in percent.

    All are those of `deftx.tasks.metrics`, as in tables, and equal scikit-learn's to the last bit.
    """
    code = {label: n for n, label in enumerate(labels)}
    true, guessed = (np.array([code[label] for label in column], np.int64) for column in (gold, predicted))
    counts, occurring = metrics.confusion(true, guessed, len(labels)), np.unique(true)
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
    """Write the provenance of predictions by an earlier version, which have none, from their scores.

    Return whether it was written: not if it exists, or if the scores belong to other predictions.
    """
    sidecar = predictions.with_suffix(".json")
    if sidecar.is_file() or not predictions.is_file() or not scores.is_file():
        return False
    content = read_json(scores)
    if content.get("predictions") != integrity.sha256_of(predictions) or "signature" not in content:
        return False
    fields = dict(field.split(":", 1) for field in content["signature"].split("|")[1:])
    seeds = [None if seed == "unknown" else int(seed) for seed in fields["seed"].split("+")]
    provenance = {
        "sha256": content["predictions"],
        "base": content["base"],
        "dataset": content["dataset"],
        "rows": content["n"],
        "labels": list(content["classes"]),
        "vectors": content["vectors"],
        **({"conflicts": content["conflicts"]} if "conflicts" in content else {}),
        "entries": content["entries"],
        "seeds": seeds,
        "versions": {name: fields[name] for name in ("deftx", "torch")},
    }
    write_json(sidecar, provenance)
    return True
