"""A training that is killed goes on from its checkpoint, in a process of its own, to the same bytes."""

import os
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from deftx.config.masks import Denoising
from deftx.core.errors import DeltaError, StoppedError
from deftx.finetuning import common
from deftx.masks.select import build
from deftx.training import loop
from tests.helpers import REPOSITORY
from tests.helpers.trainings import Trainings

PHASE = {"max_steps": 6, "evaluate_every": 2, "keep": "best"}


def train(base: Path, folder: Path, out: str, mask: Path | None = None) -> None:
    """One training; the environment variable END says at which step the process ends itself, and by which signal."""
    if "END" in os.environ:
        step, number = map(int, os.environ["END"].split())
        loop.CHECKPOINT_SECONDS = -1.0
        advance = loop._Run.advance

        def ending(run: loop._Run) -> float:
            if run.step == step:
                os.kill(os.getpid(), number)
            return advance(run)

        loop._Run.advance = ending  # type: ignore[method-assign]
    Trainings(base, folder).train("sft" if mask else "delta", "language", out, mask, **PHASE)


def ended(base: Path, folder: Path, mask: Path, end: str) -> subprocess.CompletedProcess[str]:
    script = "import sys; from pathlib import Path; from tests.training.test_resume import train; a = sys.argv; " + (
        "train(Path(a[1]), Path(a[2]), 'killed', Path(a[3]))"
    )
    path = os.pathsep.join([str(REPOSITORY), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", script, str(base), str(folder), str(mask)],
        env=os.environ | {"END": end, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_killed_twice_and_terminated_once(tmp_path: Path, pico_xlmr: Path) -> None:
    train(pico_xlmr, tmp_path, "delta")
    build(tmp_path / "delta", Denoising(), 400, tmp_path / "mask", tmp_path / "report")
    train(pico_xlmr, tmp_path, "whole", tmp_path / "mask")
    for end in ("1 9", "3 9", "4 15"):
        done = ended(pico_xlmr, tmp_path, tmp_path / "mask", end)
        assert done.returncode != 0 and not (tmp_path / "killed").exists()
        [checkpoint] = tmp_path.glob(".killed.*.checkpoint")
        with safe_open(checkpoint, framework="numpy") as held:
            base = [name for name in held.keys() if name.startswith("exp_avg.base.")]  # noqa: SIM118
            assert sum(held.get_tensor(name).size for name in base) == 400, "masked entries only"
    assert "Stopped by SIGTERM at step 5/6; checkpoint saved. Rerun to resume." in done.stderr
    train(pico_xlmr, tmp_path, "killed", tmp_path / "mask")
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not list(tmp_path.glob(".killed*"))


def test_room_on_the_disk_is_checked_before_training(
    tmp_path: Path, pico_xlmr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(common.shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 99, 99))
    monkeypatch.setattr(common, "fit", lambda *_: pytest.fail("training began"))
    with pytest.raises(DeltaError, match=r"training needs 0\.00 GB of disk .* Make room"):
        train(pico_xlmr, tmp_path, "delta")
    assert not (tmp_path / "delta").exists()


def test_who_goes_on_needs_no_room_for_the_checkpoint_that_is_there(
    tmp_path: Path, pico_xlmr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that holds two checkpoints and a little more, and the training is stopped when there is one."""
    with monkeypatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
        patch.setattr(loop._Run, "advance", stopping(loop._Run.advance))
        with pytest.raises(StoppedError):
            train(pico_xlmr, tmp_path, "delta")
    [checkpoint] = tmp_path.glob(".delta.*.checkpoint")
    size = checkpoint.stat().st_size
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(common.shutil, "disk_usage", lambda path: usage(3 * size, 3 * size // 2, 3 * size // 2))
    with pytest.raises(DeltaError, match="training needs"):
        train(pico_xlmr, tmp_path, "another")
    train(pico_xlmr, tmp_path, "delta")
    assert (tmp_path / "delta").is_file()


def stopping(advance: Callable[[Any], float]) -> Callable[[Any], float]:
    """A step, during the fourth of which SIGTERM comes."""

    def stopped(run: Any) -> float:
        if run.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(run)

    return stopped
