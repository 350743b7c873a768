"""Code hashes: what changes a result changes them, and nothing else."""

import platform
from pathlib import Path

import pytest

from deftx.core import hashing, provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages of which one imports the other inside a function, and the code of a registry's entries by name."""
    monkeypatch.setattr(hashing, "PACKAGE", tmp_path)
    monkeypatch.setattr(hashing, "code_of", hashing.code_of.__wrapped__)
    for name, source in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


SOURCES = {
    "__init__.py": "__version__ = '1'\n",
    "high/__init__.py": "",
    "high/one.py": "def run():\n    from deftx.low import two\n    return two.VALUE\n",
    "high/registry.py": "ENTRIES = {'three': 'deftx.low.three'}\n",
    "high/user.py": "from deftx.high.registry import ENTRIES\nfrom deftx.config.block import Block\n",
    "low/__init__.py": '"""Low."""\n',
    "low/two.py": '"""Two."""\nVALUE = 2\n',
    "low/three.py": "VALUE = 3\n",
    "config/__init__.py": "",
    "config/block.py": "class Block: pass\n",
}


@pytest.mark.parametrize(
    ("module", "source", "counts"),
    [
        ("low/two", "VALUE = 2  # a comment\n\n\n", False),
        ("low/two", '"""Another docstring."""\nVALUE = 2\n', False),
        ("low/two", "VALUE = 1\n", True),
        ("high/one", 'def run():\n    """Run."""\n    from deftx.low import two\n\n    return two.VALUE\n', False),
        ("high/one", "def run():\n    from deftx.low import two\n    return -two.VALUE\n", True),
        ("high/one", "def run():\n    from deftx.low import three as two\n    return two.VALUE\n", True),
        ("low/three", "VALUE = 4\n", False),
        ("low/__init__", "import os\nos.environ['X'] = '1'\n", True),
        ("high/__init__", "VALUE = 1\n", True),
        ("__init__", "__version__ = '2'\n", False),
    ],
)
def test_code_counts_and_comments_do_not(package: Path, module: str, source: str, counts: bool) -> None:
    before = hashing.code_of("deftx.high.one")
    (package / f"{module}.py").write_text(source)
    assert (hashing.code_of("deftx.high.one") != before) is counts


def test_a_module_may_move(package: Path) -> None:
    before = hashing.code_of("deftx.high.one")
    (package / "other").mkdir()
    (package / "other/__init__.py").write_text('"""Low."""\n')
    (package / "low/two.py").rename(package / "other/two.py")
    source = (package / "high/one.py").read_text()
    (package / "high/one.py").write_text(source.replace("deftx.low", "deftx.other"))
    assert hashing.code_of("deftx.high.one") == before


def test_what_an_import_leads_to_counts_also_where_all_of_it_is_reached(package: Path) -> None:
    both = "from deftx.low.two import VALUE\nfrom deftx.low import three\n"
    (package / "high/one.py").write_text(both)
    before = hashing.code_of("deftx.high.one")
    (package / "high/one.py").write_text(
        both.replace("two import VALUE", "three import VALUE").replace("import three", "import two as three")
    )
    assert hashing.code_of("deftx.high.one") != before


def test_a_registry_is_no_way_in_and_settings_come_as_parameters(package: Path) -> None:
    before = hashing.code_of("deftx.high.user")
    entry = hashing.code_of("deftx.high.user", "deftx.low.three")
    (package / "high/registry.py").write_text("ENTRIES = {'three': 'deftx.low.three', 'two': 'deftx.low.two'}\n")
    (package / "config/block.py").write_text("class Block: more = 1\n")
    (package / "low/two.py").write_text("VALUE = 5\n")
    assert hashing.code_of("deftx.high.user") == before
    (package / "low/three.py").write_text("VALUE = 5\n")
    assert hashing.code_of("deftx.high.user") == before
    assert hashing.code_of("deftx.high.user", "deftx.low.three") != entry, "whoever uses the entry adds its code"


def test_what_only_a_type_checker_imports_does_not_count(package: Path) -> None:
    before = hashing.code_of("deftx.high.one")
    checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from deftx.low import three\n"
    (package / "low/two.py").write_text(f"{checked}VALUE = 2\n")
    once = hashing.code_of("deftx.high.one")
    (package / "low/three.py").write_text("VALUE = 9\n")
    assert hashing.code_of("deftx.high.one") == once != before


def test_a_name_that_leads_nowhere_is_refused(package: Path) -> None:
    with pytest.raises(ValueError, match=r"no module deftx\.low\.four"):
        hashing.code_of("deftx.low.four")


def test_logic_is_not_in_verbs_or_settings() -> None:
    """What filters rows, and what chooses the matrices of LoRA, is reached by the hashes of their rules."""
    assert {"deftx.data.deduplication", "deftx.data.rows"} <= hashing._collect_imports(["deftx.data.datasets"])
    assert {"deftx.models.architectures"} <= hashing._collect_imports(["deftx.modules.lora"])
    assert "deftx.data.rows" in hashing._collect_imports(["deftx.data.corpora"])
    assert "deftx.data.datasets" not in hashing._collect_imports(["deftx.data.corpora"]), (
        "layouts are no business of text"
    )


def test_figures_do_not_depend_on_training_nor_masks_on_transformers() -> None:
    stages = ("report.figures.build", "masks.select", "finetuning.common")
    figures, masks, training = (hashing._collect_imports([f"deftx.{stage}"]) for stage in stages)
    assert not figures & {"deftx.finetuning.common", "deftx.masks.select", "deftx.modules.vectors"}
    assert not masks & {"deftx.finetuning.common", "deftx.models.base_model", "deftx.tasks.masked_lm"}
    modules = ("tasks.training_data", "training.loop", "training.trainable", "modules.vectors")
    assert {f"deftx.{module}" for module in modules} <= training
    objectives = {"deftx.tasks.masked_lm", "deftx.tasks.classification", "deftx.tasks.forwards.plain"}
    assert not training & objectives, "their code is added for what is learned"


def test_trainings_do_not_depend_on_one_another() -> None:
    """Code of one way to move a model is none of the others' business."""
    ways = {f"deftx.finetuning.{way}" for way in ("full", "sparse", "gradients", "adapters", "lora")}
    for way in ways:
        assert hashing._collect_imports([way]) & ways == {way}
        assert "deftx.finetuning.common" in hashing._collect_imports([way])


def test_scores_do_not_depend_on_types_of_modules_they_do_not_use() -> None:
    reached = hashing._collect_imports(["deftx.evaluation.predict"])
    assert not reached & {"deftx.modules.adapters", "deftx.modules.lora", "deftx.modules.registry"}


def test_a_fingerprint_is_of_content_and_not_of_place(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model").write_bytes(bytes(range(256)) * 4000)
    here, there = tmp_path / "here" / "model", tmp_path / "there" / "model"
    assert hashing.fingerprint([here]) == hashing.fingerprint([there])
    there.write_bytes(here.read_bytes() + b"\0")
    assert hashing.fingerprint([here]) != hashing.fingerprint([there])


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
