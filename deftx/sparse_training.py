"""Sparse fine-tuning: from theta_start again, only masked entries move, and the sparse vector phi is left.

phi = theta_2 - theta_start at the mask, which was selected from the delta of `deftx.full_training` (Ansell et al. 2022,
section 3.1; Simon & Jyothi 2025, section 3.2).
"""

from collections.abc import Container
from pathlib import Path

import torch
from torch import Tensor

from deftx import sft, training
from deftx.errors import VectorError
from deftx.loop import Record
from deftx.optim import masked_entries, pull_of
from deftx.provenance import code_of
from deftx.sources import sha256_of
from deftx.training import Arrays, Job, arrays


def train(job: Job, mask: Path) -> Record:
    """Train the masked entries, and leave them as an SFT.

    Raises:
        VectorError: mask or start do not fit the base model.
        And what `deftx.training` raises.
    """
    model, objective = training.begin(job)
    pull = pull_of(model, job.lesson.recipe)
    parameters = training.at_start(job, model)
    entries = masked_entries(model, parameters, _positions(mask, job, parameters.maskable))
    shapes = {name: job.base.shapes[name] for name in entries.base}
    selection = sft.read_metadata(mask).selection
    metadata = sft.Metadata(kind="sft", shapes=shapes, selection=selection, **training.origin(job))

    def save(task_head: Arrays) -> None:
        positions = {name: indices.long() for name, indices in entries.mask.items()}
        values = arrays(entries.difference())
        sft.save(sft.Vector(metadata, positions=arrays(positions), values=values, head=task_head), job.out)

    beside = {"mask": sha256_of(mask), "code": code_of("deftx.sparse_training")}
    return training.train(job, model, objective, entries, metadata, beside, save, pull)


def _positions(mask: Path, job: Job, maskable: Container[str]) -> dict[str, Tensor]:
    """Flat indices of the mask's entries by parameter (int64)."""
    vector = sft.load(mask)
    sft.check_fits(vector.metadata, job.base.shapes, job.base.hash, mask, kinds=("mask",))
    for name, positions in vector.positions.items():
        if len(positions) and name not in maskable:
            raise VectorError(
                f"{mask} holds entries of {name}, which does not move in this training. "
                "Take a mask of a training with the same objective and the same freeze_layer_norm"
            )
    return {name: torch.from_numpy(positions) for name, positions in vector.positions.items()}
