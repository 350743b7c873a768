"""Objectives: what is masked, which examples a batch holds, and that shortcuts give the plain result."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deftx.core.errors import CorpusError
from deftx.data.tokenization import examples
from deftx.finetuning.pretraining import word_tokenizer
from deftx.models import base_model
from deftx.tasks.classification import Classification
from deftx.tasks.forwards import plain
from deftx.tasks.inference import probabilities
from deftx.tasks.masked_lm import MaskedLM
from tests.helpers import pico

TOKENIZER = word_tokenizer(pico.WORDS)
SPECIAL = torch.tensor(TOKENIZER.all_special_ids)


def masked_lm(probability: float = 0.15, count: int = 40, packed: bool = True, block: int = 16) -> MaskedLM:
    return MaskedLM(TOKENIZER, *tokens(pico.sentences(count), pico.sentences(10, seed=1), block, packed), probability)


def tokens(train: list[str], valid: list[str], block: int = 16, packed: bool = True) -> list[Tensor]:
    return [examples(TOKENIZER, texts, block, packed) for texts in (train, valid)]


@pytest.fixture(scope="module", params=["pico_bert", "pico_xlmr"])
def model(request: pytest.FixtureRequest) -> Any:
    return base_model.masked_lm(base_model.read(request.getfixturevalue(request.param)), untied=True, seed=0).eval()


def test_rates_of_masking() -> None:
    objective = masked_lm(0.2, count=4000)
    tokens = objective.train.long()
    batch = objective.masked(tokens, torch.Generator().manual_seed(0))
    ordinary = ~torch.isin(tokens, SPECIAL)
    chosen = batch["positions"]
    shown, true = batch["input_ids"].flatten()[chosen], tokens.flatten()[chosen]
    assert len(chosen) / int(ordinary.sum()) == pytest.approx(0.2, abs=0.01)
    assert float((shown == TOKENIZER.mask_token_id).float().mean()) == pytest.approx(0.8, abs=0.02)
    # one in 45 random tokens is the true one, and one is the mask
    assert float((shown == true).float().mean()) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("packed", [True, False])
def test_special_tokens_and_padding_are_never_predicted(packed: bool) -> None:
    objective = masked_lm(0.9, packed=packed)
    for seed in range(5):
        torch.manual_seed(seed)
        batch = objective.batch(range(8))
        assert not torch.isin(batch["labels"], SPECIAL).any()


@pytest.mark.parametrize("packed", [True, False])
def test_only_chosen_tokens_are_changed(packed: bool) -> None:
    objective = masked_lm(packed=packed)
    batch = objective.batch(range(8))
    shown = batch["input_ids"].flatten().clone()
    shown[batch["positions"]] = batch["labels"]
    width = batch["input_ids"].shape[1]
    assert torch.equal(shown.view(8, width), objective.train[:8, :width].long())


def test_padding_is_cut_to_the_longest_line() -> None:
    objective = masked_lm(packed=False)
    batch = objective.batch([0, 1, 2])
    lengths = [len(s.split()) + 2 for s in pico.sentences(3)]
    assert batch["input_ids"].shape == (3, max(lengths))
    assert batch["attention_mask"].sum(1).tolist() == lengths


def test_logits_at_masked_positions_are_those_of_the_whole(model: Any) -> None:
    objective = masked_lm(packed=False)
    batch = objective.batch(range(8))
    with torch.no_grad():
        logits = model(batch["input_ids"], attention_mask=batch.get("attention_mask")).logits
        expected = functional.cross_entropy(logits.flatten(0, 1)[batch["positions"]], batch["labels"])
        mean = objective.loss(model, batch) / len(batch["labels"])
        assert mean.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("packed", [True, False])
def test_parts_of_a_batch_have_its_loss(model: Any, packed: bool) -> None:
    objective = masked_lm(packed=packed)
    batch = objective.batch(range(8))
    parts = [objective.part(batch, first, end) for first, end in ((0, 3), (3, 4), (4, 8))]
    assert sum(len(part["labels"]) for part in parts) == len(batch["labels"])
    with torch.no_grad():
        total = sum(float(objective.loss(model, part)) for part in parts)
        assert total == pytest.approx(float(objective.loss(model, batch)), rel=1e-5)


@pytest.mark.parametrize("replacement", ["all", "corpus"])
def test_pieces_are_all_that_a_batch_can_show(replacement: Any) -> None:
    few = tokens(pico.sentences(6), pico.sentences(2, seed=1))
    objective = MaskedLM(TOKENIZER, *few, 0.5, replacement)
    shown = {piece for seed in range(200) for piece in drawn(objective, seed)}
    assert shown <= set(objective.token_ids().tolist())
    assert objective.token_ids().tolist() == sorted(set(objective.token_ids().tolist()))
    assert (len(shown) == len(TOKENIZER)) is (replacement == "all")


def drawn(objective: MaskedLM, seed: int) -> set[int]:
    torch.manual_seed(seed)
    return set(objective.batch(range(len(objective.train)))["input_ids"].flatten().tolist())


def test_a_batch_in_which_nothing_is_chosen_has_no_loss(model: Any) -> None:
    objective = masked_lm(probability=1e-9)
    loss = objective.loss(model, objective.batch([0]))
    assert loss.item() == 0
    loss.backward()
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


def test_held_out_loss_is_the_mean_over_predicted_tokens(model: Any) -> None:
    objective = masked_lm()
    first, second = (objective.measures(objective.evaluate(model)) for _ in range(2))
    assert first == second, "the same tokens are masked at every look"
    assert first["masked_lm_loss"] == pytest.approx(np.log(len(TOKENIZER)), rel=0.1)


def test_text_shorter_than_a_block_is_refused() -> None:
    with pytest.raises(CorpusError, match="shorter than one block of 512"):
        masked_lm(block=512, count=3)


def classification(count: int = 30) -> Classification:
    rows = [{"text": s, "label": pico.LABELS[n % 2]} for n, s in enumerate(pico.sentences(count))]
    return Classification(TOKENIZER, rows, rows[:10], pico.LABELS, 16, plain)


@pytest.mark.parametrize("objective", [masked_lm(), classification(), classification(500)])
@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_an_epoch_holds_every_example_once(objective: Any, batch_size: int) -> None:
    epochs = [objective.batches(epoch, 3, batch_size) for epoch in (0, 0, 1)]
    for epoch in epochs:
        assert sorted(i for batch in epoch for i in batch) == list(range(len(objective.train)))
        assert max(map(len, epoch)) <= batch_size
    assert epochs[0] == epochs[1] != epochs[2]


def test_batches_of_a_task_hold_texts_of_like_length() -> None:
    objective = classification(500)
    lengths = [[len(objective.train[i]["input_ids"]) for i in batch] for batch in objective.batches(0, 0, 10)]
    assert sum(max(some) - min(some) for some in lengths) <= 9 * len(lengths) / 10


def test_labels_are_coded_in_the_given_order() -> None:
    objective = classification()
    assert objective.batch(range(4))["labels"].tolist() == [0, 1, 0, 1]


@pytest.fixture(scope="module", params=["pico_bert", "pico_xlmr"])
def classifier(request: pytest.FixtureRequest) -> nn.Module:
    return base_model.classifier(
        base_model.read(request.getfixturevalue(request.param)), ["a", "b", "c"], seed=0
    ).eval()


@pytest.mark.parametrize("pairs", [False, True])
def test_probabilities_come_in_the_order_of_the_texts(classifier: Any, pairs: bool) -> None:
    rows = [
        {"text": s} | ({"pair": p} if pairs else {})
        for s, p in zip(pico.sentences(20), pico.sentences(20, 1), strict=True)
    ]
    texts = plain.encode(TOKENIZER, rows, 32)
    together = probabilities(classifier, plain, TOKENIZER, texts, batch_size=6)
    one_by_one = np.concatenate([probabilities(classifier, plain, TOKENIZER, [text]) for text in texts])
    np.testing.assert_allclose(together, one_by_one, atol=1e-6)
    np.testing.assert_allclose(together.sum(1), 1)
    assert probabilities(classifier, plain, TOKENIZER, []).shape == (0, 3)


def test_probabilities_leave_the_mode_of_the_model(classifier: Any) -> None:
    texts = plain.encode(TOKENIZER, [{"text": "ba"}], 8)
    for mode in (True, False):
        classifier.train(mode)
        probabilities(classifier, plain, TOKENIZER, texts)
        assert classifier.training is mode
