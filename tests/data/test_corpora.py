"""Corpora: which lines stay, and that text added later moves none of them."""

import gzip
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.config.data import Corpus, CorpusFile
from deftx.core.errors import CorpusError, SourceError
from deftx.data.corpora import Statistics, build, clean, is_valid, key, read_lines

LINES = st.lists(st.text("aAbé̀ .,!ß1\t ", max_size=12))
NOTHING: set[str] = set()


def settings(**changes: object) -> Corpus:
    return Corpus.model_validate({"files": [{"path": "text"}], "min_lines": 2, "valid": 0.2} | changes)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (["two words"], ["two words"]),
        (["  spaces\t and\ttabs  "], ["spaces and tabs"]),
        (["one", "", "   "], []),
        (["... !!!", "1/5 :)"], ["1/5 :)"]),
        (["Same thing.", "same, thing!", "SAMETHING x"], ["Same thing.", "SAMETHING x"]),
        ([unicodedata.normalize("NFD", "é à"), "é à"], ["é à"]),
        (["a test sentence", "A test, sentence"], []),
    ],
)
def test_cleaning_rules(raw: list[str], kept: list[str]) -> None:
    forbidden = {key("A Test sentence!")}
    assert list(clean(raw, forbidden, 2, Statistics())) == kept


@given(LINES, st.lists(st.text("ab ", max_size=4)), st.integers(1, 3))
def test_what_stays_is_clean_and_what_goes_is_counted(raw: list[str], evaluation: list[str], words: int) -> None:
    forbidden, counts = {key(s) for s in evaluation}, Statistics()
    kept = list(clean(raw, forbidden, words, counts))
    keys = [key(line) for line in kept]
    assert len(set(keys)) == len(keys) and not forbidden & set(keys) and "" not in keys
    assert all(line == " ".join(line.split()) and len(line.split()) >= words for line in kept)
    assert counts.raw == len(raw) == len(kept) + counts.empty_or_short + counts.duplicates + counts.evaluation_sentences
    assert list(clean(kept, forbidden, words, Statistics())) == kept


@given(LINES, LINES)
def test_text_added_moves_no_line_across_the_split(raw: list[str], more: list[str]) -> None:
    def split(lines: list[str]) -> dict[str, bool]:
        return {line: is_valid(line, 0.5) for line in clean(lines, NOTHING, 1, Statistics())}

    before, after = split(raw), split([*raw, *more])
    assert before.items() <= after.items()


def test_the_split_takes_its_share() -> None:
    lines = [f"line {n}" for n in range(20_000)]
    assert sum(is_valid(line, 0.05) for line in lines) / len(lines) == pytest.approx(0.05, abs=0.005)
    larger, smaller = ({line for line in lines if is_valid(line, share)} for share in (0.1, 0.05))
    assert smaller < larger


def test_build_writes_both_sides_and_counts(tmp_path: Path) -> None:
    raw = [f"line number {n}" for n in range(50)] + ["line number 3", "short", "a test sentence"]
    sentences = tmp_path / "test.csv"
    sentences.write_text("id,text,label\n0,A test sentence.,good\n")
    counts = build(raw, settings(), [sentences], tmp_path, "pico")
    train, valid = (gzip.decompress((tmp_path / f"{s}.txt.gz").read_bytes()).decode() for s in ("train", "valid"))
    assert sorted(train.splitlines() + valid.splitlines()) == sorted(raw[:50])
    assert counts == Statistics(53, 1, 1, 1, len(train.splitlines()), len(valid.splitlines()), 150, counts.characters)
    assert json.loads((tmp_path / "stats.json").read_text())["train"] == counts.train


def test_equal_text_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        build([f"line number {n}" for n in range(50)], settings(), [], tmp_path / name, "pico")
    for file in ("train.txt.gz", "valid.txt.gz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("raw", "changes"),
    [
        (["a line"] * 100, {}),
        ([f"line {n}" for n in range(9)], {"min_lines": 10}),
        (["line 1", "line 2"], {"valid": 1e-9}),
        (["line 1", "line 2"], {"valid": 1 - 1e-9}),
    ],
)
def test_too_little_text_is_refused(tmp_path: Path, raw: list[str], changes: dict[str, object]) -> None:
    with pytest.raises(CorpusError, match=r"corpus of pico has .* usable lines.*Add text"):
        build(raw, settings(**changes), [], tmp_path / "out", "pico")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "gap"), [("t.csv", ","), ("t.tsv", "\t"), ("t.csv.gz", ","), ("t.tsv.gz", "\t")])
def test_a_column_of_a_table_is_text(tmp_path: Path, name: str, gap: str) -> None:
    table = f'id{gap}words\n1{gap}"one, {gap}two"\n2{gap}three\n3\n'.encode()
    (tmp_path / name).write_bytes(gzip.compress(table) if name.endswith(".gz") else table)
    assert read_lines(CorpusFile(path=name, column="words"), tmp_path / name) == [f"one, {gap}two", "three", ""]


def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,words\n1,one\n")
    with pytest.raises(CorpusError, match=r"t\.csv has no column 'text'; its columns are id, words"):
        read_lines(CorpusFile(path="t.csv", column="text"), tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"good line\nbad \xe9 line\n", r"not UTF-8 \(line 2, byte 0xe9\).*iconv"),
        (b"\x89PNG\0\0", "binary"),
        (gzip.compress(b"text " * 1000, mtime=0)[:-9], "corrupted gzip"),
    ],
    ids=["empty", "blank", "latin1", "binary", "cut"],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "text").write_bytes(content)
    with pytest.raises((CorpusError, SourceError), match=message):
        read_lines(CorpusFile(path="text"), tmp_path / "text")


@pytest.mark.parametrize("lines", [1, 1_000_000])
def test_an_unclosed_quote_is_refused(tmp_path: Path, lines: int) -> None:
    """It makes one cell of all that follows."""
    (tmp_path / "t.csv").write_text('id,text\n1,"never closed\n' + "2,a line of words\n" * lines)
    with pytest.raises(SourceError, match=r"t\.csv, line .*quotation mark"):
        read_lines(CorpusFile(path="t.csv", column="text"), tmp_path / "t.csv")


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("text\nein Wort\n".encode("utf-8-sig"))
    assert read_lines(CorpusFile(path="t.csv", column="text"), tmp_path / "t.csv") == ["ein Wort"]


def test_each_line_of_a_cell_of_a_parquet_file_is_a_line(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "wiki.parquet"
    parquet.write_table(pyarrow.table({"title": ["a", "b"], "text": ["one two\nthree", None]}), path)
    assert read_lines(CorpusFile(path="wiki.parquet", column="text"), path) == ["one two", "three"]
    with pytest.raises(SourceError, match=r"wiki\.parquet has no column 'words'; its columns are title, text"):
        read_lines(CorpusFile(path="wiki.parquet", column="words"), path)
