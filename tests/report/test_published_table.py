"""Published scores: what is stored makes sense, and what lies outside our interval is marked."""

from typing import Any

import pytest

from deftx.evaluation.published import comparable, load
from deftx.report.tables import published as published_table

NUSAX = ("ace", "ban", "bjn", "mad", "min")


def test_every_set_has_sources_and_scores_of_its_own_languages() -> None:
    for name, scores in load().items():
        for system in scores.systems.values():
            assert system.source and system.title, name
            assert set(system.scores) <= {*scores.languages, "mean"}
            assert all(0 < value < 100 for value in system.scores.values())
            by_language = [system.scores[lang] for lang in scores.languages if lang in system.scores]
            if by_language:
                assert sum(by_language) / len(by_language) == pytest.approx(system.scores["mean"], abs=0.06)


def test_the_averages_of_the_paper() -> None:
    """As the project's documents state them."""
    means = {
        name: [load()[name].systems[system].scores["mean"] for system in ("mad-x", "lt-sft", "deft-x")]
        for name in ("nusax-xlm-r-base", "americasnli-xlm-r-base")
    }
    assert means == {"nusax-xlm-r-base": [75.8, 80.2, 81.4], "americasnli-xlm-r-base": [49.5, 51.0, 51.3]}


def test_a_mean_is_compared_over_the_same_languages_alone() -> None:
    systems = {"lt-sft": "ours", "lt-sft-released": "ours"}
    whole = comparable("nusax-xlm-r-base", systems, NUSAX)
    assert [set(c.scores) for c in whole] == [{"mean"}, {*NUSAX, "mean"}]
    part = comparable("nusax-xlm-r-base", systems, ("min", "ace", "jav"))
    assert [set(c.scores) for c in part] == [{"min", "ace"}]


def ours(language: str, score: float, low: float, high: float, method: str = "lt-sft") -> dict[str, Any]:
    keys = {"task": "sentiment", "method": method, "title": "LT-SFT", "language": language, "name": language}
    return keys | {"score": score, "low": low, "high": high, "metric": "macro_f1", "signature": "macro_f1|n:400"}


def test_what_lies_outside_our_interval_is_marked() -> None:
    published = comparable("nusax-xlm-r-base", {"lt-sft-released": "lt-sft"}, NUSAX)
    rows = published_table.compare(
        [
            ours("ace", 78.0, 76.0, 79.7),  # published: 79.7, the very end
            ours("ban", 78.0, 76.0, 80.0),  # 82.0
            ours("bjn", 90.0, 86.0, 93.0),  # 82.2
            ours("jav", 90.0, 86.0, 93.0),  # not published
            ours("min", 90.0, 86.0, 93.0, method="deft-x"),  # not this method
        ],
        published,
    )
    assert [(row["language"], row["outside"]) for row in rows] == [("ace", False), ("ban", True), ("bjn", True)]
    assert [row["difference"] for row in rows] == pytest.approx([-1.7, -4.0, 7.8])
    text = (
        published_table.markdown(rows, {"sentiment": "other rows."})
        .replace("\N{MINUS SIGN}", "-")
        .replace("\N{EN DASH}", "-")
    )
    assert "| sentiment | ban | LT-SFT | 78.0 [76.0-80.0] | 82.0 (1) | -4.0† |" in text
    assert "| -1.7 |" in text
    assert (
        "\n\nDifferences in sentiment: other rows.\n\n"
        "1. LT-SFT, released vectors, XLM-R base: composable-sft, MODELS.md" in text
    )
