"""Tables: scores by language and method, with spread over seeds, intervals, and tests against a reference."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from deftx import statistics
from deftx.errors import DatasetError
from deftx.files import write_text

MEAN = "mean"
LACKING = "no language vector"


class TaskPlan(BaseModel):
    """What is tabulated of one task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[str, ...]
    source: str
    targets: tuple[str, ...]
    scored: tuple[str, ...]
    """Languages with scores: the targets, and the source where the test set has it."""


class Plan(BaseModel):
    """What is tabulated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[str, TaskPlan]
    methods: dict[str, str]
    """Titles by method."""
    languages: dict[str, str]
    """Names by language."""
    seeds: tuple[int, ...]
    lacking: dict[str, dict[str, tuple[str, ...]]] = {}
    """Languages scored without a vector, by method that adds one and task: there is no text of them."""
    vectors: tuple[str, ...] = ()
    """Trained deltas and SFTs, as their files' names below the results without the ending."""
    metric: Literal["macro_f1", "accuracy"] = "macro_f1"
    reference: str | None = None
    """Method the others are tested against."""
    control: str | None = None
    """Method without language vector that gains are counted from."""


def build(results: Path, plan: Plan, out: Path) -> None:
    """Tabulate stored predictions: scores, gains over the control, and training records.

    Writes scores.csv and gains.csv (one row per task, method and language), {task}.md and {task}.tex (methods in
    rows, languages in columns), and training.csv (one row per trained vector).

    Raises:
        DatasetError: predictions of one test set do not belong to the same items.
    """
    scores, gains = [], []
    for name, task in plan.tasks.items():
        items: dict[str, tuple[Path, pd.DataFrame]] = {}
        predictions = {method: _predictions(results, method, name, task, plan.seeds, items) for method in plan.methods}
        scores += _scores(name, task, predictions, plan)
        gains += _gains(name, task, predictions, plan)
    table = pd.DataFrame(scores)
    write_text(out / "scores.csv", table.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    columns = ["task", "method", "title", "language", "name", "gain", "low", "high"]
    gained = pd.DataFrame(gains, columns=columns)
    write_text(out / "gains.csv", gained.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    for name, task in plan.tasks.items():
        of_task = table[table["task"] == name]
        write_text(out / f"{name}.md", markdown(of_task, task, plan))
        write_text(out / f"{name}.tex", latex(of_task, task, plan))
    write_text(
        out / "training.csv",
        _training(results, plan.vectors).to_csv(index=False, float_format="%.4f", lineterminator="\n"),
    )


def _predictions(
    results: Path,
    method: str,
    name: str,
    task: TaskPlan,
    seeds: Sequence[int],
    items: dict[str, tuple[Path, pd.DataFrame]],
) -> dict[str, statistics.Trial]:
    """Gold labels and predictions by all seeds, by language, labels coded in the task's order.

    `items` holds the first predictions read of each language, which all others are compared with.
    """
    code = {label: n for n, label in enumerate(task.labels)}
    trials = {}
    for language in task.scored:
        files = [results / "predictions" / method / name / language / f"seed{seed}.csv" for seed in seeds]
        frames = [pd.read_csv(f, usecols=["id", "label", "predicted"], dtype=str, na_filter=False) for f in files]
        first, expected = items.setdefault(language, (files[0], frames[0]))
        for file, frame in zip(files, frames, strict=True):
            if not frame[["id", "label"]].equals(expected[["id", "label"]]):
                raise DatasetError(f"{file} is about other items than {first}; evaluate both again")
        rows = np.stack([_coded(frame["predicted"], code) for frame in frames])
        trials[language] = statistics.Trial(_coded(frames[0]["label"], code), rows, rows[:0])
    return trials


def _coded(labels: "pd.Series[str]", code: dict[str, int]) -> statistics.Labels:
    return np.array([code[label] for label in labels], dtype=np.int64)


def _scores(
    name: str, task: TaskPlan, predictions: dict[str, dict[str, statistics.Trial]], plan: Plan
) -> list[dict[str, Any]]:
    score = statistics.METRICS[plan.metric]
    rows = []
    for method, trials in predictions.items():
        for language in (*task.scored, MEAN):
            some = [trials[t] for t in (task.targets if language == MEAN else [language])]
            by_seed = np.mean([[float(score(t.gold, row)) for row in t.ours] for t in some], axis=0)
            low, high = statistics.interval(some, plan.metric)
            rows.append(
                _keys(name, method, language, plan)
                | {
                    "score": by_seed.mean(),
                    "sd": by_seed.std(ddof=1) if len(by_seed) > 1 else float("nan"),
                    "low": low,
                    "high": high,
                    "p": _p(method, language, task, predictions, plan),
                    "seeds": len(by_seed),
                    "items": len(some[0].gold),
                    "metric": plan.metric,
                    "note": LACKING if language in plan.lacking.get(method, {}).get(name, ()) else "",
                }
            )
    return rows


def _keys(task: str, method: str, language: str, plan: Plan) -> dict[str, str]:
    """The columns that say which cell a row is about."""
    return {
        "task": task,
        "method": method,
        "title": plan.methods[method],
        "language": language,
        "name": plan.languages.get(language, "mean of targets"),
    }


def _p(
    method: str, language: str, task: TaskPlan, predictions: dict[str, dict[str, statistics.Trial]], plan: Plan
) -> float:
    """p-value against the reference, or NaN for the reference itself."""
    if plan.reference not in predictions or method == plan.reference:
        return float("nan")
    languages = task.targets if language == MEAN else [language]
    return statistics.paired_p([_against(predictions, method, plan.reference, t) for t in languages], plan.metric)


def _against(
    predictions: dict[str, dict[str, statistics.Trial]], method: str, other: str | None, language: str
) -> statistics.Trial:
    mine, theirs = predictions[method][language], predictions[str(other)][language]
    return statistics.Trial(mine.gold, mine.ours, theirs.ours)


def _gains(
    name: str, task: TaskPlan, predictions: dict[str, dict[str, statistics.Trial]], plan: Plan
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if plan.control not in predictions:
        return rows
    for method in predictions:
        if method == plan.control:
            continue
        for language in (*task.targets, MEAN):
            languages = task.targets if language == MEAN else [language]
            trials = [_against(predictions, method, plan.control, t) for t in languages]
            items = [np.arange(len(t.gold)) for t in trials]
            total = sum(statistics.difference(t, plan.metric, i, i, i) for t, i in zip(trials, items, strict=True))
            low, high = statistics.interval(trials, plan.metric)
            rows.append(
                _keys(name, method, language, plan)
                | {
                    "gain": total / sum(len(t.ours) for t in trials),
                    "low": low,
                    "high": high,
                }
            )
    return rows


def markdown(table: pd.DataFrame, task: TaskPlan, plan: Plan) -> str:
    """Methods in rows, languages in columns; score ± sd over seeds, interval below, star where p < 0.05."""
    columns = [c for c in (task.source, *task.targets, MEAN) if c in set(table["language"])]
    titles = [_heading(c, task, plan) for c in columns]
    lines = [
        f"| method | {' | '.join(titles)} |",
        f"|:--|{'--:|' * len(columns)}",
    ]
    for method, title in plan.methods.items():
        cells = [_cell(_row(table, method, c), " ", "±", "\N{EN DASH}") for c in columns]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\n{_note(table, plan)}\n"


def latex(table: pd.DataFrame, task: TaskPlan, plan: Plan) -> str:
    """The same table for LaTeX; needs the package booktabs."""
    columns = [c for c in (task.source, *task.targets, MEAN) if c in set(table["language"])]
    best = {c: table[table["language"] == c]["score"].max() for c in columns}
    body = []
    for method, title in plan.methods.items():
        cells = []
        for column in columns:
            row = _row(table, method, column)
            cell = _cell(row, " ", r"{\scriptsize$\pm$}", "--", interval=False)
            cells.append(rf"\textbf{{{cell}}}" if row["score"] == best[column] else cell)
        body.append(rf"{_escaped(title)} & {' & '.join(cells)} \\")
    titles = " & ".join(_escaped(_heading(c, task, plan)) for c in columns)
    return "\n".join(
        [
            f"% {_note(table, plan)}",
            rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
            r"\toprule",
            rf"Method & {titles} \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _row(table: pd.DataFrame, method: str, language: str) -> Any:
    return table[(table["method"] == method) & (table["language"] == language)].iloc[0]


def _heading(column: str, task: TaskPlan, plan: Plan) -> str:
    if column == MEAN:
        return "mean of targets"
    name = plan.languages.get(column, column)
    return f"{name} (source)" if column == task.source else name


def _cell(row: Any, gap: str, plus_minus: str, dash: str, interval: bool = True) -> str:
    spread = f" {plus_minus} {row['sd']:.1f}" if row["seeds"] > 1 else ""
    star = ("*" if row["p"] < 0.05 else "") + ("\N{DAGGER}" if row["note"] == LACKING else "")
    limits = f"{gap}[{row['low']:.1f}{dash}{row['high']:.1f}]" if interval else ""
    return f"{row['score']:.1f}{star}{spread}{limits}"


def _note(table: pd.DataFrame, plan: Plan) -> str:
    seeds, items = int(table["seeds"].max()), int(table["items"].max())
    spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    name = {"macro_f1": "Macro-F1", "accuracy": "Accuracy"}[plan.metric]
    test = (
        f" *: differs from {plan.methods[plan.reference]}, paired permutation test, p < 0.05, not corrected for "
        "the number of comparisons."
        if plan.reference in plan.methods
        else ""
    )
    lacking = (
        f" \N{DAGGER}: {LACKING}, as there is no text of the language." if (table["note"] == LACKING).any() else ""
    )
    return (
        f"{name} in percent, {spread}; in brackets the 95 % bootstrap interval over {items} test items.{test}{lacking}"
    )


def _escaped(text: str) -> str:
    return text.replace("&", r"\&").replace("_", r"\_").replace("%", r"\%").replace("#", r"\#")


def _training(results: Path, vectors: Sequence[str]) -> pd.DataFrame:
    """One row per trained delta or SFT: steps, tokens seen, and the first held-out measure before and after."""
    rows = []
    for vector in vectors:
        record = json.loads((results / f"{vector}.json").read_text())
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
