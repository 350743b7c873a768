"""Pruning: the denoised delta itself at its mask, as a sparse vector that is not trained again.

The control for the second training (Ansell et al. 2022, section 3.1, start it anew from theta_start): the values are
those of the denoised delta the mask was chosen by, denoised once more as the mask says. A task's vector has the head of
the full fine-tuning.
"""

from pathlib import Path

import torch

from deftx.config.masks import Denoising
from deftx.core.errors import VectorError
from deftx.core.provenance import threads
from deftx.core.runtime import device
from deftx.masks.denoise import denoise
from deftx.masks.zero_rows import Layout
from deftx.models.parameter_names import is_embedding
from deftx.modules import vectors


def build(delta: Path, mask: Path, out: Path) -> vectors.Vector:
    """Prune a delta's file to a mask that was selected from it; writes an SFT of as many entries.

    One parameter is denoised at a time, by the same arithmetic the mask was selected with.

    Raises:
        VectorError: a file is damaged or of another kind, or the mask was selected from another training's delta.
        DeltaError: the delta is not finite.
    """
    torch.set_num_threads(threads())
    chosen = vectors.load(mask)
    vector = vectors.load(delta)
    _check_pair(vector.metadata, chosen.metadata, delta, mask)
    recorded = chosen.metadata.selection or {}
    selection = Denoising.model_validate({key: recorded[key] for key in Denoising.model_fields if key in recorded})
    layout = Layout(vector.metadata.shapes, {name: torch.from_numpy(rows) for name, rows in vector.rows.items()})
    values = {}
    for name, positions in chosen.positions.items():
        stored = torch.from_numpy(vector.dense[name])
        if selection.embeddings or not is_embedding(name):
            shape = layout.shapes[name]
            stored = denoise(stored.to(device()), selection.rank, selection.keep, name, shape).values.cpu()
        values[name] = layout.expanded(name, stored).flatten()[torch.from_numpy(positions)].numpy()
    metadata = vector.metadata.model_copy(update={"kind": "sft", "selection": chosen.metadata.selection})
    pruned = vectors.Vector(metadata, positions=chosen.positions, values=values, head=vector.head)
    vectors.save(pruned, out)
    return pruned


def _check_pair(delta: vectors.Metadata, mask: vectors.Metadata, delta_path: Path, mask_path: Path) -> None:
    """Refuse a mask that was not selected from this delta.

    Raises:
        VectorError: named, with the way out.
    """
    for metadata, path, kind in ((delta, delta_path, "delta"), (mask, mask_path, "mask")):
        if metadata.kind != kind:
            raise VectorError(f"{path} is a {metadata.kind}, where a {kind} is needed")
    if delta != mask.model_copy(update={"kind": "delta", "selection": delta.selection}):
        raise VectorError(
            f"{mask_path} was not selected from {delta_path}; name the delta it was selected from, "
            "or select a mask from this one (deftx mask)"
        )
