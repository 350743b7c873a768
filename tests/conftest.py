"""What all tests share: one thread, repeatable examples, and two pico models."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"
settings.register_profile("deftx", deadline=None, derandomize=True, max_examples=40, database=None)
settings.load_profile("deftx")

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, laid out as a mirror."""
    if not DATA.is_dir():
        pytest.skip(f"needs real data in {DATA}")
    return DATA


@pytest.fixture(scope="session")
def pico_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base.json of a two-layer BERT."""
    import pico

    return pico.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def pico_xlmr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base.json of a two-layer XLM-R, whose masked-LM model names the tied embedding after its head."""
    import pico

    return pico.xlmr(tmp_path_factory.mktemp("xlmr"))
