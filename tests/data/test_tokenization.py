"""Tokenised text: cut as stated, kept once, and never taken for another's."""

from pathlib import Path
from typing import Any

import pytest
import torch

from deftx.data import tokenization
from deftx.data.tokenization import cached, examples, token_ids_in
from deftx.finetuning.pretraining import word_tokenizer
from tests.helpers import pico

TOKENIZER = word_tokenizer(pico.WORDS)


def test_blocks_are_the_text_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = [i for s in pico.sentences(40) for i in TOKENIZER(s)["input_ids"]]
    for batch in (1000, 7):
        monkeypatch.setattr(tokenization, "BATCH", batch)
        cut = examples(TOKENIZER, pico.sentences(40), 16, packed=True)
        assert cut.flatten().tolist() == encoded[: len(encoded) // 16 * 16]
    assert examples(TOKENIZER, pico.sentences(40), 8, packed=False).shape == (40, 8)
    assert examples(TOKENIZER, [], 8, packed=True).shape == (0, 8)


@pytest.mark.parametrize("packed", [True, False])
def test_the_cache_holds_the_same(tmp_path: Path, packed: bool) -> None:
    corpus = pico.text(tmp_path / "text.txt", 2500)
    expected = examples(TOKENIZER, pico.sentences(2500), 16, packed)
    found = cached(TOKENIZER, corpus, 16, packed)
    assert len(found) == len(expected)
    assert torch.equal(found[range(len(found))], expected)
    assert torch.equal(found[[5, 2, 5]], expected[[5, 2, 5]])
    assert token_ids_in(found).tolist() == token_ids_in(expected).tolist() == sorted(set(expected.flatten().tolist()))


def test_text_is_tokenised_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, times = pico.text(tmp_path / "text.txt"), []
    original = tokenization.tokenise
    monkeypatch.setattr(tokenization, "tokenise", lambda *a: times.append(a[2:]) or original(*a))

    def lengths(*cut: Any) -> int:
        cached(TOKENIZER, corpus, *cut)
        return len(times)

    assert [lengths(16, True), lengths(16, True), lengths(8, True), lengths(8, False), lengths(16, True)] == [
        1,
        1,
        2,
        3,
        3,
    ]
    assert len(list(tmp_path.glob(".text.txt.*.tokens"))) == 3
    pico.text(corpus, 50, seed=3)
    for name in (".text.txt.0.1.arrow", ".text.txt.0.1.arrow.sha256"):
        (tmp_path / name).touch()  # as earlier versions kept it
    assert len(cached(TOKENIZER, corpus, 8, False)) == 50
    assert len(list(tmp_path.glob(".text.txt.*.tokens"))) == 1, "what belongs to the earlier text is gone"
    assert not list(tmp_path.glob(".text.txt.*.arrow*"))


def test_text_without_a_whole_block_is_kept_as_well(tmp_path: Path) -> None:
    corpus = pico.text(tmp_path / "text.txt", 1)
    assert [cached(TOKENIZER, corpus, 64, True).shape for _ in range(2)] == [(0, 64), (0, 64)]
    assert token_ids_in(cached(TOKENIZER, corpus, 64, True)).tolist() == []


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = pico.text(tmp_path / "text.txt")
    monkeypatch.setattr(tokenization.os, "access", lambda path, mode: False)
    found = cached(TOKENIZER, corpus, 16, True)
    assert torch.equal(found[:], examples(TOKENIZER, pico.sentences(40), 16, True))
    assert [p.name for p in tmp_path.iterdir()] == ["text.txt"]
