"""Rows of a dataset that another dataset, or another split, holds too."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from deftx.config.data import NearCopies
from deftx.data.rows import Row, load


def drop_near_copies(rows: list[Row], others: Sequence[str], similarity: float) -> list[Row]:
    """Rows whose text is not nearly one of `others`.

    Two texts are near copies when the Dice coefficient of their sets of character trigrams, over lower-cased
    letters and digits alone, is at least `similarity`; equal texts have 1.
    """
    if not rows or not others:
        return rows
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer="char", ngram_range=(3, 3), binary=True, dtype=np.float32)
    grams = vectorizer.fit_transform([_letters(text) for text in [*(r["text"] for r in rows), *others]])
    ours, theirs = grams[: len(rows)], grams[len(rows) :]
    sizes = np.asarray(ours.sum(1)).ravel(), np.asarray(theirs.sum(1)).ravel()
    kept = []
    for start in range(0, len(rows), 1000):  # a thousand rows at a time keep the dense block small
        common = (ours[start : start + 1000] @ theirs.T).toarray()
        dice = 2 * common / np.maximum(1, sizes[0][start : start + 1000, None] + sizes[1][None, :])
        kept += [row for row, best in zip(rows[start:], dice.max(1), strict=False) if best < similarity]
    return kept


def _letters(text: str) -> str:
    normal = unicodedata.normalize("NFC", text).lower()
    return " " + "".join(c for c in normal if c.isalnum()) + " "  # padding gives a single letter a trigram


def drop_nearest(rows: list[Row], elsewhere: Sequence[str], others: Sequence[str]) -> list[Row]:
    """Rows without those that are nearest to a text of `others`, by edit distance over lower-cased letters and digits.

    That is how composable-sft trimmed SmSA. Every text of `others` takes its nearest one away, however far it is; of
    several equally near ones all go.

    Args:
        rows: of one split.
        elsewhere: texts of the dataset's other splits, which may be nearer.
    """
    if not rows or not others:
        return rows
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    texts = [_letters(text) for text in [*(row["text"] for row in rows), *elsewhere]]
    dropped = np.zeros(len(texts), bool)
    for start in range(0, len(others), 100):  # a hundred at a time keep the block of distances small
        block = [_letters(text) for text in others[start : start + 100]]
        distance = cdist(block, texts, scorer=Levenshtein.distance, dtype=np.int32)
        dropped |= (distance == distance.min(1, keepdims=True)).any(0)
    return [row for row, drop in zip(rows, dropped, strict=False) if not drop]


def without_near_copies(
    rows: list[Row], settings: NearCopies, others: Iterable[Path], elsewhere: Sequence[str] = ()
) -> list[Row]:
    """Rows that are no near copies of the texts in the CSV files `others`; `elsewhere` as in `drop_nearest`."""
    texts = [row["text"] for path in others for row in load(path)]
    if settings.rule == "nearest":
        return drop_nearest(rows, elsewhere, texts)
    return drop_near_copies(rows, texts, settings.similarity)


def without_held_out(rows: list[Row], held_out: Iterable[Row]) -> list[Row]:
    """Rows that are not among `held_out`: the same letters and digits, lower-cased, in text and pair."""
    known = {_identity(row) for row in held_out}
    return [row for row in rows if _identity(row) not in known]


def _identity(row: Row) -> tuple[str, str]:
    return _letters(row["text"]), _letters(row.get("pair", ""))
