"""Tokenised text: cut into blocks or line by line, and kept as a memory-mapped file beside its corpus.

Several trainings read one corpus (seeds, full and sparse phases, selections), and none but the first tokenises it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deftx.core.errors import CorpusError, SourceError
from deftx.core.files import publish, write_text
from deftx.core.integrity import damaged, sha256_of
from deftx.core.readers import read_text

BATCH = 1000  # lines tokenised together
STORED = np.dtype("<i4")  # a file holds nothing but token ids, example after example


def tokenised(tokenizer: Any, texts: Iterable[str], length: int, packed: bool) -> Iterator[Sequence[int]]:
    """Examples of `length` pieces each.

    Packed, the text is concatenated and cut, and what does not fill a block is left over; otherwise every line is an
    example, cut and padded.
    """
    remaining = iter(texts)
    if not packed:
        while some := list(islice(remaining, BATCH)):
            yield from tokenizer(some, truncation=True, max_length=length, padding="max_length")["input_ids"]
        return
    rest: list[int] = []
    while some := list(islice(remaining, BATCH)):
        encoded = tokenizer(some, add_special_tokens=True, return_attention_mask=False)["input_ids"]
        rest += chain.from_iterable(encoded)
        whole = len(rest) // length * length
        yield from (rest[at : at + length] for at in range(0, whole, length))
        rest = rest[whole:]


def examples(tokenizer: Any, texts: Iterable[str], length: int, packed: bool) -> Tensor:
    """Tokenised text in memory (number x length, int32)."""
    cut = list(tokenised(tokenizer, texts, length, packed))
    return torch.from_numpy(np.array(cut, dtype=np.int32).reshape(-1, length))


class Mapped:
    """Examples of a file (number x length, int32): what is asked for is read, the rest stays on disk."""

    def __init__(self, file: Path, length: int) -> None:
        self.shape = (file.stat().st_size // (STORED.itemsize * length), length)
        is_empty = not self.shape[0]  # which cannot be mapped
        self._tokens = np.empty(self.shape, STORED) if is_empty else np.memmap(file, STORED, "r", shape=self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: Sequence[int]) -> Tensor:
        return torch.from_numpy(self._tokens[list(numbers)].astype(np.int32))


def lines_of(corpus: Path) -> list[str]:
    """Lines of a corpus file, gzipped or not; gzip notices every change of its content, where it is still gzip.

    Raises:
        CorpusError: it is damaged.
    """
    if corpus.suffix != ".gz":
        return read_text(corpus).splitlines()
    with corpus.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            raise CorpusError(damaged(corpus, "it is no gzip file"))
    try:
        return read_text(corpus).splitlines()
    except SourceError:
        raise CorpusError(damaged(corpus, "it does not match its checksum, or is cut short")) from None


def cached(tokenizer: Any, corpus: Path, length: int, packed: bool) -> Tensor | Mapped:
    """Tokenised text of a corpus file; tokenised only if it never was. Where nothing can be written, it is not kept.

    The file's name holds hashes of the corpus, of the tokenizer and of the cut, so none is ever taken for another; it
    is written under a temporary name, so trainings that begin together do not meet. Its own SHA-256 lies beside it:
    one that does not match is made again. Those of an earlier text go.
    """
    text = sha256_of(corpus)[:16]
    cut = hashlib.sha256(f"{_identity(tokenizer)} {length} {packed}".encode()).hexdigest()[:16]
    place = corpus.with_name(f".{corpus.name}.{text}.{cut}.tokens")
    if not _is_whole(place):
        lines = lines_of(corpus)
        if not os.access(corpus.parent, os.W_OK):
            return examples(tokenizer, lines, length, packed)
        for old in corpus.parent.glob(f".{corpus.name}.*"):
            is_earlier = ".tokens" in old.suffixes and text not in old.name
            if is_earlier or ".arrow" in old.suffixes:  # the format of earlier versions
                old.unlink(missing_ok=True)
        _write(tokenised(tokenizer, lines, length, packed), length, place)
    return Mapped(place, length)


def _is_whole(place: Path) -> bool:
    """Whether tokenised text is there, and as it was written."""
    witness = _witness(place)
    return place.is_file() and witness.is_file() and witness.read_bytes() == sha256_of(place).encode()


def _witness(place: Path) -> Path:
    return place.with_name(f"{place.name}.sha256")


def _identity(tokenizer: Any) -> str:
    """What a tokenizer does, without the truncation and padding that its last call left in it."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps(content | {"truncation": None, "padding": None}, sort_keys=True)


def _write(examples: Iterable[Sequence[int]], length: int, place: Path) -> None:
    remaining = iter(examples)
    with publish(place) as temporary:
        with temporary.open("wb") as stream:
            while batch := list(islice(remaining, BATCH)):
                stream.write(np.array(batch, STORED).reshape(-1, length).data)
        write_text(_witness(place), sha256_of(temporary))


def token_ids_in(examples: "Tensor | Mapped") -> Tensor:
    """All pieces that occur, ascending (int64)."""
    parts = (range(at, min(at + BATCH, len(examples))) for at in range(0, len(examples), BATCH))
    found = [examples[list(part)].unique() for part in parts]
    return torch.cat([torch.empty(0, dtype=torch.int32), *found]).unique().long()
