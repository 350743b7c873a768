"""What all tests share: one thread, repeatable examples, and two pico models."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.helpers import REPOSITORY

os.environ["OMP_NUM_THREADS"] = "1"
settings.register_profile("deftx", deadline=None, derandomize=True, max_examples=40, database=None)
settings.load_profile("deftx")

DATA = REPOSITORY.parent / "shared" / "data"


class SharingScheduling(LoadScopeScheduling):
    """Run all tests of a file in one process where the file makes something for all of them; others anywhere."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _makes_for_all(file) else nodeid


@cache
def _makes_for_all(file: str) -> bool:
    return 'scope="module"' in (REPOSITORY / file).read_text()


def pytest_xdist_make_scheduler(config: Any, log: Any) -> SharingScheduling:
    """Return how tests are distributed: xdist's own groups have no effect under this version of pytest."""
    return SharingScheduling(config, log)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, laid out as a mirror."""
    if not DATA.is_dir():
        pytest.skip(f"needs real data in {DATA}")
    return DATA


@pytest.fixture(scope="session")
def pico_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base.json of a two-layer BERT."""
    from tests.helpers import pico

    return pico.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def pico_xlmr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base.json of a two-layer XLM-R, whose masked-LM model names the tied embedding after its head."""
    from tests.helpers import pico

    return pico.xlmr(tmp_path_factory.mktemp("xlmr"))


@pytest.fixture(params=["pico_bert", "pico_xlmr"])
def each_base(request: pytest.FixtureRequest) -> Path:
    """A BERT and an XLM-R of two layers and width 32."""
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Names of the parameters each training has moved."""
    import torch

    from deftx.finetuning import common
    from deftx.training import loop

    seen = []

    def fit(model: Any, *arguments: Any) -> Any:
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        record = loop.fit(model, *arguments)
        seen.append({name for name, p in model.named_parameters() if not torch.equal(p, before[name])})
        return record

    monkeypatch.setattr(common, "fit", fit)
    return seen
