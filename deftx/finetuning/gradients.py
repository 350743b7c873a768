"""Summed gradients: a way to choose a mask without the memory of a full fine-tuning.

The encoder stays at its start while the head trains, and the encoder's gradients over some steps are added up. Their
magnitude takes the place of the delta's when a mask is chosen. That needs one number per entry, in main memory, where
full fine-tuning needs four more on the GPU (gradient, two moments, start).
"""

from typing import Any

import torch
from torch import Tensor, nn

from deftx.finetuning import common
from deftx.finetuning.common import Arrays, Job, arrays
from deftx.models.sparse_embeddings import TouchedRows
from deftx.modules import vectors
from deftx.training.loop import Record
from deftx.training.trainable import Parameters


def train(job: Job) -> Record:
    """Train the head, and leave the sums of the encoder's gradients in the form of a delta.

    Raises:
        VectorError: the start does not fit the base model.
        And what `deftx.finetuning.common` raises.
    """
    model, objective = common.begin(job)
    entries = accumulated_gradients(model, common.at_start(job, model), objective.token_ids())
    shapes = {name: job.base.shapes[name] for name in entries.base}
    metadata = vectors.Metadata(kind="gradient", shapes=shapes, **common.origin(job))

    def save(task_head: Arrays) -> None:
        sums = arrays(entries.difference())
        vectors.save(vectors.Vector(metadata, dense=sums, head=task_head, rows=arrays(entries.rows)), job.out)

    code = {"code": common.code(job, "deftx.finetuning.gradients")}
    return common.train(job, model, objective, entries, metadata, code, save)


class AccumulatedGradients:
    """The head moves; what is left is the sum of the encoder's gradients (float32, in main memory).

    Of word embeddings that are a lookup alone, only the rows of `ids` (ascending) have a sum; all others stay zero.
    """

    def __init__(self, parameters: Parameters, ids: Tensor) -> None:
        self.base, self.head = parameters.maskable, parameters.head
        self.looked_up = parameters.looked_up
        self.ids = ids
        name = self.looked_up
        self.rows = {name: ids} if name is not None and len(ids) < len(self.base[name]) else {}
        self.sums = {name: torch.zeros(len(self.rows.get(name, p)), *p.shape[1:]) for name, p in self.base.items()}
        for name, parameter in self.base.items():
            if name != self.looked_up:
                parameter.register_post_accumulate_grad_hook(self._add(name))

    def _add(self, name: str) -> Any:
        def hook(parameter: Tensor) -> None:
            assert parameter.grad is not None
            self.sums[name] += parameter.grad.cpu()
            parameter.grad = None

        return hook

    def receive_rows(self, rows: Tensor, gradient: Tensor) -> None:
        """Add the gradient of some rows of the word embeddings: row numbers (n), gradient (n x width)."""
        assert self.looked_up is not None
        place = torch.searchsorted(self.ids, rows.cpu())
        self.sums[self.looked_up].index_add_(0, place, gradient.cpu())

    def leaves(self) -> dict[str, nn.Parameter]:
        return {f"head.{name}": parameter for name, parameter in self.head.items()}

    def add_l1(self, strength: float) -> None:
        """Do nothing: at the initialization, the penalty towards it has no gradient."""

    def write(self) -> None:
        """Do nothing: the encoder does not move."""

    def difference(self) -> dict[str, Tensor]:
        return self.sums

    def buffers(self) -> dict[str, Tensor]:
        return self.sums


def accumulated_gradients(model: Any, parameters: Parameters, ids: Tensor) -> AccumulatedGradients:
    """Add up gradients; of word embeddings that are a lookup alone those of the rows in a batch, all among `ids`."""
    entries = AccumulatedGradients(parameters, ids)
    if parameters.looked_up is not None:
        model.set_input_embeddings(TouchedRows(model.get_input_embeddings(), entries.receive_rows))
    return entries
