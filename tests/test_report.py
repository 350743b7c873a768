"""The report's page: what it says, that it is whole in itself, and how it behaves in a browser."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
from browser import Browser
from command import refused, run
from hypothesis import given
from hypothesis import strategies as st

import results
from deftx import answers, page_tables, report, stages
from deftx.files import write_json, write_text
from deftx.provenance import PACKAGE
from deftx.subjects import SUBJECTS

CAPTIONS = sorted((Path(__file__).parent.parent / "captions").glob("*.rst"))
LANGUAGES = ("src", "one", "two")
CONFIG: dict[str, Any] = {
    "name": "made-up",
    "base": {"model": "somebody/tiny"},
    "languages": {code: {"name": f"Language {code}"} for code in LANGUAGES},
    "tasks": {"mood": {"source": "src", "targets": ["one", "two"]}},
    "methods": {name: {"title": title} for name, title in results.METHODS.items()},
    "seeds": {"task": [0, 1]},
}
MEASURED = {"s": 2.5, "cpu_time": 2.0, "max_rss": 100.0}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# Answers


def scored(*means: float) -> list[dict[str, str]]:
    lines = [f"mood,m{n},M{n},mean,{score},{score - 1},{score + 1}" for n, score in enumerate(means)]
    return rows("\n".join(["task,method,title,language,score,low,high", *lines]))


@given(st.lists(st.integers(1, 99), min_size=1, max_size=8))
def test_the_highest_method_is_named_first(means: list[int]) -> None:
    said = answers.scores(scored(*means))
    assert said.startswith(f"M{means.index(max(means))} is highest on the mean of targets: {max(means)}.0 [")
    others = sorted(means, reverse=True)[1:]
    assert (f": {others[0]}.0 [" in said.partition("before")[2]) if others else "before" not in said


def test_tasks_are_named_where_there_are_several() -> None:
    twice = [*scored(10, 20), *(row | {"task": "topic"} for row in scored(5))]
    assert answers.scores(twice).splitlines() == [
        "mood: M1 is highest on the mean of targets: 20.0 [19.0\N{EN DASH}21.0], before M0: 10.0 [9.0\N{EN DASH}11.0].",
        "topic: M0 is highest on the mean of targets: 5.0 [4.0\N{EN DASH}6.0].",
    ]


def test_gains_and_where() -> None:
    lines = ["a,A,one,One,2.0", "a,A,two,Two,-1.0", "a,A,mean,mean of targets,0.5", "b,B,mean,mean of targets,0.4"]
    table = rows("\n".join(["method,title,language,name,gain", *lines]))
    said = answers.gains([row | {"task": "mood", "low": "-3", "high": "4", "over": "C"} for row in table])
    assert said == (
        "A gains most over C: +0.5 points [\N{MINUS SIGN}3.0, 4.0] on the mean of targets, "
        "from \N{MINUS SIGN}1.0 in Two to +2.0 in One."
    )


def test_trainings_that_ended_better() -> None:
    """A loss falls, a score rises; neither moving is no better."""
    lines = ["10,masked_lm_loss,3.0,2.0", "10,macro_f1,0.3,0.2", "10,macro_f1,0.3,0.9", "10,macro_f1,1,1", "5,,,"]
    said = answers.training(rows("\n".join(["tokens,measure,before,after", *lines])))
    assert said == "2 of 4 trainings end better than they began; together they read 45 tokens."


def test_ranks_and_places_of_masks() -> None:
    matrix = {"chosen": 1, "rank": 2, "singular_values": [1.0] * 8}
    flat = {"chosen": 3, "rank": None, "singular_values": []}
    masks = {"lt-sft/one": {"embeddings.word.weight": flat, "layer.0.weight": flat | {"chosen": 1}}}
    masks |= {"deft-x/one": {"layer.0.weight": matrix}, "deft-x/task:mood": {"layer.0.weight": matrix | {"rank": 8}}}
    assert "25 % for languages and 100 % for tasks" in answers.spectra(masks)
    assert answers.density(masks).splitlines() == [
        "lt-sft: embeddings are 75 % of a language's mask.",
        "deft-x: embeddings are 0 % of a language's mask and 0 % of a task's mask.",
    ]
    assert answers.spectra({"lt-sft/one": {"w": flat}}) == "No selection chooses a rank."


def test_knobs() -> None:
    settings = {"x": {"title": "share", "at": [0.1, 0.5], "series": {"s": ["m0", "m1"]}}}
    assert answers.sweeps(scored(40, 60), settings) == "share: 40.0 to 60.0, highest at 0.5."


def test_empty_tables_say_nothing() -> None:
    for say in (answers.scores, answers.comparisons, answers.seeds, answers.gains, answers.published, answers.costs):
        assert say([]) == ""
    assert answers.overlap({"lt-sft": []}) == ""


# Stages


def test_stages_are_summed_each_file_once(tmp_path: Path) -> None:
    """The last line of a file counts; NA does not; the report's own times are left out."""
    for name, lines in {
        "full/language/one/seed0": [MEASURED | {"s": 99.0}, MEASURED],
        "full/language/two/seed0": [MEASURED | {"s": 4.5, "max_rss": 300.0}],
        "full/task/mood/base/seed0": [MEASURED | {"max_rss": "NA", "cpu_time": "NA"}],
        "corpus/one": [MEASURED],
        "report": [MEASURED],
    }.items():
        write_text(tmp_path / f"{name}.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
    found = stages.summarise(stages.read([tmp_path, tmp_path / "." / "full" / ".."]))
    assert [stage.title for stage in found] == ["corpus", "full fine-tuning, language", "full fine-tuning, task"]
    assert found[1] == ("full fine-tuning, language", 2, 7.0, 3.5, 4.5, 4.0, 300.0)
    assert str(found[2].peak_mb) == "nan" and found[2].cpu_seconds == 0
    assert stages.answer(found) == "Most time: full fine-tuning, language, 58 % of all; largest job: " + (
        "full fine-tuning, language, 300 MB."
    )


def test_every_benchmark_belongs_to_a_stage() -> None:
    rules = (Path(__file__).parent.parent / "rules").glob("*.smk")
    named = {name for rule in rules for name in re.findall(r"/benchmarks/(\w+)[/.]", rule.read_text())}
    assert named == set(stages.TITLES) | {"report"}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (7619.6, "2 h 07 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert page_tables._duration(seconds) == text


# The page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of made-up results."""
    from deftx import figures, tables
    from deftx.table_plan import Plan

    folder = tmp_path_factory.mktemp("made-up")
    results.predictions(folder, LANGUAGES, [0, 1])
    results.record(folder, "deltas/language/one/seed0")
    content = results.plan(LANGUAGES, [0, 1], vectors=["deltas/language/one/seed0"])
    tables.build(folder, Plan.model_validate(content), folder / "tables")
    figures.build(folder / "tables", {}, {}, folder / "figures")
    for stage, seconds in (("base", 5.0), ("evaluate/a", 3.0)):
        write_text(folder / f"benchmarks/{stage}.jsonl", json.dumps(MEASURED | {"s": seconds}) + "\n")
    write_json(folder / "config.json", CONFIG)
    run("report", *arguments(folder), "--out", folder / "report.html")
    return folder / "report.html"


def arguments(folder: Path) -> list[Any]:
    figures = [part for figure in sorted((folder / "figures").glob("*.svg")) for part in ("--figures", figure)]
    captions = [part for caption in CAPTIONS for part in ("--captions", caption)]
    config = ["--config", folder / "config.json", "--benchmarks", folder / "benchmarks"]
    return [folder / "tables", *config, *figures, *captions]


def test_the_page_holds_everything_and_loads_nothing(page: Path) -> None:
    text = page.read_text()
    for title in ("Scores", "Differences", "Seeds", "Gains", "Trainings", "Run times and memory", "Configuration"):
        assert f'-title">{title}</h2>' in text
    assert "Beside published scores" not in text and "Knobs" not in text
    assert text.count("<svg ") == 2
    assert "DeFT-X &amp; co" in text and "DeFT-X & co" not in text
    assert "macro_f1|n:40|seed:0,1|base:aaaaaaaa" in text and "snakemake 9." in text
    assert not re.search(r"(src|href)=\"(?!#|data:)", text) and "@import" not in text and "url(http" not in text
    identifiers = re.findall(r' id="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text)) <= set(identifiers)


def test_the_same_results_give_the_same_page(page: Path, tmp_path: Path) -> None:
    run("report", *arguments(page.parent), "--out", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_a_page_without_scores(page: Path, tmp_path: Path) -> None:
    message = refused("report", tmp_path, *arguments(page.parent)[1:], "--out", tmp_path / "report.html")
    assert message.startswith(f"{tmp_path / 'scores.csv'} holds no scores; make it by `deftx tables`")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("text", ["**Question.** Why?\n\n**Answer.** So.\n", "One.\n\nTwo.\n\nThree.\n"])
def test_a_caption_in_another_form(page: Path, tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "scores.rst", text)
    words = [tmp_path / "scores.rst" if word.name == "scores.rst" else word for word in map(Path, CAPTIONS)]
    tables, *rest = arguments(page.parent)
    options = [word for word in rest if word not in CAPTIONS and word != "--captions"]
    captions = [part for word in words for part in ("--captions", word)]
    message = refused("report", tables, *options, *captions, "--out", tmp_path / "report.html")
    assert "the caption of scores needs three paragraphs, which begin with **Question.**" in message


def test_every_subject_has_a_caption() -> None:
    texts = {path.stem: path.read_text() for path in CAPTIONS}
    assert texts.keys() == SUBJECTS.keys() | {"page", "workflow"}
    for name in SUBJECTS:
        question, answer, measured = report.paragraphs(texts[name], name, "It is said.")
        assert question.endswith("?") and answer == "It is said." and measured.endswith(".")


def test_the_page_is_packaged() -> None:
    assert {path.name for path in (PACKAGE / "page").iterdir()} == {"page.html", "page.css", "page.js"}
    assert '"page/*"' in (PACKAGE.parent / "pyproject.toml").read_text()


# In a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = browser.find()
    if not command:
        pytest.skip("needs a Chromium: apt-get install chromium")
    opened = Browser(command, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def column(page: Browser, heading: int) -> list[str]:
    """The texts of a column of the first table."""
    script = f"[...document.querySelector('table').tBodies[0].rows].map((r) => r.cells[{heading}].firstChild.data)"
    found: list[str] = page.evaluate(script)
    return [text.strip() for text in found]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_seen_at_each_width(chromium: Browser, page: Path, width: int, scheme: str) -> None:
    """Nothing is asked for, nothing complained of, nothing but tables and figures scrolls sideways."""
    chromium.open(page, width, scheme)
    assert [url for url in chromium.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert chromium.complaints == []
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    boxes = chromium.evaluate(
        "[...document.querySelectorAll('figure svg')].map((s) => s.getBoundingClientRect())"
        ".map((b) => [b.left, b.width, b.height])"
    )
    assert len(boxes) == 2
    for left, wide, high in boxes:
        assert 0 <= left < width and wide >= 240 and high >= 100
    ground = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) > 128) is (scheme == "light")


def test_tables_sort(chromium: Browser, page: Path) -> None:
    chromium.open(page, 1280)
    methods, means = column(chromium, 0), column(chromium, 4)
    assert methods == list(results.METHODS.values())

    def click(heading: int) -> str:
        return chromium.evaluate(
            f"(() => {{ const h = document.querySelectorAll('table thead th')[{heading}];"
            " h.querySelector('button').click(); return h.getAttribute('aria-sort'); })()"
        )

    number = [float(re.match(r"[\d.]+", mean)[0]) for mean in means]  # type: ignore[index]
    assert click(4) == "descending"
    assert column(chromium, 4) == [m for _, m in sorted(zip(number, means, strict=True), reverse=True)]
    assert click(4) == "ascending"
    assert column(chromium, 4) == [m for _, m in sorted(zip(number, means, strict=True))]
    assert click(0) == "ascending"
    assert column(chromium, 0) == sorted(methods, key=str.lower)
    assert chromium.evaluate("document.querySelectorAll('[aria-sort]').length") == 1
    assert chromium.complaints == []


def test_print_unfolds(chromium: Browser, page: Path, tmp_path: Path) -> None:
    chromium.open(page, 1280)
    assert not chromium.evaluate("[...document.querySelectorAll('details')].some((d) => d.open)")
    chromium.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert chromium.evaluate("[...document.querySelectorAll('details')].every((d) => d.open)")
