"""Pretraining of the base: one that was stopped goes on to the same bytes, and never from another job's state."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deftx.config.base import Pretraining
from deftx.core.errors import StoppedError
from deftx.finetuning import pretraining
from deftx.training.loop import _Run
from tests.helpers import pico
from tests.helpers.command import files

SETTINGS = {"languages": ["known"], "layers": 1, "hidden": 16, "heads": 2, "block": 16}
PHASE = {"max_steps": 4, "learning_rate": 1e-3}


class Bases:
    """Pretrainings in a folder; what they are told may be changed between them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pieces = folder, pico.WORDS
        self.settings: dict[str, Any] = SETTINGS | {"phase": PHASE}
        self.texts = [pico.text(folder / "train.txt")], [pico.text(folder / "valid.txt", 10, seed=1)]

    def pretrain(self, out: str, stop: int | None = None) -> list[int]:
        """Pretrain a base; SIGTERM comes in step `stop`. Returns the steps that were taken."""
        steps: list[int] = []
        advance = _Run.advance

        def watched(run: _Run) -> float:
            steps.append(run.step)
            if run.step == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return advance(run)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_Run, "advance", watched)
            settings = Pretraining.model_validate(self.settings)
            if stop is None:
                pretraining.pretrain(settings, self.pieces, *self.texts, self.folder / out)
            else:
                with pytest.raises(StoppedError, match="checkpoint saved"):
                    pretraining.pretrain(settings, self.pieces, *self.texts, self.folder / out)
        return steps

    def contents(self, out: str) -> dict[str, bytes]:
        return {name: (self.folder / out / name).read_bytes() for name in files(self.folder / out)}


@pytest.fixture
def bases(tmp_path: Path) -> Bases:
    return Bases(tmp_path)


def test_a_stopped_pretraining_leaves_the_same_bytes(bases: Bases) -> None:
    assert bases.pretrain("whole") == [0, 1, 2, 3]
    assert bases.pretrain("stopped", stop=1) == [0, 1] and not (bases.folder / "stopped").exists()
    assert bases.pretrain("stopped") == [2, 3]
    assert bases.contents("stopped") == bases.contents("whole")
    assert "model.safetensors" in bases.contents("whole")
    assert not [name for name in files(bases.folder) if "checkpoint" in name]


def settings(**changes: Any) -> Callable[[Bases, pytest.MonkeyPatch], None]:
    return lambda bases, patch: bases.settings.update(changes)


def other_pieces(bases: Bases, patch: pytest.MonkeyPatch) -> None:
    bases.pieces = (*pico.WORDS[1:], pico.WORDS[0])


def other_text(bases: Bases, patch: pytest.MonkeyPatch) -> None:
    pico.text(bases.folder / "train.txt", seed=2)


def other_held_out_text(bases: Bases, patch: pytest.MonkeyPatch) -> None:
    pico.text(bases.folder / "valid.txt", 10, seed=2)


def other_threads(bases: Bases, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("OMP_NUM_THREADS", "2")
    patch.setattr(torch, "set_num_threads", lambda number: None)  # for the tests to come


def other_versions(bases: Bases, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pretraining, "versions", lambda: {"torch": "0"})


def other_code(bases: Bases, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pretraining, "code_of", lambda module: f"another {module}")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(settings(seed=1), id="seed"),
        pytest.param(settings(dropout=0.2), id="dropout"),
        pytest.param(settings(phase=PHASE | {"max_steps": 3}), id="steps"),
        pytest.param(settings(phase=PHASE | {"learning_rate": 2e-3}), id="learning rate"),
        other_pieces,
        other_text,
        other_held_out_text,
        other_threads,
        other_versions,
        other_code,
    ],
)
def test_after_a_change_it_begins_anew(
    bases: Bases, monkeypatch: pytest.MonkeyPatch, change: Callable[[Bases, pytest.MonkeyPatch], None]
) -> None:
    bases.pretrain("base", stop=1)
    change(bases, monkeypatch)
    assert bases.pretrain("base")[0] == 0
    assert files(bases.folder / "base") and not [name for name in files(bases.folder) if "checkpoint" in name]
