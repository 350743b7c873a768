"""Tables of scores as text: in Markdown, and for LaTeX."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from deftx.evaluation.comparisons import LEVEL
from deftx.evaluation.names import MEAN, METRIC_NAMES
from deftx.evaluation.signature import pooled
from deftx.report.tables.spec import Plan, TaskPlan

NO_VECTOR = "no language vector"


def markdown(table: pd.DataFrame, task: TaskPlan, plan: Plan, statements: Sequence[str] = ()) -> str:
    """Return a table in Markdown: methods in rows, languages in columns; score ± sd over seeds, interval, star.

    A note, the signature, and the statements follow, one per line.
    """
    columns = [c for c in (task.source, *task.targets, MEAN) if c in set(table["language"])]
    titles = [_title_of(c, task, plan) for c in columns]
    lines = [
        f"| method | {' | '.join(titles)} |",
        f"|:--|{'--:|' * len(columns)}",
    ]
    for method, title in plan.methods.items():
        cells = [_format_cell(_select_row(table, method, c), " ", "±", "\N{EN DASH}") for c in columns]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", _write_note(table, task, plan), "", f"Signature: `{pooled(table['signature'])}`"]
    lines += ["", *(f"- {statement}." for statement in statements)] if statements else []
    return "\n".join(lines) + "\n"


def latex(table: pd.DataFrame, task: TaskPlan, plan: Plan) -> str:
    """Return the same table for LaTeX; it needs the package booktabs."""
    columns = [c for c in (task.source, *task.targets, MEAN) if c in set(table["language"])]
    best = {c: table[table["language"] == c]["score"].max() for c in columns}
    body = []
    for method, title in plan.methods.items():
        cells = []
        for column in columns:
            row = _select_row(table, method, column)
            cell = _format_cell(row, " ", r"{\scriptsize$\pm$}", "--", interval=False)
            cells.append(rf"\textbf{{{cell}}}" if row["score"] == best[column] else cell)
        body.append(rf"{_escape(title)} & {' & '.join(cells)} \\")
    titles = " & ".join(_escape(_title_of(c, task, plan)) for c in columns)
    return "\n".join(
        [
            f"% {_write_note(table, task, plan)}",
            f"% Signature: {pooled(table['signature'])}",
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


def _select_row(table: pd.DataFrame, method: str, language: str) -> Any:
    return table[(table["method"] == method) & (table["language"] == language)].iloc[0]


def _title_of(column: str, task: TaskPlan, plan: Plan) -> str:
    if column == MEAN:
        return "mean of targets"
    name = plan.languages.get(column, column)
    return f"{name} (source)" if column == task.source else name


def _format_cell(row: Any, gap: str, plus_minus: str, dash: str, interval: bool = True) -> str:
    spread = f" {plus_minus} {row['sd']:.1f}" if row["seeds"] > 1 else ""
    star = ("*" if row["p_holm"] < LEVEL else "") + ("\N{DAGGER}" if row["note"] == NO_VECTOR else "")
    limits = f"{gap}[{row['low']:.1f}{dash}{row['high']:.1f}]" if interval else ""
    return f"{row['score']:.1f}{star}{spread}{limits}"


def _write_note(table: pd.DataFrame, task: TaskPlan, plan: Plan) -> str:
    seeds, counts = int(table["seeds"].max()), table.loc[table["language"] != MEAN, "items"]
    items = " to ".join(str(n) for n in sorted({int(counts.min()), int(counts.max())}))
    spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    name = METRIC_NAMES[task.metric]
    test = (
        f" *: differs from {plan.methods[plan.reference]}, paired permutation test, p < {LEVEL} after Holm's "
        "correction over the target languages (the source and the mean are one test each)."
        if plan.reference in plan.methods
        else ""
    )
    dagger = f" \N{DAGGER}: {NO_VECTOR}, as the language has no text." if (table["note"] == NO_VECTOR).any() else ""
    return (
        f"{name} in percent, {spread}; in brackets the 95 % bootstrap interval over {items} test items.{test}{dagger}"
    )


def _escape(text: str) -> str:
    return text.replace("&", r"\&").replace("_", r"\_").replace("%", r"\%").replace("#", r"\#")
