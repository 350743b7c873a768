"""The report's page: what it says, that it is whole in itself, and how it behaves in a browser."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.core.files import write_text
from deftx.core.hashing import PACKAGE
from deftx.core.integrity import write_json
from deftx.modules.registry import MODULE_TYPES
from deftx.report.page import build as build_page
from deftx.report.page import runtimes, score_findings, vector_findings
from deftx.report.page.sections import SECTIONS
from deftx.report.tables.storage import read_rows
from deftx.workflow import artifacts
from tests.helpers import REPOSITORY, browser, results
from tests.helpers.browser import Browser
from tests.helpers.command import refused, run

CAPTIONS = sorted((REPOSITORY / "captions").glob("*.rst"))
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


# Findings


def scored(*means: float) -> list[dict[str, str]]:
    lines = [
        f"mood,m{n},M{n},mean,{score},{score - 1},{score + 1},{'' if n == 0 else 0.5}" for n, score in enumerate(means)
    ]
    return rows("\n".join(["task,method,title,language,score,low,high,p_holm", *lines]))


@given(st.lists(st.integers(1, 99), min_size=1, max_size=8))
def test_the_highest_method_is_named_first(means: list[int]) -> None:
    said, *stars = score_findings.describe_scores(scored(*means)).splitlines()
    assert said.startswith(f"Highest on the mean of targets: M{means.index(max(means))}, {max(means)}.0 [")
    others = sorted(means, reverse=True)[1:]
    assert (f", {others[0]}.0 [" in said.partition("before")[2]) if others else "before" not in said
    assert stars == (["Stars mark scores that differ from those of M0."] if others else [])


def test_tasks_are_named_where_there_are_several() -> None:
    twice = [*scored(10, 20), *(row | {"task": "topic"} for row in scored(5))]
    assert score_findings.describe_scores(twice).splitlines() == [
        "mood: Highest on the mean of targets: M1, 20.0 [19.0\N{EN DASH}21.0], before M0, 10.0 [9.0\N{EN DASH}11.0].",
        "mood: Stars mark scores that differ from those of M0.",
        "topic: Highest on the mean of targets: M0, 5.0 [4.0\N{EN DASH}6.0].",
    ]


def test_of_many_comparisons_the_sure_ones_are_counted() -> None:
    lines = [f"mood,a,A,mean,{difference},{p},A beats it" for difference, p in
             ((1, 0.01), (2, 0.04), (3, 0.05), (-1, 0.001), (-2, 0.9), (0, 1))]  # fmt: skip
    table = rows("\n".join(["task,method,title,language,difference,p_holm,statement", *lines]))
    assert score_findings.describe_comparisons(table[:5]) == "\n".join(["A beats it."] * 5)
    assert score_findings.describe_comparisons(table) == (
        "On the mean of targets A is significantly better than 2 of 6 other methods, and worse than 1 "
        "(p < 0.05 in each test)."
    )


def gained(*gains: float) -> list[dict[str, str]]:
    """Gains of methods in one language and in another, which has half of them."""
    lines = [f"mood,m{n},M{n},one,One,{g}\nmood,m{n},M{n},two,Two,{g / 2}\nmood,m{n},M{n},mean,mean,{0.75 * g}"
             for n, g in enumerate(gains)]  # fmt: skip
    table = rows("\n".join(["task,method,title,language,name,gain", *lines]))
    return [row | {"low": "-3", "high": "4", "over": "C"} for row in table]


def test_gains_and_where() -> None:
    assert score_findings.describe_gains(gained(-4.0, 2.0)).splitlines() == [
        "Over C, in points on the mean of targets: M1 +1.5 [\N{MINUS SIGN}3.0, 4.0], "
        "M0 \N{MINUS SIGN}3.0 [\N{MINUS SIGN}3.0, 4.0].",
        "In single languages: \N{MINUS SIGN}4.0 (M0, One) to +2.0 (M1, One).",
    ]


def test_of_many_gains_the_outermost_are_named() -> None:
    said = score_findings.describe_gains(gained(*range(1, 10)))
    assert "M8 +6.8" in said and "M0 +0.8" in said and "M4" not in said


def test_trainings_that_ended_better() -> None:
    """A loss falls, a score rises; neither moving is no better."""
    lines = ["10,masked_lm_loss,3.0,2.0", "10,macro_f1,0.3,0.2", "10,macro_f1,0.3,0.9", "10,macro_f1,1,1", "5,,,"]
    said = score_findings.describe_training(rows("\n".join(["tokens,measure,before,after", *lines])))
    assert said == "2 of 4 trainings end better than they began; all trainings read 45 tokens."


def test_ranks_and_places_of_masks() -> None:
    matrix = {"entries": 64, "chosen": 1, "rank": 2, "singular_values": [1.0] * 8}
    flat = {"entries": 64, "chosen": 3, "rank": None, "singular_values": []}
    masks = {"lt-sft/one": {"embeddings.word.weight": flat, "layer.0.weight": flat | {"chosen": 1}}}
    masks |= {
        f"deft-x/{name}": {"embeddings.word.weight": flat | {"chosen": 0}, "layer.0.weight": matrix | {"rank": rank}}
        for name, rank in (("one", 2), ("task:mood", 8))
    }
    said = vector_findings.describe_spectra(masks)
    assert "25 % of the full rank for languages and 100 % of the full rank for tasks" in said
    assert vector_findings.describe_density(masks).splitlines() == [
        "lt-sft: embeddings, 50 % of all elements, are 75 % of a language's mask.",
        "deft-x: embeddings, 50 % of all elements, are 0 % of a language's mask and 0 % of a task's mask.",
    ]
    assert vector_findings.describe_spectra({"lt-sft/one": {"w": flat}}) == "No selection chooses a rank."


def test_overlap_of_vectors() -> None:
    pairs = rows("one,other,jaccard,cosine\na,b,0.3,0.5\na,c,0.1,-0.1\n")
    assert vector_findings.describe_overlap({"deft-x": pairs, "lt-sft": pairs[:1], "empty": []}).splitlines() == [
        "lt-sft: Jaccard 0.30 and cosine 0.50 in the mean over pairs; a and b share most (0.30, cosine 0.50).",
        "deft-x: Jaccard 0.20 and cosine 0.20 in the mean over pairs; a and b share most (0.30, cosine 0.50).",
    ]


def test_costs_of_methods_with_gaps() -> None:
    lines = ["a,A,,30.4", "b,B,2000000,7619.6", "c,C,1000000,61"]
    table = rows("\n".join(["method,title,bytes,seconds", *lines]))
    assert score_findings.describe_costs([row | {"task": "mood", "language": "mean"} for row in table]) == (
        "The model of a language stores 1.0 MB (C) to 2.0 MB (B) and takes 30.4 s (A) to 2 h 07 min (B)."
    )


def test_hyper_parameters() -> None:
    settings = {
        "x": {"title": "share", "at": [0.1, 0.5], "series": {"s": ["m0", "m1"]}},
        "y": {"title": "rule", "at": ["one\nline", "two"], "series": {"s": ["m1", "m0"]}},
    }
    assert score_findings.describe_sweeps(scored(40, 60), settings).splitlines() == [
        "share: 40.0 to 60.0, highest at 0.5.",
        "rule: 40.0 to 60.0, highest at one line.",
    ]


@pytest.mark.parametrize("section", ["scores", "comparisons", "seeds", "gains", "published", "costs"])
def test_empty_tables_have_no_finding(section: str) -> None:
    assert getattr(score_findings, f"describe_{section}")([]) == ""


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
    found = runtimes.summarise(runtimes.read([tmp_path, tmp_path / "." / "full" / ".."]))
    assert [stage.title for stage in found] == ["corpus", "full fine-tuning (language)", "full fine-tuning (task)"]
    assert found[1] == ("full fine-tuning (language)", 2, 7.0, 3.5, 4.5, 4.0, 300.0)
    assert str(found[2].peak_mb) == "nan" and found[2].cpu_seconds == 0
    assert runtimes.write_finding(found).splitlines() == [
        "All jobs took 12.0 s in total; the longest stage is full fine-tuning (language), 58 %.",
        "The largest job used 300 MB: full fine-tuning (language).",
    ]


def test_every_benchmark_belongs_to_a_stage() -> None:
    kinds = (artifacts.RawFile, artifacts.Corpus, artifacts.Dataset, artifacts.Base, artifacts.Mask, artifacts.Composed)
    scored = (artifacts.View, artifacts.Predictions, artifacts.Scores, artifacts.Overlap)
    of_report = set(re.findall(r'benchmark_of\("(\w+)"\)', (REPOSITORY / "rules/report.smk").read_text()))
    named = {kind.stage for kind in (*kinds, *scored)} | {entry.stage for entry in MODULE_TYPES.values()} | of_report
    assert named == set(runtimes.TITLES) | {"report"}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (7619.6, "2 h 07 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert runtimes.format_duration(seconds) == text


# The page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of made-up results."""
    from deftx.report.figures import build as build_figures
    from deftx.report.tables import build as build_tables
    from deftx.report.tables.spec import Plan

    folder = tmp_path_factory.mktemp("made-up")
    results.predictions(folder, LANGUAGES, [0, 1])
    results.record(folder, "deltas/language/one/seed0")
    content = results.plan(LANGUAGES, [0, 1], vectors=["deltas/language/one/seed0"])
    build_tables.build(folder, Plan.model_validate(content), folder / "tables")
    build_figures.build(folder / "tables", {}, {}, folder / "figures")
    for stage, seconds in (("base", 5.0), ("evaluate/a", 3.0)):
        write_text(folder / f"benchmarks/{stage}.jsonl", json.dumps(MEASURED | {"s": seconds}) + "\n")
    write_json(folder / "config.json", CONFIG)
    shapes = {"embeddings.word.weight": [100, 8], "layer.0.weight": [8, 8]}
    write_json(folder / "base.json", {"model": "somebody/tiny", "revision": None, "hash": "a" * 64, "tokenizer": "",
                                      "shapes": shapes})  # fmt: skip
    run("report", *arguments(folder), "--out", folder / "report.html")
    return folder / "report.html"


