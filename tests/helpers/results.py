"""Made-up predictions, scores and training records, laid out as an experiment leaves them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deftx.core.files import write_text
from deftx.core.integrity import write_json
from deftx.evaluation.signature import signature

LABELS = ("bad", "good")
METHODS = {"task-sft": "task SFT alone", "lt-sft": "LT-SFT", "deft-x": "DeFT-X & co"}
RIGHT = {"task-sft": 0.4, "lt-sft": 0.7, "deft-x": 0.9}


def predictions(
    folder: Path, languages: Sequence[str], seeds: Sequence[int], items: int = 40, metric: str = "macro_f1"
) -> None:
    """Predictions of every method, better from one to the next; the gold labels are the same in all languages.

    Of the scores there are the signatures alone.
    """
    gold = [LABELS[n % 2] for n in range(items)]
    for m, method in enumerate(METHODS):
        for n, language in enumerate(languages):
            for seed in seeds:
                rng = np.random.default_rng((m, n, seed))
                guessed = [g if rng.random() < RIGHT[method] else LABELS[int(rng.integers(2))] for g in gold]
                lines = [f"{i},{g},{p}" for i, (g, p) in enumerate(zip(gold, guessed, strict=True))]
                path = folder / "predictions" / method / "mood" / language / f"seed{seed}.csv"
                write_text(path, "\n".join(["id,label,predicted", *lines]) + "\n")
                said = signature(metric, items, [seed], "a" * 64, f"{n:064}", [[method, seed]], {"deftx": "0.1.0"})
                place = folder / "scores" / method / "mood" / language / f"seed{seed}.json"
                write_json(place, {"metric": metric, "signature": said})


def plan(languages: Sequence[str], seeds: Sequence[int], **changes: Any) -> dict[str, Any]:
    """The plan of their tables; the first language is the source."""
    source, *targets = languages
    return {
        "tasks": {"mood": {"labels": LABELS, "source": source, "targets": targets, "scored": languages}},
        "methods": METHODS,
        "languages": {code: f"Language {code}" for code in languages},
        "seeds": seeds,
        "reference": "lt-sft",
        "proposed": "deft-x",
        "control": "task-sft",
    } | changes


def record(folder: Path, name: str) -> None:
    history = [{"step": s, "macro_f1": v} for s, v in ((0, 0.2), (5, 0.6), (10, 0.5))]
    content = {"steps": 10, "tokens": 999, "trained_parameters": 7, "kept_step": 5, "history": history}
    write_json(folder / f"{name}.json", content)
