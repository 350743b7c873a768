"""Word embeddings that do no work for tokens they do not look up.

A multilingual model's word embeddings are most of its parameters (250,002 x 768 of XLM-R base's 278 M), and a batch
looks up a few hundred rows of them. Where the matrix serves as nothing but a lookup (the output embedding is untied,
or there is none), the gradient of all other rows is zero:

- `TouchedRows` leaves the matrix as it is and hands over the gradient of the rows in the batch; the dense gradient is
  never made (sparse fine-tuning).
- `UsedRows` holds the rows of those tokens alone that the data contains, so that the gradient, the optimizer's state
  and the delta of all others never exist (full fine-tuning).

Both add up the gradients of a token that occurs several times in the order of its occurrences, as nn.Embedding does,
so results are the same to the bit.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Receive = Callable[[Tensor, Tensor], None]
"""Takes ascending row numbers (n) and the gradient of those rows (n x width)."""


def word_lookup(model: Any) -> nn.Embedding | None:
    """Return the model's word embeddings, if their matrix is used as nothing but a lookup."""
    embedding = model.get_input_embeddings()
    uses = [p for _, p in model.named_parameters(remove_duplicate=False) if p is embedding.weight]
    return embedding if type(embedding) is nn.Embedding and len(uses) == 1 else None


class TouchedRows(nn.Module):
    """An embedding that hands the gradient of the rows in a batch to `receive`, and never makes the dense one."""

    def __init__(self, embedding: nn.Embedding, receive: Receive) -> None:
        super().__init__()
        self.weight = embedding.weight
        self.weight.requires_grad_(False)
        self.padding = embedding.padding_idx
        self.receive = receive

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings of token ids (integers of any shape); the result has one axis more."""
        if not torch.is_grad_enabled():
            return functional.embedding(ids, self.weight)
        rows, place = ids.unique(return_inverse=True)
        table = self.weight[rows].requires_grad_()

        def hand_over(leaf: Tensor) -> None:
            assert leaf.grad is not None
            self.receive(rows, leaf.grad)
            leaf.grad = None

        table.register_post_accumulate_grad_hook(hand_over)
        return functional.embedding(place, table, padding_idx=_padding(rows, self.padding))


class UsedRows(nn.Module):
    """An embedding of the token ids `used` alone (ascending); its parameter holds their rows in that order."""

    def __init__(self, embedding: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        used = used.to(embedding.weight.device)
        self.weight = nn.Parameter(embedding.weight.detach()[used])
        self.padding = _padding(used, embedding.padding_idx)
        place = torch.full((embedding.num_embeddings,), -1, dtype=torch.int64, device=used.device)
        place[used] = torch.arange(len(used), device=used.device)
        self.place: Tensor
        self.register_buffer("place", place, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings of token ids (integers of any shape, all used); the result has one axis more."""
        return functional.embedding(self.place[ids], self.weight, padding_idx=self.padding)


def _padding(rows: Tensor, token: int | None) -> int | None:
    """Return where the padding token lies among ascending rows: its gradient is left out, as nn.Embedding does."""
    if token is None:
        return None
    place = int(torch.searchsorted(rows, token))
    return place if place < len(rows) and int(rows[place]) == token else None
