"""Tables: scores by language and method, with spread over seeds, intervals, tests, and published scores."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deftx.core.errors import DatasetError, ResultError
from deftx.core.files import write_text
from deftx.core.integrity import damaged, read_json, remade, sha256_of
from deftx.evaluation import comparisons, significance
from deftx.evaluation.comparisons import Comparison
from deftx.evaluation.names import MEAN
from deftx.evaluation.signature import pooled
from deftx.report.tables import published as published_table
from deftx.report.tables.formatting import NO_VECTOR, latex, markdown
from deftx.report.tables.spec import Plan, TaskPlan
from deftx.report.tables.storage import read_cells
from deftx.workflow.artifacts import Predictions, Scores

Trials = dict[str, dict[str, significance.Trial]]
"""By method and language."""
Signatures = dict[str, dict[str, list[str]]]
"""By method and language, one for each seed."""
Comparisons = dict[tuple[str, str], dict[str, Comparison]]
"""By pair of methods and language."""


def build(results: Path, plan: Plan, out: Path) -> None:
    """Write the tables of stored predictions and training records.

    These are scores.csv and gains.csv (one row per task, method and language), seeds.csv (one per seed as well),
    comparisons.csv (one row per task, pair of methods and language), published.csv, {task}.md and {task}.tex (methods
    in rows, languages in columns), training.csv (one row per trained vector), and published.md if there are published
    scores.

    Raises:
        DatasetError: predictions of one test set do not have the same items, or were scored by another metric.
        ResultError: a score, predictions or a training record is missing or damaged.
    """
    scores, seeds, gains, comparison_rows, published = [], [], [], [], []
    texts = {}
    for name, task in plan.tasks.items():
        items: dict[str, tuple[Path, pd.DataFrame]] = {}
        signatures = {method: _signatures(results, method, name, task, plan.seeds) for method in plan.methods}
        predictions = {method: _predictions(results, method, name, task, plan.seeds, items) for method in plan.methods}
        pairs = {pair: _compare(predictions, *pair, task) for pair in
                 comparisons.pairs(list(plan.methods), plan.reference, plan.proposed)}  # fmt: skip
        of_task = _scores(name, task, predictions, signatures, pairs, plan)
        scores += of_task
        seeds += _seeds(name, task, predictions, signatures, plan)
        gains += _gains(name, task, predictions, plan)
        comparison_rows += _comparisons(name, task, pairs, plan)
        published += published_table.compare(of_task, task.published)
        statements = [row["statement"] for row in comparison_rows if row["task"] == name and row["statement"]]
        table = pd.DataFrame(of_task)
        texts[f"{name}.md"] = markdown(table, task, plan, statements)
        texts[f"{name}.tex"] = latex(table, task, plan)
    tables = {
        "scores": pd.DataFrame(scores).astype({"items": "Int64"}),
        "seeds": pd.DataFrame(seeds),
        "gains": pd.DataFrame(gains, columns=[*CELL, "gain", "low", "high", "metric", "over"]),
        "comparisons": pd.DataFrame(comparison_rows, columns=COMPARISON_COLUMNS),
        "published": pd.DataFrame(published, columns=published_table.COLUMNS),
        "training": _training(results, plan.vectors),
    }
    for name, table in tables.items():
        texts[f"{name}.csv"] = table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
    if published:
        notes = {name: task.note for name, task in plan.tasks.items() if task.note}
        texts["published.md"] = published_table.markdown(published, notes)
    for name, text in texts.items():
        write_text(out / name, text)


def _predictions(
    results: Path,
    method: str,
    name: str,
    task: TaskPlan,
    seeds: Sequence[int],
    items: dict[str, tuple[Path, pd.DataFrame]],
) -> dict[str, significance.Trial]:
    """Return gold labels and predictions by all seeds, by language, with labels coded in the task's order.

    `items` holds the first predictions of each language; all others are compared with them.
    """
    code = {label: n for n, label in enumerate(task.labels)}
    trials = {}
    for language in task.scored:
        files = [results / Predictions(method, name, language, str(seed)).path for seed in seeds]
        frames = [read_cells(file, ["id", "label", "predicted"]) for file in files]
        first, expected = items.setdefault(language, (files[0], frames[0]))
        for file, frame in zip(files, frames, strict=True):
            if not frame[["id", "label"]].equals(expected[["id", "label"]]):
                raise DatasetError(f"{file} has other items than {first}. Evaluate both again")
            for label in {*frame["label"], *frame["predicted"]} - code.keys():
                raise ResultError(damaged(file, f"{label!r} is not a label of {name}"))
        rows = np.stack([_encode(frame["predicted"], code) for frame in frames])
        trials[language] = significance.Trial(_encode(frames[0]["label"], code), rows, rows[:0], tuple(frames[0]["id"]))
    return trials


def _encode(labels: "pd.Series[str]", code: dict[str, int]) -> significance.Labels:
    return np.array([code[label] for label in labels], dtype=np.int64)


def _signatures(results: Path, method: str, name: str, task: TaskPlan, seeds: Sequence[int]) -> dict[str, list[str]]:
    """Return the signatures of the scores by language, one per seed.

    Raises:
        ResultError: predictions are missing, or are not those that were scored.
    """
    signatures: dict[str, list[str]] = {}
    for language in task.scored:
        for seed in seeds:
            path = results / Scores(method, name, language, str(seed)).path
            content = read_json(path)
            predictions = results / Predictions(method, name, language, str(seed)).path
            if not predictions.is_file():
                raise ResultError(f"{predictions} does not exist. {remade(predictions)}")
            if content.get("predictions", digest := sha256_of(predictions)) != digest:
                raise ResultError(damaged(predictions, "it does not match the checksum in its score file"))
            signature = content.get("signature", "none|")
            if signature.partition("|")[0] != task.metric:
                raise DatasetError(
                    f"{path} has no signature, or one of another metric than {task.metric}. Evaluate it again"
                )
            signatures.setdefault(language, []).append(signature)
    return signatures


def _compare(predictions: Trials, method: str, other: str, task: TaskPlan) -> dict[str, Comparison]:
    trials = {language: _pair_trials(predictions, method, other, language) for language in task.scored}
    return comparisons.compare(trials, task.targets, task.metric)


def _pair_trials(predictions: Trials, method: str, other: str, language: str) -> significance.Trial:
    first, second = predictions[method][language], predictions[other][language]
    return significance.Trial(first.gold, first.ours, second.ours, first.ids)


CELL = ["task", "method", "title", "language", "name"]


def _keys(task: str, method: str, language: str, plan: Plan) -> dict[str, Any]:
    """Return the columns that identify the cell of a row."""
    name = plan.languages.get(language, "mean of targets")
    return dict(zip(CELL, (task, method, plan.methods[method], language, name), strict=True))


def _languages_of(language: str, task: TaskPlan) -> Sequence[str]:
    """Return the languages of a column: the targets for their mean."""
    return task.targets if language == MEAN else [language]


def _scores(
    name: str, task: TaskPlan, predictions: Trials, signatures: Signatures, pairs: Comparisons, plan: Plan
) -> list[dict[str, Any]]:
    """Return scores over all seeds: mean, standard deviation between seeds, interval, test against the reference."""
    score = significance.METRICS[task.metric]
    rows = []
    for method, trials in predictions.items():
        for language in (*task.scored, MEAN):
            of_cell = [trials[t] for t in _languages_of(language, task)]
            by_seed = np.mean([[float(score(t.gold, row)) for row in t.ours] for t in of_cell], axis=0)
            low, high = significance.interval(of_cell, task.metric)
            test = pairs[method, str(plan.reference)][language] if (method, plan.reference) in pairs else None
            rows.append(
                _keys(name, method, language, plan)
                | {
                    "score": by_seed.mean(),
                    "sd": by_seed.std(ddof=1) if len(by_seed) > 1 else float("nan"),
                    "low": low,
                    "high": high,
                    "p": test.p if test else float("nan"),
                    "p_holm": test.p_holm if test else float("nan"),
                    "seeds": len(by_seed),
                    "items": _common_number(len(t.gold) for t in of_cell),
                    "metric": task.metric,
                    "note": NO_VECTOR if language in plan.lacking.get(method, {}).get(name, ()) else "",
                    "signature": pooled(line for t in _languages_of(language, task) for line in signatures[method][t]),
                }
            )
    return rows


def _common_number(numbers: Iterable[int]) -> int | None:
    """Return the number if all are equal, otherwise None."""
    distinct = {*numbers}
    return distinct.pop() if len(distinct) == 1 else None


def _seeds(name: str, task: TaskPlan, predictions: Trials, signatures: Signatures, plan: Plan) -> list[dict[str, Any]]:
    """Return scores of single seeds."""
    score = significance.METRICS[task.metric]
    rows = []
    for method, trials in predictions.items():
        for language in (*task.scored, MEAN):
            for index, seed in enumerate(plan.seeds):
                of_cell = [_select_seed(trials[t], index) for t in _languages_of(language, task)]
                low, high = significance.interval(of_cell, task.metric)
                rows.append(
                    _keys(name, method, language, plan)
                    | {
                        "seed": seed,
                        "score": float(np.mean([score(t.gold, t.ours[0]) for t in of_cell])),
                        "low": low,
                        "high": high,
                        "metric": task.metric,
                        "signature": pooled(signatures[method][t][index] for t in _languages_of(language, task)),
                    }
                )
    return rows


def _select_seed(trial: significance.Trial, index: int) -> significance.Trial:
    return replace(trial, ours=trial.ours[index : index + 1])


COMPARISON_COLUMNS = [*CELL, "other", "difference", "low", "high", "p", "p_holm", "metric", "statement"]


def _comparisons(name: str, task: TaskPlan, pairs: Comparisons, plan: Plan) -> list[dict[str, Any]]:
    """Return one row per pair and language; the row of the mean holds the statement."""
    rows = []
    for (method, other), tests in pairs.items():
        statement = comparisons.statement(plan.methods[method], plan.methods[other], tests, task.targets)
        for language, test in tests.items():
            rows.append(
                _keys(name, method, language, plan)
                | {"other": other}
                | asdict(test)
                | {"metric": task.metric, "statement": statement if language == MEAN else ""}
            )
    return rows


def _gains(name: str, task: TaskPlan, predictions: Trials, plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if plan.control not in predictions:
        return rows
    for method in predictions:
        if method == plan.control:
            continue
        for language in (*task.targets, MEAN):
            trials = [_pair_trials(predictions, method, str(plan.control), t) for t in _languages_of(language, task)]
            total = sum(significance.difference(trial, task.metric) for trial in trials)
            low, high = significance.interval(trials, task.metric)
            rows.append(
                _keys(name, method, language, plan)
                | {
                    "gain": total / sum(len(t.ours) for t in trials),
                    "low": low,
                    "high": high,
                    "metric": task.metric,
                    "over": plan.methods[str(plan.control)],
                }
            )
    return rows


def _training(results: Path, vectors: Sequence[str]) -> pd.DataFrame:
    """Return one row per trained delta or SFT: steps, tokens, and the first validation measure before and after."""
    rows = []
    for vector in vectors:
        record = read_json(results / f"{vector}.json")
        history = record["history"]
        measure = next((key for key in history[0] if key != "step"), None)
        rows.append(
            {
                "vector": vector,
                "trained_parameters": record["trained_parameters"],
                "steps": record["steps"],
                "kept_step": record["kept_step"],
                "tokens": record["tokens"],
                "measure": measure,
                "before": history[0].get(measure),
                "after": next((h.get(measure) for h in history if h["step"] == record["kept_step"]), None),
            }
        )
    return pd.DataFrame(rows)
