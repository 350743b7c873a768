"""Sparse fine-tuning equals dense fine-tuning whose gradients are multiplied by the mask."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from deftx.config.training import Training
from deftx.models import base_model
from deftx.training.trainable import AllEntries, MaskedEntries, clip, masked_entries, parameters_of
from tests.helpers import pico

Losses = Callable[[nn.Module, int], Tensor]


class Small(nn.Module):
    """An embedding that is also the output's weight, two layers, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(11, 6)
        self.inner = nn.Linear(6, 6)
        self.head = nn.Linear(11, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = torch.tanh(self.inner(self.words(tokens).mean(1)))
        return self.head(hidden @ self.words.weight.T)

    def groups(self) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
        base = {n: p for n, p in self.named_parameters() if not n.startswith("head")}
        return base, {n: p for n, p in self.named_parameters() if n.startswith("head")}


def loss_at(model: nn.Module, step: int) -> Tensor:
    chance = torch.Generator().manual_seed(step)
    tokens = torch.randint(11, (8, 5), generator=chance)
    return functional.cross_entropy(model(tokens), torch.randint(3, (8,), generator=chance))


def random_mask(seed: int, share: float = 0.3) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    base, _ = Small().groups()
    return {n: (torch.rand(p.numel(), generator=chance) < share).nonzero().flatten() for n, p in base.items()}


def as_booleans(mask: dict[str, Tensor]) -> dict[str, Tensor]:
    booleans = {n: torch.zeros_like(p, dtype=torch.bool) for n, p in Small().groups()[0].items()}
    for name, indices in mask.items():
        booleans[name].view(-1)[indices] = True
    return booleans


def dense_reference(mask: dict[str, Tensor], steps: int, clip: float) -> Small:
    """AdamW on all parameters; gradients outside the mask are set to zero before clipping."""
    model, keep = Small(), as_booleans(mask)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for step in range(steps):
        optimizer.zero_grad()
        loss_at(model, step).backward()
        for name, booleans in keep.items():
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            gradient *= booleans
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return model


def sparse(mask: dict[str, Tensor], steps: int, clip: float) -> Small:
    model = Small()
    entries = MaskedEntries(*model.groups(), mask)
    leaves = list(entries.leaves().values())
    optimizer = torch.optim.AdamW(leaves, lr=1e-2, weight_decay=0.0)
    for step in range(steps):
        loss_at(model, step).backward()
        nn.utils.clip_grad_norm_(leaves, clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        entries.write()
    return model


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_masked_dense_gradients_bit_for_bit(seed: int) -> None:
    mask = random_mask(seed)
    expected, actual = (train(mask, 50, clip=1e9) for train in (dense_reference, sparse))
    for name, parameter in expected.named_parameters():
        assert torch.equal(actual.get_parameter(name), parameter), name


def test_clipping_sees_masked_gradients_alone() -> None:
    """The norm is summed in another order, so the last bits differ."""
    mask = random_mask(0)
    expected, actual = (train(mask, 50, clip=0.05) for train in (dense_reference, sparse))
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(actual.get_parameter(name), parameter, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.1, 1.0]))
def test_unmasked_entries_keep_their_bits(seed: int, share: float) -> None:
    mask = random_mask(seed, share)
    before, after = dict(Small().named_parameters()), sparse(mask, 3, clip=1.0)
    for name, keep in as_booleans(mask).items():
        moved = after.get_parameter(name) != before[name]
        assert not (moved & ~keep).any()


def test_difference_is_what_the_model_moved() -> None:
    mask = random_mask(0)
    model = Small()
    entries = MaskedEntries(*model.groups(), mask)
    optimizer = torch.optim.AdamW(entries.leaves().values(), lr=1e-2)
    loss_at(model, 0).backward()
    optimizer.step()
    entries.write()
    start = dict(Small().named_parameters())
    assert entries.difference().keys() == mask.keys()
    for name, difference in entries.difference().items():
        moved = (model.get_parameter(name) - start[name]).flatten()
        assert torch.equal(moved[mask[name]], difference)
        assert difference.any()


def test_gradients_accumulate() -> None:
    mask = random_mask(0)
    plain, model = Small(), Small()
    entries = MaskedEntries(*model.groups(), mask)
    for step in range(3):
        loss_at(plain, step).backward()
        loss_at(model, step).backward()
    for name, indices in mask.items():
        dense, gathered = plain.get_parameter(name).grad, entries.values[name].grad
        assert dense is not None and gathered is not None
        assert torch.equal(gathered, dense.flatten()[indices])
        assert model.get_parameter(name).grad is None, "a dense gradient is freed at once"


def test_parameters_without_masked_entries_are_frozen() -> None:
    model = Small()
    entries = MaskedEntries(*model.groups(), {"words.weight": torch.tensor([3, 5])})
    loss_at(model, 0).backward()
    assert entries.leaves().keys() == {"base.words.weight", "head.head.weight", "head.head.bias"}
    assert not model.inner.weight.requires_grad and model.inner.weight.grad is None


