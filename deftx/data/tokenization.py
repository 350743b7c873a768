"""Tokenised text: in blocks or line by line, cached as a memory-mapped file in the folder of its corpus.

Several trainings read one corpus (seeds, full and sparse phases, selections); only the first tokenises it.
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
STORED = np.dtype("<i4")  # a file contains only token ids, example after example


def tokenise(tokenizer: Any, texts: Iterable[str], length: int, packed: bool) -> Iterator[Sequence[int]]:
    """Yield examples of `length` tokens each.

    If packed, the text is concatenated and cut, and an incomplete last block is dropped; otherwise every line is an
    example, truncated and padded.
    """
    remaining = iter(texts)
    if not packed:
        while lines := list(islice(remaining, BATCH)):
            yield from tokenizer(lines, truncation=True, max_length=length, padding="max_length")["input_ids"]
        return
    rest: list[int] = []
    while lines := list(islice(remaining, BATCH)):
        encoded = tokenizer(lines, add_special_tokens=True, return_attention_mask=False)["input_ids"]
        rest += chain.from_iterable(encoded)
        whole = len(rest) // length * length
        yield from (rest[start : start + length] for start in range(0, whole, length))
        rest = rest[whole:]


def examples(tokenizer: Any, texts: Iterable[str], length: int, packed: bool) -> Tensor:
    """Return tokenised text in memory (number x length, int32)."""
    cut = list(tokenise(tokenizer, texts, length, packed))
    return torch.from_numpy(np.array(cut, dtype=np.int32).reshape(-1, length))


class Mapped:
    """Examples of a file (number x length, int32); only requested ones are read from disk."""

    def __init__(self, file: Path, length: int) -> None:
        self.shape = (file.stat().st_size // (STORED.itemsize * length), length)
        is_empty = not self.shape[0]  # an empty file cannot be mapped
        self._tokens = np.empty(self.shape, STORED) if is_empty else np.memmap(file, STORED, "r", shape=self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: Sequence[int]) -> Tensor:
        return torch.from_numpy(self._tokens[list(numbers)].astype(np.int32))


def lines_of(corpus: Path) -> list[str]:
    """Load the lines of a corpus file, gzipped or not; gzip detects changes of its content.

    Raises:
        CorpusError: the file is corrupted.
    """
    if corpus.suffix != ".gz":
        return read_text(corpus).splitlines()
    with corpus.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            raise CorpusError(damaged(corpus, "not a gzip file"))
    try:
        return read_text(corpus).splitlines()
    except SourceError:
        raise CorpusError(damaged(corpus, "checksum mismatch, or the file is cut short")) from None


def cached(tokenizer: Any, corpus: Path, length: int, packed: bool) -> Tensor | Mapped:
    """Return the tokenised text of a corpus file, from its cache if there is one.

    The name of the cache contains hashes of the corpus, the tokenizer and the cut, so that files are never confused.
    It is written under a temporary name, so that concurrent trainings do not conflict. Its SHA-256 is in a sidecar: a
    cache that does not match it is rebuilt. Caches of an earlier text are removed. Without write permission nothing
    is cached.
    """
    text = sha256_of(corpus)[:16]
    cut = hashlib.sha256(f"{_identity(tokenizer)} {length} {packed}".encode()).hexdigest()[:16]
    cache = corpus.with_name(f".{corpus.name}.{text}.{cut}.tokens")
    if not _is_intact(cache):
        lines = lines_of(corpus)
        if not os.access(corpus.parent, os.W_OK):
            return examples(tokenizer, lines, length, packed)
        for old in corpus.parent.glob(f".{corpus.name}.*"):
            is_earlier = ".tokens" in old.suffixes and text not in old.name
            if is_earlier or ".arrow" in old.suffixes:  # the format of earlier versions
                old.unlink(missing_ok=True)
        _write(tokenise(tokenizer, lines, length, packed), length, cache)
    return Mapped(cache, length)


def _is_intact(cache: Path) -> bool:
    """Return whether a cache exists and matches its sidecar."""
    sidecar = _sidecar_of(cache)
    return cache.is_file() and sidecar.is_file() and sidecar.read_bytes() == sha256_of(cache).encode()


def _sidecar_of(cache: Path) -> Path:
    return cache.with_name(f"{cache.name}.sha256")


def _identity(tokenizer: Any) -> str:
    """Return the definition of a tokenizer, without the truncation and padding of its last call."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps(content | {"truncation": None, "padding": None}, sort_keys=True)


def _write(examples: Iterable[Sequence[int]], length: int, cache: Path) -> None:
    remaining = iter(examples)
    with publish(cache) as temporary:
        with temporary.open("wb") as stream:
            while batch := list(islice(remaining, BATCH)):
                stream.write(np.array(batch, STORED).reshape(-1, length).data)
        write_text(_sidecar_of(cache), sha256_of(temporary))


def token_ids_in(examples: "Tensor | Mapped") -> Tensor:
    """Return all token ids that occur, ascending (int64)."""
    parts = (range(start, min(start + BATCH, len(examples))) for start in range(0, len(examples), BATCH))
    token_ids = [examples[list(part)].unique() for part in parts]
    return torch.cat([torch.empty(0, dtype=torch.int32), *token_ids]).unique().long()
