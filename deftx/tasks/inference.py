"""Probabilities of labels for rows: what evaluation during training and prediction have in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from deftx.tasks.objective import Batch, Encoded, ForwardPass


def padded(tokenizer: Any, texts: Sequence[Encoded]) -> Batch:
    """Return a batch padded to its longest member."""
    return dict(tokenizer.pad(list(texts), return_tensors="pt", padding="longest", return_attention_mask=True))


@torch.inference_mode()
def probabilities(
    model: Any,
    forward: ForwardPass,
    tokenizer: Any,
    texts: Sequence[Encoded],
    batch_size: int = 64,
    process: int = 0,
    processes: int = 1,
) -> np.ndarray[Any, Any]:
    """Return the probability of each label for each text (texts x labels, float64), in the order of the texts.

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
        numbers = order[start : start + batch_size]
        batch = {k: v.to(device) for k, v in padded(tokenizer, [texts[i] for i in numbers]).items()}
        result[numbers] = forward.logits(model, batch).double().softmax(-1).cpu().numpy()
    model.train(training)
    return result
