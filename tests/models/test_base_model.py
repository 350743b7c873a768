"""The base model: one hash for equal weights, and no use of others."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM

from deftx.core.errors import BaseModelError, DeftxError
from deftx.core.integrity import read_json
from deftx.models import base_model


def test_the_hash_is_that_of_the_weights(pico_bert: Path, tmp_path: Path) -> None:
    """Neither the folder nor, where no weight changes by it, the precision counts."""
    folder = tmp_path / "half"
    model = AutoModelForMaskedLM.from_pretrained(pico_bert.parent / "base", dtype=torch.bfloat16)
    model.save_pretrained(folder)
    base_model.load_tokenizer(str(pico_bert.parent / "base")).save_pretrained(folder)
    half = base_model.describe(None, None, str(folder), tmp_path / "half.json")
    model.float().save_pretrained(folder)
    assert base_model.describe(None, None, str(folder), tmp_path / "whole.json").hash == half.hash
    assert half.hash != base_model.read(pico_bert).hash
    assert half.tokenizer == base_model.read(pico_bert).tokenizer


def test_base_json_says_nothing_of_places(pico_bert: Path) -> None:
    assert str(pico_bert.parent) not in pico_bert.read_text()
    assert base_model.read(pico_bert).location == str(pico_bert.parent / "base")


def test_shapes_are_those_of_what_the_checkpoint_holds(pico_bert: Path, pico_xlmr: Path) -> None:
    for path in (pico_bert, pico_xlmr):
        shapes = base_model.read(path).shapes
        assert next(iter(shapes)) == "embeddings.word_embeddings.weight"
        assert not any("pooler" in name or "lm_head" in name or "cls." in name for name in shapes)


def test_an_environment_variable_goes_before_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEFTX_BASE", raising=False)
    assert base_model.where("some/model") == "some/model"
    monkeypatch.setenv("DEFTX_BASE", "/there")
    assert base_model.where("some/model") == "/there"


def test_other_weights_than_described_are_refused(pico_bert: Path, pico_xlmr: Path, tmp_path: Path) -> None:
    shutil.copytree(pico_bert.parent / "base", tmp_path / "base")
    content = read_json(pico_bert) | {"hash": "0" * 64, "tokenizer": "0" * 64}
    (tmp_path / "base.json").write_text(json.dumps(content))
    description = base_model.read(tmp_path / "base.json")
    with pytest.raises(BaseModelError, match="does not hold the tokenizer"):
        base_model.tokenizer(description)
    with pytest.raises(BaseModelError, match="does not hold the weights"):
        base_model.masked_lm(description, untied=True, seed=0)
    with pytest.raises(BaseModelError, match="does not hold the weights"):
        base_model.classifier(description, ["a", "b"], seed=0)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": null, "more": 1}'])
def test_what_is_no_description_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "base.json").write_text(content)
    with pytest.raises(DeftxError, match=r"base\.json is (not a description of a base model|corrupted \(not a? ?JSON)"):
        base_model.read(tmp_path / "base.json")


def test_a_classifier_s_head_depends_on_its_seed_alone(pico_bert: Path) -> None:
    description = base_model.read(pico_bert)
    torch.manual_seed(5)
    one, same, other = (base_model.classifier(description, ["a", "b"], seed) for seed in (1, 1, 2))
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
