"""Synthetic languages: a small family of them, for controlled experiments on cross-lingual transfer.

The texts are reviews, in every language of the family. The meaning of a review does not depend on the language: a
polarity, and clauses about things that are good, bad or neither. A language determines the text of a meaning: the word
of each concept, the order of subject, verb and object, and the endings that mark their roles. The distance of a
language from the family's first one is the share of forms that differ. It is set, not estimated. Studies of
multilinguality in such a controlled setting are established (K et al. 2020, Dufter & Schuetze 2020, Deshpande et al.
2022).

* **Labelled sentences** are parallel: a row means the same in every language, with the same id and label. They consist
  of words, endings and commas, so the label follows from the words alone.
* **Unlabelled text** is not parallel, and its reviews are longer. As in real text, it contains marks that all languages
  share: ratings ("5/5"), emoticons, exclamation marks. Most of these agree with the review (`Family.agreement`), so the
  text gives evidence about its words without a label.

All tokens of all languages come from `inventory`, which depends on the family alone. Each language draws its words and
its text from its own random streams, seeded by the family's seed and the language's name: adding, changing or removing
a language changes no byte of another. Two languages may draw the same form for different concepts, as real false
friends.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

from deftx.config.data import Corpus, Family, Variety
from deftx.core.errors import ConfigError

LABELS = ("negative", "neutral", "positive")
SPLITS = ("train", "valid", "test")

RATINGS = {"negative": ("1/5", "2/5"), "neutral": ("3/5",), "positive": ("4/5", "5/5")}
EMOTICONS = {
    "negative": (":(", ":'(", ">:("),
    "neutral": (":|", ":-|", "._."),
    "positive": (":)", ":D", "<3"),
}
ENDS = {"negative": ("...", "!", "."), "neutral": (".",), "positive": ("!", "!!", ".")}
COMMA = ","
MARKS = (
    COMMA,
    *sorted({end for ends in ENDS.values() for end in ends}),
    *(mark for label in LABELS for mark in RATINGS[label] + EMOTICONS[label]),
)

ONSETS = (*"bdfghjklmnprstvwz", "ch", "sh", "tr", "kr", "pl")
VOWELS = (*"aeiou", "ai", "au")
CODAS = ("", "", "", *"nrsl")

CLEANING = Corpus.model_construct(files=(), min_words=2, valid=0.05, min_lines=20)
"""Settings by which the unlabelled text of a synthetic language is cleaned and split."""
ENDINGS = ("subject", "object", "past", "present")  # the marked roles and tenses

T = TypeVar("T")


@dataclass(frozen=True)
class Clause:
    """Meaning of a clause: a subject has a property, or (with an object) acts on it."""

    subject: str
    predicate: str
    adverb: str | None
    object: str | None
    past: bool


@dataclass(frozen=True)
class Review:
    """Meaning of a review."""

    label: str
    clauses: tuple[Clause, ...]


def inventory(family: Family) -> list[str]:
    """Return the tokens of all languages of a family: marks, word forms and endings, all distinct.

    The first word forms and endings are those of the family's first language.
    """
    words, affixes = _stock(family)
    return [*MARKS, *words, *affixes]


def corpus(family: Family, name: str, language: Variety) -> list[str]:
    """Return the unlabelled text of a language: `family.lines` lines with one review each.

    Every line ends with a punctuation mark and no labelled sentence does, so no line equals such a sentence.

    Raises:
        ConfigError: the stock of forms is too small for such a distant language.
    """
    forms = _forms(family, name, language)
    rng = _stream(family, "corpus", name)
    reviews = (_review(family, _pick(LABELS, rng), family.text_clauses, rng) for _ in range(family.lines))
    return [_render_line(review, forms, language, family, rng) for review in reviews]


def dataset(
    family: Family, name: str, language: Variety, split: Literal["train", "valid", "test"]
) -> list[dict[str, str]]:
    """Return the labelled rows `id`, `text`, `label` of a language: translations of the same meanings.

    No two rows of the three splits have the same meaning.

    Raises:
        ValueError: the split is unknown.
        ConfigError: the stock of forms is too small for such a distant language.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    forms = _forms(family, name, language)
    return [
        {"id": f"{split}-{number:05}", "text": _render_sentence(review, forms, language), "label": review.label}
        for number, review in enumerate(_reviews(family)[split])
    ]


# Meanings


@lru_cache(maxsize=4)
def _reviews(family: Family) -> dict[str, list[Review]]:
    """Return the meanings of the labelled rows by split, with labels in equal shares and shuffled."""
    rng = _stream(family, "dataset")
    seen: set[Review] = set()
    return {split: _distinct(family, getattr(family, split), seen, rng) for split in SPLITS}


def _distinct(family: Family, count: int, seen: set[Review], rng: random.Random) -> list[Review]:
    """Return `count` reviews that are not in `seen`, and add them to it; repeats are allowed after 100 attempts."""
    reviews = []
    labels = _shuffled([LABELS[i % len(LABELS)] for i in range(count)], rng)
    for label in labels:
        review = _review(family, label, family.clauses, rng)
        for _ in range(100):
            if review not in seen:
                break
            review = _review(family, label, family.clauses, rng)
        seen.add(review)
        reviews.append(review)
    return reviews


def _review(family: Family, label: str, clauses: tuple[int, int], rng: random.Random) -> Review:
    least, greatest = clauses
    count = least + int(rng.random() * (greatest - least + 1))
    sure = int(rng.random() * count)
    polarities = [label if i == sure or rng.random() < family.coherence else "neutral" for i in range(count)]
    return Review(label, tuple(_clause(family, polarity, rng) for polarity in polarities))


