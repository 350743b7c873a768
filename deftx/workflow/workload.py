"""Workload: how much there is to train and to evaluate on, counted where it is there, otherwise estimated."""

import math
from pathlib import Path

from deftx.core.integrity import read_json
from deftx.data.layouts import files_of
from deftx.workflow.artifacts import Corpus, Dataset
from deftx.workflow.graph import Artifacts

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


def blocks(graph: Artifacts, corpus: Corpus, block: int) -> int | None:
    """Return the blocks of a language's training text: of the clean text if it is there, else of its raw files."""
    statistics = Path(graph.at(corpus.record))
    raw = graph.experiment.languages[corpus.lang].corpus
    if statistics.is_file():
        characters = float(read_json(statistics)["characters"])
    elif raw and all(file.size is not None for file in raw.files):
        characters = sum((file.size or 0) * (UNPACKED if file.path.endswith(".parquet") else 1) for file in raw.files)
    else:
        return None
    return math.ceil(0.95 * characters / LETTERS_A_TOKEN / block)


def rows(graph: Artifacts, split: Dataset) -> int | None:
    """Return the rows of a split: counted if it is there, else as published."""
    statistics = Path(graph.at(split.record))
    if statistics.is_file():
        return int(read_json(statistics)["rows"])
    experiment, dataset = graph.experiment, graph.experiment.datasets[split.dataset]
    if dataset.layout == "testbed" and experiment.testbed:
        return int(getattr(experiment.testbed, split.split))
    files = files_of(dataset, split.lang).get(split.split, ())
    published = [ROWS.get(file.repository or file.hub or "", {}).get(split.split) for file in files]
    known = sum(n for n in published if n is not None) if all(n is not None for n in published) else None
    most = dataset.train_rows_per_label if split.split == "train" else None
    labels = next((task.labels for task in experiment.tasks.values() if task.train == split.dataset), ())
    return most * len(labels) if most and known is None else known
