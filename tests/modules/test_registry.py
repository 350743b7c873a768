"""What every type of module must do: a new entry of the registry is tested by being there.

Each is trained (or taken from a delta) on a pico base for a language and for a task; its file is loaded, saved, checked
and brought into a model by the code that the registry names.
"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from deftx.config.masks import Denoising
from deftx.config.modules import TrainingSpec
from deftx.core.errors import ConfigError, DeltaError, VectorError
from deftx.evaluation import predict
from deftx.finetuning import common
from deftx.masks import select
from deftx.masks.registry import MASK_SCORES, MaskScore
from deftx.merging import recipe as recipes
from deftx.models import base_model
from deftx.modules import loading
from deftx.modules.registry import MODULE_TYPES, ModuleType
from tests.helpers import pico
from tests.helpers.trainings import ADAPTER, LORA, PHASE, RECIPE

SIZES = {"adapters": ADAPTER, "lora": LORA}
"""Sizes of languages' and tasks' modules, by the block of a type; a type with a new block is added here."""
ROLES = ("language", "task")
each_type = pytest.mark.parametrize("entry", MODULE_TYPES.values(), ids=lambda entry: entry.name)


class Modules:
    """Modules of every type for one base, each made when it is first asked for."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.base, self.folder = base, folder
        self.description = base_model.read(base)
        self.data = {
            "language": (pico.text(folder / "train.txt"), pico.text(folder / "valid.txt", 10, seed=1)),
            "task": (pico.rows(folder / "train.csv"), pico.rows(folder / "valid.csv", 8, seed=1)),
        }

    def module(self, entry: ModuleType, role: str, name: str = "first") -> Path:
        out = self.folder / f"{entry.name}-{role}-{name}.safetensors"
        if not out.exists():
            mask = self.mask(role) if entry.masked else None
            if entry.trained:
                common.run(self.spec(entry, role), self.base, *self.data[role], out, mask, None)
            else:
                import_module(entry.make).build(self.module(MODULE_TYPES["dense"], role), mask, out)
        return out

    def mask(self, role: str) -> Path:
        out = self.folder / f"mask-{role}.safetensors"
        if not out.exists():
            delta = self.module(MODULE_TYPES["dense"], role)
            select.build(delta, Denoising(), 0.2, out, out.with_suffix(".json"))
        return out

    def spec(self, entry: ModuleType, role: str) -> TrainingSpec:
        settings = RECIPE | ({"block": 16} if role == "language" else {"max_length": 16})
        sizes = {"sizes": SIZES[entry.block][role].model_dump()} if entry.block else {}
        labels = {} if role == "language" else {"labels": pico.LABELS}
        content = {"type": entry.name, role: settings, "phase": PHASE, "seed": 0}
        return TrainingSpec.model_validate(content | labels | sizes)


@pytest.fixture(scope="module")
def modules(pico_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return Modules(pico_bert, tmp_path_factory.mktemp("modules"))


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(torch.tensor([[5, 6, 7, 8]])).logits


@each_type
@pytest.mark.parametrize("role", ROLES)
def test_the_same_training_gives_the_same_bytes(modules: Modules, entry: ModuleType, role: str) -> None:
    assert modules.module(entry, role).read_bytes() == modules.module(entry, role, "again").read_bytes()


@each_type
@pytest.mark.parametrize("role", ROLES)
def test_a_file_says_what_it_is_and_is_saved_as_it_was_loaded(
    modules: Modules, entry: ModuleType, role: str, tmp_path: Path
) -> None:
    path = modules.module(entry, role)
    stored = loading.load(path)
    assert stored.metadata.base == modules.description.hash and stored.entries > 0
    assert stored.metadata.objective == {"language": "masked-lm", "task": "classification"}[role]
    assert bool(stored.head) is (role == "task") and (stored.metadata.labels is not None) is (role == "task")
    import_module(entry.code).save(stored, tmp_path / path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@each_type
def test_a_damaged_file_is_refused(modules: Modules, entry: ModuleType, tmp_path: Path) -> None:
    content = bytearray(modules.module(entry, "language").read_bytes())
    content[-3] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(content)
    with pytest.raises(VectorError, match=r"damaged\.safetensors"):
        loading.load(tmp_path / "damaged.safetensors")


@each_type
def test_it_is_checked_against_the_base(modules: Modules, entry: ModuleType) -> None:
    path = modules.module(entry, "language")
    stored, code = loading.load(path), import_module(entry.code)
    if entry.in_methods:
        code.check([(path, stored, 1.0)], modules.description)
    else:  # what is ranked is no part of a model
        with pytest.raises(VectorError, match=path.name):
            code.check([(path, stored, 1.0)], modules.description)
    with pytest.raises(VectorError, match=path.name):
        code.check([(path, stored, 1.0)], replace(modules.description, hash="0" * 64))


@pytest.mark.parametrize("entry", [e for e in MODULE_TYPES.values() if e.in_methods], ids=lambda entry: entry.name)
def test_it_changes_what_a_model_computes_the_same_way_twice(modules: Modules, entry: ModuleType) -> None:
    path = modules.module(entry, "language")
    plain, first, second = (base_model.classifier(modules.description, pico.LABELS, seed=0) for _ in range(3))
    for model in (first, second):
        import_module(entry.code).apply(model, modules.description, [(loading.load(path), 1.0)])
    assert not torch.equal(logits(first), logits(plain))
    assert torch.equal(logits(first), logits(second))


@pytest.mark.parametrize("entry", [e for e in MODULE_TYPES.values() if e.in_methods], ids=lambda entry: entry.name)
def test_a_model_of_it_is_composed_and_predicts_the_same_twice(
    modules: Modules, entry: ModuleType, tmp_path: Path
) -> None:
    terms = [(modules.module(entry, role), 1.0) for role in ("task", "language")]
    recipes.compose(terms, modules.description, tmp_path / "recipe.json")
    for name in ("first", "second"):
        predict.predict(tmp_path / "recipe.json", modules.base, modules.data["task"][1], 16, tmp_path / f"{name}.csv")
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    other = replace(modules.description, hash="0" * 64)
    with pytest.raises(VectorError):
        recipes.load_terms(recipes.read(tmp_path / "recipe.json"), other)


@each_type
def test_a_mask_belongs_to_types_that_move_its_elements(modules: Modules, entry: ModuleType) -> None:
    if not entry.trained:
        return
    mask = None if entry.masked else modules.mask("language")
    with pytest.raises(ConfigError, match="--mask"):
        common.run(
            modules.spec(entry, "language"), modules.base, *modules.data["language"], modules.folder / "no", mask, None
        )


@pytest.mark.parametrize("score", MASK_SCORES.values(), ids=lambda score: score.name)
def test_a_score_chooses_the_same_mask_twice_and_refuses_too_many(
    modules: Modules, score: MaskScore, tmp_path: Path
) -> None:
    ranked, build = modules.module(MODULE_TYPES[score.ranks], "language"), import_module(score.code).build
    for name in ("first", "second"):
        build(ranked, Denoising(), 0.2, tmp_path / name, tmp_path / f"{name}.json")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with pytest.raises(DeltaError, match="exceeds"):
        build(ranked, Denoising(), 10**9, tmp_path / "third", tmp_path / "third.json")
    assert not (tmp_path / "third").exists()
