"""What every registered architecture must say truly of models of transformers; a new entry is tested by being there."""

from typing import Any

import pytest
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from deftx.config.base import Base
from deftx.config.training import Training
from deftx.models.architectures import architecture_of, shape_of, shape_of_parameters
from deftx.models.base_model import Description
from deftx.models.parameter_names import is_embedding, is_norm, is_word_embedding
from deftx.models.registry import ARCHITECTURES, Architecture
from deftx.modules import adapters
from deftx.tasks.masked_lm import lm_head
from deftx.training.trainable import is_maskable

SIZES = (2, 12, 20, 50, 34)
"""Layers, width, inner width, vocabulary and positions."""
DESIGNS = [(entry, model_type) for entry in ARCHITECTURES.values() for model_type in entry.model_types]
each_design = pytest.mark.parametrize(("entry", "model_type"), DESIGNS, ids=lambda value: str(value)[:20])


def configuration(entry: Architecture, model_type: str) -> Any:
    sizes = dict(zip(entry.config, SIZES, strict=True))
    return AutoConfig.for_model(model_type, num_attention_heads=2, type_vocab_size=1, pad_token_id=0, **sizes)


def encoder_of(entry: Architecture, model_type: str) -> Any:
    """A model without what stands above its layers (a pooler), which a masked-LM's checkpoint lacks."""
    return AutoModel.from_config(configuration(entry, model_type), add_pooling_layer=False)


def shapes_of(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(parameter.shape) for name, parameter in model.named_parameters()}


@each_design
def test_formulas_give_the_parameters_a_model_has(entry: Architecture, model_type: str) -> None:
    model = encoder_of(entry, model_type)
    shape = shape_of_parameters(shapes_of(model))
    assert shape is not None and shape.architecture is entry
    assert (shape.layers, shape.hidden, shape.intermediate, shape.vocabulary, shape.positions) == SIZES
    assert shape.total == sum(parameter.numel() for parameter in model.parameters())
    modules = dict(model.get_submodule(f"{entry.layers}0").named_modules())
    assert shape.matrices == {
        name: tuple(module.weight.shape) for name, module in modules.items() if isinstance(module, nn.Linear)
    }


@each_design
def test_the_configuration_alone_says_as_much(entry: Architecture, model_type: str, tmp_path: Any) -> None:
    configuration(entry, model_type).save_pretrained(tmp_path)
    base = Base(model=str(tmp_path))
    assert architecture_of(base) is entry
    assert shape_of(base, None, tmp_path / "base.json") == shape_of_parameters(shapes_of(encoder_of(entry, model_type)))


@each_design
def test_norms_and_embeddings_are_told_by_their_names(entry: Architecture, model_type: str) -> None:
    model = encoder_of(entry, model_type)
    norms = {f"{n}.{p}" for n, m in model.named_modules() if isinstance(m, nn.LayerNorm) for p in ("weight", "bias")}
    names = {name for name, _ in model.named_parameters()}
    assert norms and {name for name in names if is_norm(name)} == norms
    assert {name for name in names if not is_maskable(name, Training())} == norms, "frozen unless the recipe moves them"
    assert {name for name in names if is_embedding(name)} == {name for name in names if name.startswith("embeddings.")}
    [words] = filter(is_word_embedding, names)
    assert model.get_input_embeddings().weight is model.get_parameter(words)


@each_design
def test_adapters_stand_in_every_layer_and_the_head_is_there(entry: Architecture, model_type: str) -> None:
    model = AutoModelForMaskedLM.from_config(configuration(entry, model_type))
    shape = adapters.shape_of(Description("m", None, "", "", shapes_of(model.base_model)), 2, 2, 0)
    assert (shape.layers, shape.width) == SIZES[:2]
    adapters.insert(model, [adapters.Adapter(shape)])
    assert sum(bool(module._forward_pre_hooks) for module in model.base_model.modules()) == shape.layers
    assert isinstance(lm_head(model), nn.Module)


def test_another_design_is_not_taken_for_one_we_know() -> None:
    shapes = {"tok_embeddings.weight": [50, 12], "layers.0.mlp.Wi.weight": [40, 12]}
    assert shape_of_parameters(shapes) is None
    assert architecture_of(Base(model="somebody/some-model")) is None
