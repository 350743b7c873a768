"""The testbed: languages that do not touch one another, and rows that mean the same in all of them."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.config.data import Family, Variety
from deftx.core.errors import DeftxError
from deftx.data import synthetic
from deftx.data.synthetic import LABELS, SPLITS

SMALL = Family(
    seed=1, nouns=4, adjectives=3, verbs=2, adverbs=2, words=100, affixes=20, lines=60, train=30, valid=9, test=12
)
FIRST = Variety()
VARIETIES = st.builds(
    Variety, cognates=st.floats(0, 1), word_order=st.sampled_from(["SVO", "SOV", "VSO"]), affixes=st.floats(0, 1)
)


def everything(name: str, language: Variety, family: Family = SMALL) -> list[Any]:
    return [
        synthetic.corpus(family, name, language),
        *(synthetic.dataset(family, name, language, split) for split in SPLITS),
    ]


def test_the_same_in_another_process() -> None:
    """No hash of Python's, which differ from process to process, decides over anything."""
    code = (
        "import hashlib; from tests.data import test_synthetic as t; "
        "print(hashlib.sha256(repr(t.everything('suma', t.Variety(cognates=0.5))).encode()).hexdigest())"
    )
    here = hashlib.sha256(repr(everything("suma", Variety(cognates=0.5))).encode()).hexdigest()
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    there = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_a_language_depends_on_nothing_but_itself_and_its_family() -> None:
    alone = everything("suma", Variety(cognates=0.5))
    everything("zaki", Variety(cognates=0.1, word_order="VSO"))
    for cache in (synthetic._forms, synthetic._reviews, synthetic._stock, synthetic._concepts):
        cache.cache_clear()
    everything("nolo", FIRST)
    assert everything("suma", Variety(cognates=0.5)) == alone
    assert everything("sumi", Variety(cognates=0.5)) != alone
    assert everything("suma", Variety(cognates=0.5), SMALL.model_copy(update={"seed": 2})) != alone


@given(VARIETIES)
def test_rows_are_parallel(language: Variety) -> None:
    for split in SPLITS:
        first, other = synthetic.dataset(SMALL, "sumi", FIRST, split), synthetic.dataset(SMALL, "suma", language, split)
        assert [(r["id"], r["label"]) for r in first] == [(r["id"], r["label"]) for r in other]
        assert [len(r["text"].split()) for r in first] == [len(r["text"].split()) for r in other]


@given(VARIETIES)
def test_every_piece_is_in_the_inventory(language: Variety) -> None:
    corpus, *splits = everything("suma", language)
    texts = [*corpus, *(row["text"] for rows in splits for row in rows)]
    assert {piece for text in texts for piece in text.split()} <= set(synthetic.inventory(SMALL))


@given(VARIETIES)
def test_text_and_task_share_no_sentence(language: Variety) -> None:
    corpus, *splits = everything("suma", language)
    assert len(corpus) == SMALL.lines
    assert not set(corpus) & {row["text"] for rows in splits for row in rows}


def test_labelled_rows_hold_no_hint_but_their_words() -> None:
    marks = set(synthetic.MARKS) - {synthetic.COMMA}
    for split in SPLITS:
        assert not marks & {
            piece for row in synthetic.dataset(SMALL, "sumi", FIRST, split) for piece in row["text"].split()
        }


def test_splits_are_balanced_and_have_no_row_in_common() -> None:
    family = Family(train=60, valid=30, test=30, lines=1)
    rows = {split: synthetic.dataset(family, "sumi", FIRST, split) for split in SPLITS}
    texts = [row["text"] for some in rows.values() for row in some]
    assert len(set(texts)) == len(texts)
    for split, size in (("train", 20), ("valid", 10), ("test", 10)):
        assert Counter(row["label"] for row in rows[split]) == dict.fromkeys(LABELS, size)


def test_inventory_has_no_piece_twice() -> None:
    pieces = synthetic.inventory(Family())
    assert len(set(pieces)) == len(pieces)
    assert not any(piece.split() != [piece] for piece in pieces)


def test_cognates_say_how_much_two_languages_share() -> None:
    shares = []
    first = synthetic._forms(SMALL, "sumi", FIRST)
    for cognates in (0.0, 0.3, 0.7, 1.0):
        forms = synthetic._forms(SMALL, "suma", Variety(cognates=cognates))
        words = [concept for concept in forms if not concept.startswith("-")]
        shares.append(sum(forms[w] == first[w] for w in words) / len(words))
    assert shares[0] == 0 and shares[-1] == 1
    assert shares == sorted(shares)
    assert shares[1:3] == pytest.approx([0.3, 0.7], abs=0.1)


def test_word_order() -> None:
    row = {
        order: synthetic.dataset(SMALL, "sumi", Variety(word_order=order), "test")[0]["text"].split()
        for order in ("SVO", "SOV", "VSO")
    }
    assert sorted(row["SVO"]) == sorted(row["SOV"]) == sorted(row["VSO"])
    assert row["SVO"] != row["VSO"]


def test_a_stock_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="increase `words` or `affixes`"):
        Family(words=10)
    tight = Family(nouns=4, adjectives=3, verbs=2, adverbs=2, words=25, lines=1)
    with pytest.raises(DeftxError, match="increase `words` or `affixes`"):
        synthetic.corpus(tight, "suma", Variety(cognates=0.0))
