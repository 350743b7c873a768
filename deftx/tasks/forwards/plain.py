"""The plain way: a text or a pair of texts goes through the encoder once, and a classifier reads its first token."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from deftx.models import base_model
from deftx.tasks.objective import Batch, Encoded


def model(description: base_model.Description, labels: Sequence[str], seed: int) -> Any:
    """Return the base with a new head, whose initialization depends on `seed` alone."""
    return base_model.classifier(description, labels, seed)


def encode(tokenizer: Any, rows: Sequence[dict[str, str]], max_length: int) -> list[Encoded]:
    """Return the token ids (and segment ids where the model has them) of each text or pair, cut to `max_length`."""
    if not rows:
        return []
    pairs = [row["pair"] for row in rows] if "pair" in rows[0] else None
    encoded = tokenizer(
        [row["text"] for row in rows], pairs, truncation=True, max_length=max_length, return_attention_mask=False
    )
    return [{name: encoded[name][i] for name in encoded} for i in range(len(rows))]


def logits(model: nn.Module, batch: Batch) -> Tensor:
    """Return the logits of a padded batch (texts x labels)."""
    computed: Tensor = model(**batch).logits
    return computed
