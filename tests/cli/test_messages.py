"""Messages of progress and warnings: bare lines on standard error, by --quiet and --verbose fewer or more of them."""

import logging
from pathlib import Path

import pytest

from tests.helpers import pico
from tests.helpers.command import invoke, spec


@pytest.fixture
def training(tmp_path: Path, pico_bert: Path) -> list[str]:
    """The arguments of a training of one step."""
    rows = str(pico.rows(tmp_path / "rows.csv"))
    words = [word for name in ("train", "valid") for word in (f"--{name}", rows)]
    told = spec(labels=["bad", "good"], precision="fp32")
    return ["train", "--spec", told, "--base", str(pico_bert), *words, "--out", str(tmp_path / "delta")]


def test_details_are_printed_where_they_are_asked_for(training: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deftx.training.progress.LOG_SECONDS", 0.0)
    beginnings = {}
    for options in ((), ("--quiet",), ("--verbose",)):
        done = invoke(*options, *training)
        assert done.exit_code == 0 and done.stdout == ""
        beginnings[options] = [line.split(",")[0] for line in done.stderr.splitlines() if line[:4] in ("Step", "Eval")]
    details = ["Evaluation: step 0", "Step 1/1", "Evaluation: step 1"]
    assert beginnings == {(): ["Step 1/1"], ("--quiet",): [], ("--verbose",): details}


def test_warnings_and_errors_are_printed_also_when_quiet(tmp_path: Path, training: list[str]) -> None:
    missing = [*training, "--start", str(tmp_path / "missing")]
    done = invoke("--quiet", *missing)
    assert done.exit_code == 1 and done.stderr.count("error: ") == 1
    assert logging.getLogger("deftx.test").isEnabledFor(logging.WARNING)
    assert not logging.getLogger("deftx.test").isEnabledFor(logging.INFO)
