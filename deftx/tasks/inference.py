"""A classifier's probabilities for texts or pairs of texts: what validation and prediction have in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from deftx.tasks.objective import Batch


def tokenise(tokenizer: Any, rows: Sequence[dict[str, str]], max_length: int) -> list[dict[str, list[int]]]:
    """Token ids (and segment ids where the model has them) of each text or pair."""
    if not rows:
        return []
    pairs = [row["pair"] for row in rows] if "pair" in rows[0] else None
    encoded = tokenizer(
        [row["text"] for row in rows], pairs, truncation=True, max_length=max_length, return_attention_mask=False
    )
    return [{name: encoded[name][i] for name in encoded} for i in range(len(rows))]


def padded(tokenizer: Any, texts: Sequence[dict[str, list[int]]]) -> Batch:
    """A batch padded to its longest member."""
    return dict(tokenizer.pad(list(texts), return_tensors="pt", padding="longest", return_attention_mask=True))


@torch.inference_mode()
def probabilities(
    model: Any,
    tokenizer: Any,
    texts: Sequence[dict[str, list[int]]],
    batch_size: int = 64,
    process: int = 0,
    processes: int = 1,
) -> np.ndarray[Any, Any]:
    """Probability of each label for each text (texts x labels, float64), in the order of the texts.

    Texts are run in order of length, so that a batch holds little padding. Of several processes each runs its share of
    the batches, and leaves zeros for the others'.
    """
    from tqdm import tqdm

    training, device = model.training, next(model.parameters()).device
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]["input_ids"]))
    result = np.zeros((len(texts), model.config.num_labels))
    share = range(process * batch_size, len(order), processes * batch_size)
    for start in tqdm(share, desc="evaluate", disable=None, leave=False):
        some = order[start : start + batch_size]
        batch = {k: v.to(device) for k, v in padded(tokenizer, [texts[i] for i in some]).items()}
        result[some] = model(**batch).logits.double().softmax(-1).cpu().numpy()
    model.train(training)
    return result
