"""Deduplication: rows of a dataset that also occur in another dataset or split are dropped."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from deftx.config.data import NearCopies
from deftx.data.rows import Row, load


def drop_near_copies(rows: list[Row], references: Sequence[str], similarity: float) -> list[Row]:
    """Return the rows whose text is not a near copy of one of `references`.

    Two texts are near copies if the Dice coefficient of their sets of character trigrams, over lower-cased letters and
    digits alone, is at least `similarity`; it is 1 for equal texts.
    """
    if not rows or not references:
        return rows
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer="char", ngram_range=(3, 3), binary=True, dtype=np.float32)
    grams = vectorizer.fit_transform([_letters(text) for text in [*(r["text"] for r in rows), *references]])
    row_grams, reference_grams = grams[: len(rows)], grams[len(rows) :]
    sizes = np.asarray(row_grams.sum(1)).ravel(), np.asarray(reference_grams.sum(1)).ravel()
    distinct = []
    for start in range(0, len(rows), 1000):  # a thousand rows at a time keep the dense block small
        common = (row_grams[start : start + 1000] @ reference_grams.T).toarray()
        dice = 2 * common / np.maximum(1, sizes[0][start : start + 1000, None] + sizes[1][None, :])
        distinct += [row for row, best in zip(rows[start:], dice.max(1), strict=False) if best < similarity]
    return distinct


def _letters(text: str) -> str:
    normal = unicodedata.normalize("NFC", text).lower()
    return " " + "".join(c for c in normal if c.isalnum()) + " "  # padding gives a single letter a trigram


def drop_nearest(rows: list[Row], siblings: Sequence[str], references: Sequence[str]) -> list[Row]:
    """Return the rows that are not the nearest to a text of `references`.

    The distance is the edit distance over lower-cased letters and digits. That is how composable-sft trimmed SmSA. For
    each text of `references` the nearest row is dropped, however far it is; of equally near rows all are.

    Args:
        rows: rows of one split.
        siblings: texts of the dataset's other splits, which may be nearer.
    """
    if not rows or not references:
        return rows
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    texts = [_letters(text) for text in [*(row["text"] for row in rows), *siblings]]
    dropped = np.zeros(len(texts), bool)
    for start in range(0, len(references), 100):  # a hundred at a time keep the block of distances small
        block = [_letters(text) for text in references[start : start + 100]]
        distance = cdist(block, texts, scorer=Levenshtein.distance, dtype=np.int32)
        dropped |= (distance == distance.min(1, keepdims=True)).any(0)
    return [row for row, drop in zip(rows, dropped, strict=False) if not drop]


def without_near_copies(
    rows: list[Row], settings: NearCopies, references: Iterable[Path], siblings: Sequence[str] = ()
) -> list[Row]:
    """Return the rows that are not near copies of texts in CSV files; `siblings` as in `drop_nearest`."""
    texts = [row["text"] for path in references for row in load(path)]
    if settings.rule == "nearest":
        return drop_nearest(rows, siblings, texts)
    return drop_near_copies(rows, texts, settings.similarity)


def without_held_out(rows: list[Row], held_out: Iterable[Row]) -> list[Row]:
    """Return the rows that are not in `held_out`, by the letters and digits, lower-cased, of text and pair."""
    excluded = {_identity(row) for row in held_out}
    return [row for row in rows if _identity(row) not in excluded]


def _identity(row: Row) -> tuple[str, str]:
    return _letters(row["text"]), _letters(row.get("pair", ""))