@pytest.mark.parametrize("masked", [False, True])
def test_the_l1_penalty_has_the_gradient_of_the_distance_from_the_initialization(masked: bool) -> None:
    strength, mask = 0.1, random_mask(0)
    model, start = Small(), Small()
    entries = MaskedEntries(*model.groups(), mask) if masked else AllEntries(*model.groups())
    with torch.no_grad():
        for name, leaf in entries.leaves().items():
            if name.startswith("base."):
                leaf.add_(torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1)).round())  # some stay
    entries.write()
    loss_at(model, 0).backward()
    before = {name: leaf.grad.clone() for name, leaf in entries.leaves().items() if leaf.grad is not None}
    entries.add_l1(strength)

    reference = Small()
    reference.load_state_dict(model.state_dict())
    base, _ = reference.groups()
    (strength * sum((p - start.get_parameter(n)).abs().sum() for n, p in base.items())).backward()
    for name, leaf in entries.leaves().items():
        assert leaf.grad is not None
        penalized = leaf.grad - before[name]
        kind, _, parameter = name.partition(".")
        expected = base[parameter].grad if kind == "base" else torch.zeros_like(leaf)
        assert expected is not None
        if kind == "base" and masked:
            expected = expected.flatten()[mask[parameter]]
        torch.testing.assert_close(penalized, expected, rtol=0, atol=1e-7)


def classifier_steps(base_json: Path, mask: dict[str, Tensor], clipped: float, sparsely: bool) -> Any:
    """A hundred steps on a two-layer XLM-R, dropout included: as deftx takes them, or dense and multiplied."""
    description = base_model.read(base_json)
    model: Any = base_model.classifier(description, pico.LABELS, seed=0).train()
    parameters = parameters_of(model, base_model.encoder_parameters(model, description), Training())
    entries = masked_entries(model, parameters, mask) if sparsely else None
    leaves = list(entries.leaves().values()) if entries else [p for p in model.parameters() if p.requires_grad]
    booleans = {n: torch.zeros(p.numel(), dtype=torch.bool) for n, p in parameters.maskable.items()}
    for name, indices in mask.items():
        booleans[name][indices] = True
    optimizer = torch.optim.AdamW(leaves, lr=1e-3, weight_decay=0.0, fused=clipped < 1)
    for step in range(100):
        torch.manual_seed(step)
        tokens, labels = torch.randint(45, (8, 12)), torch.randint(2, (8,))
        functional.cross_entropy(model(tokens).logits, labels).backward()
        if entries:
            clip(leaves, clipped)
        else:
            for name, parameter in parameters.maskable.items():
                assert parameter.grad is not None
                parameter.grad *= booleans[name].view(parameter.shape)
            nn.utils.clip_grad_norm_(leaves, clipped)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if entries:
            entries.write()
    return model


@pytest.mark.parametrize("clipped", [1e9, 0.05])
def test_a_hundred_steps_of_a_transformer(pico_xlmr: Path, clipped: float) -> None:
    """Bit-equal where clipping is inactive; else by rounding of the norm, key biases aside: their gradient is zero.

    The fused optimizer, which trainings use, rounds the last few entries of a tensor otherwise than those before them,
    and which those are depends on the tensor's length: bit-equality is that of the plain formula.
    """
    start: Any = base_model.classifier(base_model.read(pico_xlmr), pico.LABELS, seed=0)
    chance = torch.Generator().manual_seed(0)
    encoder = base_model.encoder_parameters(start, base_model.read(pico_xlmr))
    mask = {
        name: (torch.rand(p.numel(), generator=chance) < 0.05).nonzero().flatten()
        for name, p in encoder.items()
        if "LayerNorm" not in name
    }
    mine, dense = (classifier_steps(pico_xlmr, mask, clipped, sparsely) for sparsely in (True, False))
    for name, expected in dense.named_parameters():
        found = mine.get_parameter(name)
        if clipped > 1:
            assert torch.equal(found, expected), name
        elif "key.bias" not in name:
            change = (expected - start.get_parameter(name)).norm()
            assert (found - expected).norm() <= 1e-4 * change, name


@given(st.integers(0, 1000), st.sampled_from([1, 7, 1024, 3000]), st.sampled_from([1e-3, 1.0, 1e9]))
def test_clipping_scales_to_the_norm_of_all(seed: int, length: int, limit: float) -> None:
    """Against float64; and rows of zeros change no bit."""
    torch.manual_seed(seed)
    gradients = torch.randn(5, 7), torch.randn(length), torch.tensor([0.5])
    sparse = torch.zeros(50, 7)
    sparse[::10] = gradients[0]
    found = []
    for first in (gradients[0], sparse):
        leaves = [nn.Parameter(torch.zeros_like(g)) for g in (first, *gradients[1:])]
        for leaf, gradient in zip(leaves, (first, *gradients[1:]), strict=True):
            leaf.grad = gradient.clone()
        clip([*leaves, nn.Parameter(torch.zeros(3))], limit)
        found.append([leaf.grad for leaf in leaves])
    norm = float(torch.cat([g.flatten().double() for g in gradients]).norm())
    for gradient, clipped, among_zeros in zip(gradients, *found, strict=True):
        assert clipped is not None and among_zeros is not None
        torch.testing.assert_close(clipped, gradient * min(1.0, limit / norm))
        assert torch.equal(clipped, among_zeros[::10] if among_zeros.shape != clipped.shape else among_zeros)