def arguments(folder: Path) -> list[Any]:
    figures = [part for figure in sorted((folder / "figures").glob("*.svg")) for part in ("--figures", figure)]
    captions = [part for caption in CAPTIONS for part in ("--captions", caption)]
    config = ["--config", folder / "config.json", "--benchmarks", folder / "benchmarks", "--base", folder / "base.json"]
    return [folder / "tables", *config, *figures, *captions]


def test_the_page_holds_everything_and_loads_nothing(page: Path) -> None:
    text = page.read_text()
    for title in ("Scores", "Differences", "Seeds", "Gains", "Trainings", "Run times and memory", "Configuration"):
        assert f'-title">{title}</h2>' in text
    assert "Comparison with published scores" not in text and "Hyper-parameters" not in text
    assert text.count("<svg ") == 2
    assert "DeFT-X &amp; co" in text and "DeFT-X & co" not in text
    assert "somebody/tiny, 864 parameters, hash aaaaaaaa" in text
    assert "Language src to Language one, Language two. Macro-F1 on 40 test items per language" in text
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
    assert message.startswith(f"{tmp_path / 'scores.csv'} contains no scores. Build it: `deftx tables`")
    assert not (tmp_path / "report.html").exists()


def test_tables_of_another_version(page: Path, tmp_path: Path) -> None:
    """A column that has come since is named, with what to do."""
    for table in (page.parent / "tables").glob("*.csv"):
        write_text(tmp_path / table.name, table.read_text().replace(",over\n", ",control\n"))
    message = refused("report", tmp_path, *arguments(page.parent)[1:], "--out", tmp_path / "report.html")
    assert message.startswith(
        f"{tmp_path / 'gains.csv'} has no column over: another version wrote it. Rebuild it: `make figures`"
    )


