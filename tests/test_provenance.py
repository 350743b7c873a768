"""Code hashes: what changes a result changes them, and nothing else."""

import platform
from pathlib import Path

import pytest

from deftx import provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of three modules: one imports the other inside a function, the third stands alone."""
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    monkeypatch.setattr(provenance, "code_of", provenance.code_of.__wrapped__)
    (tmp_path / "one.py").write_text("def run():\n    from deftx import two\n    return two.VALUE\n")
    (tmp_path / "two.py").write_text('"""Two."""\nVALUE = 2\n')
    (tmp_path / "three.py").write_text("VALUE = 3\n")
    return tmp_path


@pytest.mark.parametrize(
    ("module", "source", "counts"),
    [
        ("two", "VALUE = 2  # a comment\n\n\n", False),
        ("two", '"""Another docstring."""\nVALUE = 2\n', False),
        ("two", "VALUE = 1\n", True),
        ("one", 'def run():\n    """Run."""\n    from deftx import two\n\n    return two.VALUE\n', False),
        ("one", "def run():\n    from deftx import two\n    return -two.VALUE\n", True),
        ("three", "VALUE = 4\n", False),
    ],
)
def test_code_counts_and_comments_do_not(package: Path, module: str, source: str, counts: bool) -> None:
    before = provenance.code_of("deftx.one")
    (package / f"{module}.py").write_text(source)
    assert (provenance.code_of("deftx.one") != before) is counts


def test_figures_do_not_depend_on_training_nor_masks_on_transformers() -> None:
    reached = {stage: provenance._reached([f"deftx.{stage}"]) for stage in ("figures", "masks", "training")}
    assert not reached["figures"] & {"deftx.training", "deftx.masks", "deftx.sft"}
    assert not reached["masks"] & {"deftx.training", "deftx.base", "deftx.objectives"}
    assert {"deftx.lessons", "deftx.loop", "deftx.optim", "deftx.objectives", "deftx.sft", "deftx.base"} <= reached[
        "training"
    ]


def test_trainings_do_not_depend_on_one_another() -> None:
    """Code of one way to move a model is none of the others' business."""
    ways = {
        f"deftx.{way}" for way in ("full_training", "sparse_training", "gradients", "adapter_training", "lora_training")
    }
    for way in ways:
        assert provenance._reached([way]) & ways == {way}
        assert "deftx.training" in provenance._reached([way])


def test_a_fingerprint_is_of_content_and_not_of_place(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model").write_bytes(bytes(range(256)) * 4000)
    here, there = tmp_path / "here" / "model", tmp_path / "there" / "model"
    assert provenance.fingerprint([here]) == provenance.fingerprint([there])
    there.write_bytes(here.read_bytes() + b"\0")
    assert provenance.fingerprint([here]) != provenance.fingerprint([there])


INTEL = """processor	: 0
vendor_id	: GenuineIntel
model name	: Some Xeon
cpu MHz		: 2000.000
flags		: fpu sse4_2 avx2 fma avx512f md_clear

processor	: 1
vendor_id	: GenuineIntel
"""
ARM = "processor	: 0\nFeatures	: fp asimd bf16\nCPU implementer	: 0x41\nCPU part	: 0xd40\n"


def test_a_processor_is_known_by_what_it_computes_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by its clock, nor by flags that say nothing of arithmetic."""
    information = tmp_path / "cpuinfo"
    monkeypatch.setattr(provenance, "CPUINFO", information)

    def known(text: str) -> str:
        information.write_text(text)
        return str(provenance.processor())

    before = known(INTEL)
    assert known(INTEL.replace("2000", "2500").replace(" md_clear", "")) == before
    assert known(INTEL.replace("avx512f", "avx512f avx512_bf16")) != before
    assert known(INTEL.replace("Some Xeon", "Another")) != before
    assert "asimd bf16" in known(ARM) and known(ARM) != known(ARM.replace("0xd40", "0xd49"))
    information.unlink()
    assert provenance.processor() == {"machine": platform.machine()}
