"""Deltas are removed alone, and what that costs is said before."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deftx.cli.app import app
from tests.experiment.test_config import EXPERIMENT
from tests.helpers.command import files, refused

DELTAS = ["deltas/language/ace/seed0.safetensors", "deltas/task/sentiment/base/seed0.safetensors"]
KEPT = [
    "benchmarks/full/language/ace/seed0.jsonl",
    "benchmarks/full/task/sentiment/base/seed0.jsonl",
    "benchmarks/gradients/language/ace/seed0.jsonl",
    "benchmarks/gradients/task/sentiment/lt-sft-min/seed0.jsonl",
    "benchmarks/mask/language/lt-sft/ace/seed0.jsonl",
    "deltas/language/ace/seed0.json",
    "masks/language/lt-sft/ace/seed0.safetensors",
]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of an experiment whose trainings took an hour and a half each, its mask an unknown time."""
    monkeypatch.chdir(tmp_path)
    Path("pico.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    folder = tmp_path / "results/pico"
    for name in [*DELTAS, *KEPT]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0" * 600_000)
    for name in KEPT[:5]:  # an older run comes before the last
        took = "NA" if "mask" in name else 5400.0
        (folder / name).write_text(f"{json.dumps({'s': 1.0})}\n{json.dumps({'s': took})}\n")
    return folder


def test_what_it_costs_is_said_before_it_is_done(results: Path) -> None:
    refusal = CliRunner().invoke(app, ["clean-deltas", "pico.yaml"], input="n\n")
    assert refusal.exit_code == 0 and files(results) == sorted([*DELTAS, *KEPT])
    said, _, question = refusal.stdout.rpartition("\n")[0].partition("Remove them?")
    assert "results/pico/deltas: 2 deltas, 1.2 MB" in said
    costs = ("3.00 h  2 full fine-tunings", "1.50 h  1 accumulated gradients of tasks", "0.00 h  1 masks")
    assert "".join(f"      {cost}\n" for cost in costs) in said
    assert "removed" not in question


def test_deltas_alone_are_removed(results: Path) -> None:
    consent = CliRunner().invoke(app, ["clean-deltas", "pico.yaml"], input="y\n")
    assert consent.exit_code == 0 and consent.stdout.endswith("2 deltas removed\n")
    assert files(results) == KEPT
    again = CliRunner().invoke(app, ["clean-deltas", "pico.yaml", "--yes"])
    assert again.exit_code == 0 and again.stdout == "results/pico holds no deltas\n"


def test_not_while_snakemake_is_at_work(results: Path) -> None:
    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    assert "Snakemake is running in this folder" in refused("clean-deltas", "pico.yaml", "--yes")
    assert files(results) == sorted([*DELTAS, *KEPT])