def test_the_language_called_nan_and_empty_cells(tmp_path: Path) -> None:
    write_text(tmp_path / "scores.csv", "language,score\nnan,\n")
    assert read_rows(tmp_path / "scores.csv") == [{"language": "nan", "score": ""}]
    assert read_rows(tmp_path / "none.csv") == []


@pytest.mark.parametrize("text", ["**Question.** Why?\n\n**Answer.** So.\n", "One.\n\nTwo.\n\nThree.\n"])
def test_a_caption_in_another_form(page: Path, tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "scores.rst", text)
    words = [tmp_path / "scores.rst" if word.name == "scores.rst" else word for word in map(Path, CAPTIONS)]
    tables, *rest = arguments(page.parent)
    options = [word for word in rest if word not in CAPTIONS and word != "--captions"]
    captions = [part for word in words for part in ("--captions", word)]
    message = refused("report", tables, *options, *captions, "--out", tmp_path / "report.html")
    assert "the caption of scores needs three paragraphs, which begin with **Question.**" in message


def test_every_section_has_a_caption() -> None:
    texts = {path.stem: path.read_text() for path in CAPTIONS}
    assert texts.keys() == SECTIONS.keys() | {"page", "workflow"}
    for name in SECTIONS:
        question, finding, measured = build_page.split_caption(texts[name], name, "It is so.")
        assert question.endswith("?") and finding == "It is so." and measured.endswith(".")


def test_the_page_is_packaged() -> None:
    assert {path.name for path in (PACKAGE / "report/page/template").iterdir()} == {"page.html", "page.css", "page.js"}
    assert '"template/*"' in (PACKAGE.parent / "pyproject.toml").read_text()


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
    methods, means = column(chromium, 0), column(chromium, 1)
    assert methods == list(results.METHODS.values())

    def click(heading: int) -> str:
        return chromium.evaluate(
            f"(() => {{ const h = document.querySelectorAll('table thead th')[{heading}];"
            " h.querySelector('button').click(); return h.getAttribute('aria-sort'); })()"
        )

    number = [float(re.match(r"[\d.]+", mean)[0]) for mean in means]  # type: ignore[index]
    assert click(1) == "descending"
    assert column(chromium, 1) == [m for _, m in sorted(zip(number, means, strict=True), reverse=True)]
    assert click(1) == "ascending"
    assert column(chromium, 1) == [m for _, m in sorted(zip(number, means, strict=True))]
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
