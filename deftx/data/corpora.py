"""Corpora: raw text becomes clean lines, split into train and valid.

Lines are normalised to NFC with single spaces; short lines, duplicates, and lines equal to an evaluation
sentence are dropped (equal: the same letters and digits, lower-cased). The split is decided by a hash of the
line, so that adding text never moves a line from one side to the other.
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
    """What cleaning kept and dropped, in lines."""

    raw: int = 0
    empty_or_short: int = 0
    duplicates: int = 0
    evaluation_sentences: int = 0
    train: int = 0
    valid: int = 0
    words: int = 0
    characters: int = 0


def read_all(files: Sequence[CorpusFile], paths: Sequence[Path]) -> list[str]:
    """Return the lines of all raw files of a language, one file after the other; each lies at the path given with it.

    Raises:
        ConfigError: there are not as many paths as files.
        And what `read_lines` raises.
    """
    if len(paths) != len(files):
        raise ConfigError(f"the settings name {len(files)} files, but --raw names {len(paths)}")
    return [line for file, path in zip(files, paths, strict=True) for line in read_lines(file, path)]


def read_lines(file: CorpusFile, path: Path) -> list[str]:
    """The lines of a text file, the cells of a column, or the lines of the cells of a Parquet file's column.

    Raises:
        SourceError: not readable as UTF-8 text or as a table.
        CorpusError: empty, or without the named column.
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
    """Clean lines in their order; `counts` takes note of what was dropped.

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
    """What makes two sentences the same: their letters, marks and digits, lower-cased."""
    normal = unicodedata.normalize("NFC", text).casefold()
    return "".join(c for c in normal if c.isalnum() or unicodedata.category(c)[0] == "M")


def is_valid(line: str, share: float) -> bool:
    """Whether a line belongs to the held-out part, by its hash."""
    digest = hashlib.sha256(line.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def build(lines: Iterable[str], settings: Corpus, evaluation: Iterable[Path], out: Path, origin: str) -> Statistics:
    """Clean and split a corpus: writes train.txt.gz, valid.txt.gz and stats.json into `out`.

    Args:
        evaluation: CSV files of datasets whose texts, and second texts of pairs, are dropped.
    Raises:
        CorpusError: fewer clean lines than `settings.min_lines`, or a side of the split is empty.
    """
    counts = Statistics()
    rows = (row for path in evaluation for row in labelled.load(path))
    forbidden = {key(row[column]) for row in rows for column in ("text", "pair") if column in row}
    kept = list(clean(lines, forbidden, settings.min_words, counts))
    valid = [line for line in kept if is_valid(line, settings.valid)]
    train = [line for line in kept if not is_valid(line, settings.valid)]
    counts.train, counts.valid = len(train), len(valid)
    if len(kept) < settings.min_lines or not train or not valid:
        raise CorpusError(
            f"the corpus of {origin} has {len(kept)} usable lines of {counts.raw} "
            f"({counts.empty_or_short} empty or shorter than {settings.min_words} words, "
            f"{counts.duplicates} duplicates, {counts.evaluation_sentences} evaluation sentences); "
            f"the split needs at least {settings.min_lines}. Add text, or lower min_lines"
        )
    write_gzip(out / "train.txt.gz", "".join(f"{line}\n" for line in train))
    write_gzip(out / "valid.txt.gz", "".join(f"{line}\n" for line in valid))
    write_json(out / "stats.json", asdict(counts))
    return counts
