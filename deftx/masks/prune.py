"""Pruning: the denoised delta at its mask, as a sparse vector that is not trained again.

It is the control for the second training, which restarts from theta_start (Ansell et al. 2022, section 3.1). The values
are those of the denoised delta by which the mask was selected, denoised again by the settings in the mask. A task's
vector has the head of the full fine-tuning.
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
    """Prune a delta's file to a mask that was selected from it, and write an SFT with as many elements.

    One parameter is denoised at a time, by the same arithmetic as for the mask.

    Raises:
        VectorError: a file is corrupted or of another kind, or the mask was selected from another training's delta.
        DeltaError: the delta is not finite.
    """
    torch.set_num_threads(threads())
    selected = vectors.load(mask)
    vector = vectors.load(delta)
    _check_pair(vector.metadata, selected.metadata, delta, mask)
    settings = selected.metadata.selection or {}
    selection = Denoising.model_validate({key: settings[key] for key in Denoising.model_fields if key in settings})
    layout = Layout(vector.metadata.shapes, {name: torch.from_numpy(rows) for name, rows in vector.rows.items()})
    values = {}
    for name, positions in selected.positions.items():
        stored = torch.from_numpy(vector.dense[name])
        if selection.embeddings or not is_embedding(name):
            shape = layout.shapes[name]
            stored = denoise(stored.to(device()), selection.rank, selection.keep, name, shape).values.cpu()
        values[name] = layout.expand(name, stored).flatten()[torch.from_numpy(positions)].numpy()
    metadata = vector.metadata.model_copy(update={"kind": "sft", "selection": selected.metadata.selection})
    pruned = vectors.Vector(metadata, positions=selected.positions, values=values, head=vector.head)
    vectors.save(pruned, out)
    return pruned


def _check_pair(delta: vectors.Metadata, mask: vectors.Metadata, delta_path: Path, mask_path: Path) -> None:
    """Check that a mask was selected from this delta.

    Raises:
        VectorError: it was not; with the fix.
    """
    for metadata, path, kind in ((delta, delta_path, "delta"), (mask, mask_path, "mask")):
        if metadata.kind != kind:
            raise VectorError(f"{path} is a {metadata.kind}, but a {kind} is needed")
    if delta != mask.model_copy(update={"kind": "delta", "selection": delta.selection}):
        raise VectorError(
            f"{mask_path} was not selected from {delta_path}. Pass the delta that it was selected from, "
            "or select a mask from this one (deftx mask)"
        )
