"""Corpora: clean lines from raw text, split into training and validation sets.

Lines are normalised to NFC with single spaces. Short lines, duplicates, and lines equal to an evaluation sentence are
dropped (equal: the same letters and digits, lower-cased). A hash of the line decides its split, so that added text
never moves a line from one set to the other.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deftx.config.data import Corpus, CorpusFile
from deftx.core.errors import ConfigError, CorpusError
from deftx.core.files import write_gzip
from deftx.core.integrity import write_json
from deftx.core.readers import delimiter_of, read_column, read_table, read_text
from deftx.data import rows as labelled


@dataclass
class Statistics:
    """Numbers of lines that cleaning kept and dropped."""

    raw: int = 0
    empty_or_short: int = 0
    duplicates: int = 0
    evaluation_sentences: int = 0
    train: int = 0
    valid: int = 0
    words: int = 0
    characters: int = 0


def read_all(files: Sequence[CorpusFile], paths: Sequence[Path]) -> list[str]:
    """Load the lines of all raw files of a language, in order; `paths` holds the path of each file.

    Raises:
        ConfigError: the numbers of paths and files differ.
        SourceError, CorpusError: as `read_lines`.
    """
    if len(paths) != len(files):
        raise ConfigError(f"the settings name {len(files)} files, but --raw names {len(paths)}")
    return [line for file, path in zip(files, paths, strict=True) for line in read_lines(file, path)]


def read_lines(file: CorpusFile, path: Path) -> list[str]:
    """Load the lines of a text file, the cells of a column, or the lines of the cells of a Parquet file's column.

    Raises:
        SourceError: not readable as UTF-8 text or as a table.
        CorpusError: empty, or the column is missing.
    """
    if file.column is None:
        text = read_text(path)
        if not text.strip():
            raise CorpusError(f"{path} is empty")
        return text.splitlines()
    if file.path.endswith(".parquet"):
        return [line for cell in read_column(path, file.column) for line in cell.splitlines()]
    columns, rows = read_table(path, delimiter_of(file.path))
    if file.column not in columns:
        raise CorpusError(f"{path} has no column {file.column!r}; its columns are {', '.join(columns) or 'none'}")
    return [row[file.column] or "" for row in rows]


def clean(lines: Iterable[str], forbidden: set[str], min_words: int, counts: Statistics) -> Iterator[str]:
    """Yield cleaned lines in their order; `counts` counts the dropped ones.

    Args:
        lines: raw text.
        forbidden: keys (see `key`) of the evaluation sentences.
        min_words: lines of fewer words are dropped.
    """
    seen: set[str] = set()
    for raw in lines:
        counts.raw += 1
        line = " ".join(unicodedata.normalize("NFC", raw).split())
        identity = key(line)
        if len(line.split()) < min_words or not identity:
            counts.empty_or_short += 1
        elif identity in seen:
            counts.duplicates += 1
        elif identity in forbidden:
            counts.evaluation_sentences += 1
        else:
            seen.add(identity)
            counts.words += len(line.split())
            counts.characters += len(line)
            yield line


def key(text: str) -> str:
    """Return the letters, marks and digits of a sentence, lower-cased; two sentences with one key count as equal."""
    normal = unicodedata.normalize("NFC", text).casefold()
    return "".join(c for c in normal if c.isalnum() or unicodedata.category(c)[0] == "M")


def is_valid(line: str, share: float) -> bool:
    """Return whether a line belongs to the validation set, by its hash."""
    digest = hashlib.sha256(line.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def build(lines: Iterable[str], settings: Corpus, evaluation: Iterable[Path], out: Path, origin: str) -> Statistics:
    """Clean and split a corpus, and write train.txt.gz, valid.txt.gz and stats.json into `out`.

    Args:
        evaluation: CSV files of datasets whose texts, and second texts of pairs, are dropped.
    Raises:
        CorpusError: fewer clean lines than `settings.min_lines`, or one of the sets is empty.
    """
    counts = Statistics()
    rows = (row for path in evaluation for row in labelled.load(path))
    forbidden = {key(row[column]) for row in rows for column in ("text", "pair") if column in row}
    cleaned = list(clean(lines, forbidden, settings.min_words, counts))
    valid = [line for line in cleaned if is_valid(line, settings.valid)]
    train = [line for line in cleaned if not is_valid(line, settings.valid)]
    counts.train, counts.valid = len(train), len(valid)
    if len(cleaned) < settings.min_lines or not train or not valid:
        raise CorpusError(
            f"the corpus of {origin} has {len(cleaned)} usable lines of {counts.raw} "
            f"({counts.empty_or_short} empty or shorter than {settings.min_words} words, "
            f"{counts.duplicates} duplicates, {counts.evaluation_sentences} evaluation sentences); "
            f"the split needs at least {settings.min_lines}. Add text, or lower min_lines"
        )
    write_gzip(out / "train.txt.gz", "".join(f"{line}\n" for line in train))
    write_gzip(out / "valid.txt.gz", "".join(f"{line}\n" for line in valid))
    write_json(out / "stats.json", asdict(counts))
    return counts