def _clause(family: Family, polarity: str, rng: random.Random) -> Clause:
    nouns = _concepts(family)["noun"]
    subject = _pick(nouns, rng)
    event = rng.random() < 0.4
    return Clause(
        subject=subject,
        predicate=_pick(_concepts(family)[f"{polarity} {'verb' if event else 'adjective'}"], rng),
        adverb=_pick(_concepts(family)["adverb"], rng) if rng.random() < 0.3 else None,
        object=_pick([noun for noun in nouns if noun != subject], rng) if event else None,
        past=rng.random() < 0.5,
    )


@lru_cache(maxsize=4)
def _concepts(family: Family) -> dict[str, list[str]]:
    """Return concepts by group; a group is a part of speech with a polarity, if its words have one."""
    sizes = {"noun": family.nouns, "adverb": family.adverbs}
    for label in LABELS:
        sizes[f"{label} adjective"] = family.adjectives
        sizes[f"{label} verb"] = family.verbs
    return {group: [f"{group} {i}" for i in range(size)] for group, size in sizes.items()}


# Forms


@lru_cache(maxsize=4)
def _stock(family: Family) -> tuple[list[str], list[str]]:
    """Return the family's word forms and its endings."""
    rng = _stream(family, "inventory")
    taken: set[str] = set()
    words = [_new_form(rng, taken, (2, 3), "") for _ in range(family.words)]
    return words, [_new_form(rng, taken, (1, 2), "-") for _ in range(family.affixes)]


def _new_form(rng: random.Random, taken: set[str], syllables: tuple[int, int], prefix: str) -> str:
    """Return a pronounceable form that is not in `taken`; forms grow after many failed attempts."""
    least, greatest = syllables
    for attempt in range(1_000_000):
        count = least + int(rng.random() * (greatest - least + 1)) + attempt // 100
        form = prefix + "".join(_pick(ONSETS, rng) + _pick(VOWELS, rng) for _ in range(count)) + _pick(CODAS, rng)
        if form not in taken:
            taken.add(form)
            return form
    raise AssertionError("forms grow until they are new")


@lru_cache(maxsize=64)
def _forms(family: Family, name: str, language: Variety) -> dict[str, str]:
    """Return the form of every concept and ending in a language."""
    words, affixes = _stock(family)
    rng = _stream(family, "forms", name)
    forms: dict[str, str] = {}
    spare = _shuffled(words[sum(map(len, _concepts(family).values())) :], rng)
    proto = iter(words)
    for concepts in _concepts(family).values():
        _fill(forms, concepts, proto, spare, language.cognates, rng)
    spare = _shuffled(affixes[len(ENDINGS) :], rng)
    _fill(forms, [f"-{ending}" for ending in ENDINGS], iter(affixes), spare, 1 - language.affixes, rng)
    return forms


def _fill(
    forms: dict[str, str],
    concepts: Sequence[str],
    proto: Iterator[str],
    spare: list[str],
    share: float,
    rng: random.Random,
) -> None:
    """Assign to a `share` of the concepts their first forms, and to the rest forms from `spare`."""
    first = {concept: next(proto) for concept in concepts}
    cognates = set(_shuffled(concepts, rng)[: round(share * len(concepts))])
    for concept in concepts:
        if concept not in cognates and not spare:
            raise ConfigError("the stock of forms is too small for this language: increase `words` or `affixes`")
        forms[concept] = first[concept] if concept in cognates else spare.pop()


# Text


def _render_sentence(review: Review, forms: dict[str, str], language: Variety) -> str:
    """Return a labelled sentence: words and endings, with commas between clauses."""
    return f" {COMMA} ".join(" ".join(_render_clause(clause, forms, language)) for clause in review.clauses)


def _render_line(review: Review, forms: dict[str, str], language: Variety, family: Family, rng: random.Random) -> str:
    """Return a line of unlabelled text: the sentence with a rating, emoticons and a final mark."""
    tokens = [_mark(RATINGS, review.label, family, rng)] if rng.random() < family.ratings else []
    for i, clause in enumerate(review.clauses):
        tokens += [COMMA] if i else []
        tokens += _render_clause(clause, forms, language)
        if rng.random() < family.emoticons:
            tokens.append(_mark(EMOTICONS, review.label, family, rng))
    return " ".join([*tokens, _mark(ENDS, review.label, family, rng)])


def _mark(marks: Mapping[str, tuple[str, ...]], label: str, family: Family, rng: random.Random) -> str:
    agrees = rng.random() < family.agreement
    return _pick(marks[label if agrees else _pick(LABELS, rng)], rng)


def _render_clause(clause: Clause, forms: dict[str, str], language: Variety) -> list[str]:
    """Return the tokens of a clause."""
    subject = [forms[clause.subject], forms["-subject"]]
    tense = forms["-past" if clause.past else "-present"]
    adverb = [forms[clause.adverb]] if clause.adverb else []
    if clause.object is None:
        predicate = [*adverb, forms[clause.predicate]]
        return [*predicate, tense, *subject] if language.word_order == "VSO" else [*subject, *predicate, tense]
    parts = {
        "S": subject,
        "V": [*adverb, forms[clause.predicate], tense],
        "O": [forms[clause.object], forms["-object"]],
    }
    return [token for part in language.word_order for token in parts[part]]


# Chance


def _stream(family: Family, *purpose: str) -> random.Random:
    """Return a separate random stream for each purpose.

    Only `random()` is drawn from it: Python guarantees its values for all versions; those of `choice` or `shuffle` may
    change.
    """
    text = "\0".join((str(family.seed), *purpose))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def _pick(values: Sequence[T], rng: random.Random) -> T:
    return values[int(rng.random() * len(values))]


def _shuffled(values: Sequence[T], rng: random.Random) -> list[T]:
    return [value for _, value in sorted(((rng.random(), value) for value in values), key=lambda pair: pair[0])]
