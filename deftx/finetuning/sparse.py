"""Sparse fine-tuning: from theta_start again, only masked entries move, and the sparse vector phi is left.

phi = theta_2 - theta_start at the mask, which was selected from the delta of `deftx.finetuning.full` (Ansell et al.
2022, section 3.1; Simon & Jyothi 2025, section 3.2).
"""

from collections.abc import Container
from pathlib import Path

import torch
from torch import Tensor

from deftx.core.errors import VectorError
from deftx.core.integrity import sha256_of
from deftx.finetuning import common
from deftx.finetuning.common import Arrays, Job, arrays
from deftx.modules import vectors
from deftx.training.loop import Record
from deftx.training.trainable import l1_strength, masked_entries


def train(job: Job) -> Record:
    """Train the masked entries, and leave them as an SFT.

    Raises:
        VectorError: mask or start do not fit the base model.
        And what `deftx.finetuning.common` raises.
    """
    assert job.mask is not None
    mask = job.mask
    model, objective = common.begin(job)
    l1 = l1_strength(model, job.data.recipe)
    parameters = common.at_start(job, model)
    entries = masked_entries(model, parameters, _positions(mask, job, parameters.maskable))
    shapes = {name: job.base.shapes[name] for name in entries.base}
    selection = vectors.read_metadata(mask).selection
    metadata = vectors.Metadata(kind="sft", shapes=shapes, selection=selection, **common.origin(job))

    def save(task_head: Arrays) -> None:
        positions = {name: indices.long() for name, indices in entries.mask.items()}
        values = arrays(entries.difference())
        vectors.save(vectors.Vector(metadata, positions=arrays(positions), values=values, head=task_head), job.out)

    identity = {"mask": sha256_of(mask), "code": common.code(job, "deftx.finetuning.sparse")}
    return common.train(job, model, objective, entries, metadata, identity, save, l1)


def _positions(mask: Path, job: Job, maskable: Container[str]) -> dict[str, Tensor]:
    """Return flat indices of the mask's elements by parameter (int64)."""
    vector = vectors.load(mask)
    vectors.check_fits(vector.metadata, job.base.shapes, job.base.hash, mask, kinds=("mask",))
    for name, positions in vector.positions.items():
        if len(positions) and name not in maskable:
            raise VectorError(
                f"{mask} holds entries of {name}, which does not move in this training. "
                "Take a mask of a training with the same objective and the same freeze_layer_norm"
            )
    return {name: torch.from_numpy(positions) for name, positions in vector.positions.items()}
