"""What every objective and every way forward must do: a new entry of a registry is tested by being there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deftx.core.errors import CorpusError, DatasetError
from deftx.models import base_model
from deftx.tasks.forwards.registry import FORWARDS
from deftx.tasks.inference import padded
from deftx.tasks.objective import forward_pass
from deftx.tasks.registry import OBJECTIVES, ObjectiveType
from tests.helpers import pico
from tests.helpers.trainings import Trainings


@pytest.mark.parametrize("entry", OBJECTIVES.values(), ids=lambda entry: entry.name)
def test_an_objective_gives_the_same_loss_twice_and_measures_it(
    pico_bert: Path, tmp_path: Path, entry: ObjectiveType
) -> None:
    data, description = Trainings(pico_bert, tmp_path).data(entry.role), base_model.read(pico_bert)
    data = replace(data, entry=entry)
    losses = []
    for _ in range(2):
        objective, model = data.objective(description), data.model(description, 0)
        torch.manual_seed(0)
        batch = objective.batch(objective.batches(0, 0, 4)[0])
        losses.append(objective.loss(model.eval(), batch))
        assert set(batch["input_ids"].flatten().tolist()) <= set(objective.token_ids().tolist())
        measures = objective.measures(objective.evaluate(model))
        assert measures and not objective.is_better(measures, measures)
    assert losses[0] > 0 and torch.equal(losses[0], losses[1])


@pytest.mark.parametrize("entry", OBJECTIVES.values(), ids=lambda entry: entry.name)
def test_an_objective_refuses_data_it_cannot_learn_from(pico_bert: Path, tmp_path: Path, entry: ObjectiveType) -> None:
    trainings = Trainings(pico_bert, tmp_path)
    if entry.role == "language":
        pico.text(trainings.texts[0], 1)  # less than a block
        data = trainings.data("language", block=64)
    else:
        data = replace(trainings.data("task"), labels=("other",))
    with pytest.raises((CorpusError, DatasetError)):
        replace(data, entry=entry).objective(base_model.read(pico_bert))


@pytest.mark.parametrize("name", FORWARDS)
def test_a_way_forward_gives_a_logit_for_each_row_and_label_the_same_twice(pico_bert: Path, name: str) -> None:
    description, forward = base_model.read(pico_bert), forward_pass(name)
    tokenizer = base_model.tokenizer(description)
    encoded = forward.encode(tokenizer, [{"text": text} for text in pico.sentences(3)], 8)
    assert len(encoded) == 3 and max(len(row["input_ids"]) for row in encoded) <= 8
    models = [forward.model(description, pico.LABELS, 0).eval() for _ in range(2)]
    first, second = (forward.logits(model, padded(tokenizer, encoded)) for model in models)
    assert first.shape == (3, len(pico.LABELS)) and torch.equal(first, second)
    assert base_model.encoder_parameters(models[0], description).keys() <= description.shapes.keys()
