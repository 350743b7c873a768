"""How much there is to train and to evaluate on: counted where it is there, else estimated from what is known of it."""

import math
from pathlib import Path

from deftx.core.integrity import read_json
from deftx.data.layouts import files_of
from deftx.experiment.config import Experiment

LETTERS_A_TOKEN = 3.0
"""Characters of text a piece stands for: an assumption, in the middle of what unseen and known languages need."""
UNPACKED = 1.7
"""Text of a Parquet file in bytes, over its size: an assumption."""
ROWS = {
    "IndoNLP/indonlu": {"train": 11_000, "valid": 1_260},
    "IndoNLP/nusax": {"train": 500, "valid": 100, "test": 400},
    "abteen/americasnli": {"test": 750},
    "nyu-mll/multi_nli": {"train": 392_702, "valid": 9_815},
}
"""Rows of datasets as published, before any are dropped; for those not yet loaded."""


def blocks(train: Path, experiment: Experiment, block: int) -> int | None:
    """Blocks of a language's training text: of the clean text if it is there, else by the sizes of the raw files."""
    statistics = train.with_name("stats.json")
    corpus = experiment.languages[train.parts[-2]].corpus
    if statistics.is_file():
        characters = float(read_json(statistics)["characters"])
    elif corpus and all(file.size is not None for file in corpus.files):
        characters = sum(
            (file.size or 0) * (UNPACKED if file.path.endswith(".parquet") else 1) for file in corpus.files
        )
    else:
        return None
    return math.ceil(0.95 * characters / LETTERS_A_TOKEN / block)


def rows(path: Path, experiment: Experiment, split: str) -> int | None:
    """Rows of a split, by its file's name: counted if it is there, else as published."""
    statistics = path.with_suffix(".json")
    if statistics.is_file():
        return int(read_json(statistics)["rows"])
    dataset, language = experiment.datasets[path.parts[-3]], path.parts[-2]
    if dataset.layout == "testbed" and experiment.testbed:
        return int(getattr(experiment.testbed, split))
    found = [ROWS.get(f.repository or f.hub or "", {}).get(split) for f in files_of(dataset, language).get(split, ())]
    known = sum(n for n in found if n is not None) if all(n is not None for n in found) else None
    most = dataset.train_rows_per_label if split == "train" else None
    labels = next((t.labels for t in experiment.tasks.values() if t.train == path.parts[-3]), ())
    return most * len(labels) if most and known is None else known
