"""What an optimizer step may move: all trainable parameters, or the elements of a mask.

Both kinds offer the same few things to the training loop. The masked one keeps gradients and optimizer state
for the masked entries only: a parameter's dense gradient is gathered at the mask and freed as soon as it is
accumulated, which also means that clipping sees the masked gradients alone.

Several processes sum their gradients here (`sum_gradients`), not by DistributedDataParallel: that would reduce dense
gradients which the gathering has freed, and every process would go on with zeros.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from deftx.config.training import Training
from deftx.models.parameter_names import is_norm
from deftx.models.sparse_embeddings import TouchedRows, UsedRows, word_lookup
from deftx.training.distributed import all_reduce

ROW = 1024  # entries of a vector whose norm is taken in float32


WRAPPED = "deftx sums the gradients of several processes itself; do not wrap the model in DistributedDataParallel"


class Entries(Protocol):
    """What one training phase moves."""

    head: dict[str, nn.Parameter]
    """What the base does not have, by the model's names; it moves in full."""

    def leaves(self) -> dict[str, nn.Parameter]:
        """Return the tensors the optimizer updates, by a stable name."""

    def add_l1(self, strength: float) -> None:
        """Add the gradient of the L1 penalty `strength` x sum |theta - theta_start| over the base's elements."""

    def write(self) -> None:
        """Make the model hold the current values (after an optimizer step, or after a restore)."""

    def difference(self) -> dict[str, Tensor]:
        """Return theta - theta_start of the base's elements, float32, by parameter name."""

    def buffers(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to hold in addition to the leaves; a restore fills these tensors."""


class AllEntries:
    """Full fine-tuning: every trainable parameter moves.

    `rows` names matrices that hold some rows of the base's parameter alone (ascending numbers); the others never move.
    """

    def __init__(
        self,
        base: Mapping[str, nn.Parameter],
        head: Mapping[str, nn.Parameter],
        rows: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.base = dict(base)
        self.head = dict(head)
        self.rows = dict(rows or {})
        self.start = {name: parameter.detach().clone() for name, parameter in base.items()}

    def leaves(self) -> dict[str, nn.Parameter]:
        return _named("base", self.base) | _named("head", self.head)

    def add_l1(self, strength: float) -> None:
        for name, parameter in self.base.items():
            if parameter.grad is not None:
                parameter.grad.add_(torch.sign(parameter.detach() - self.start[name]), alpha=strength)

    def write(self) -> None:
        """Do nothing: the optimizer updates the model's own tensors."""

    def difference(self) -> dict[str, Tensor]:
        return {name: p.detach() - self.start[name] for name, p in self.base.items()}

    def buffers(self) -> dict[str, Tensor]:
        return {}


class MaskedEntries:
    """Sparse fine-tuning: only masked entries and the head move (Ansell et al. 2022, section 3.1).

    The mask gives flat ascending indices by parameter name. The parameter named `looked_up` gets no dense gradient:
    its rows' gradients arrive through `receive_rows`.
    """

    def __init__(
        self,
        base: Mapping[str, nn.Parameter],
        head: Mapping[str, nn.Parameter],
        mask: Mapping[str, Tensor],
        looked_up: str | None = None,
    ) -> None:
        self.head = dict(head)
        self.base: dict[str, nn.Parameter] = {}
        self.mask: dict[str, Tensor] = {}
        self.values: dict[str, nn.Parameter] = {}
        self.looked_up = looked_up
        for name, parameter in base.items():
            indices = mask.get(name, torch.empty(0, dtype=torch.int64))
            parameter.requires_grad_(len(indices) > 0 and name != looked_up)
            if len(indices):
                small = parameter.numel() <= torch.iinfo(torch.int32).max
                self.base[name] = parameter
                self.mask[name] = indices.to(parameter.device, torch.int32 if small else torch.int64)
                self.values[name] = nn.Parameter(parameter.detach().view(-1)[self.mask[name]])
                if name != looked_up:
                    parameter.register_post_accumulate_grad_hook(self._gather(name))
        self.start = {name: values.detach().clone() for name, values in self.values.items()}
        if looked_up in self.mask:
            height, width = base[looked_up].shape
            borders = torch.arange(height + 1, device=self.mask[looked_up].device) * width
            self._first = torch.searchsorted(self.mask[looked_up], borders.to(self.mask[looked_up].dtype))

    def _gather(self, name: str) -> Any:
        def hook(parameter: Tensor) -> None:
            assert parameter.grad is not None
            gathered = parameter.grad.view(-1)[self.mask[name]]
            values = self.values[name]
            values.grad = gathered if values.grad is None else values.grad.add_(gathered)
            parameter.grad = None

        return hook

    def receive_rows(self, rows: Tensor, gradient: Tensor) -> None:
        """Gather the masked elements of rows' gradient: ascending row numbers (n), gradient (n x width)."""
        assert self.looked_up is not None
        values, mask, width = self.values[self.looked_up], self.mask[self.looked_up], gradient.shape[1]
        first, counts = self._first[rows], self._first[rows + 1] - self._first[rows]
        row = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
        within = torch.arange(len(row), device=rows.device) - (counts.cumsum(0) - counts)[row]
        entries = first[row] + within  # numbers of the masked entries that lie in these rows
        gathered = gradient.view(-1)[mask[entries] - (rows[row] - row) * width]
        if values.grad is None:
            values.grad = torch.zeros_like(values)
        values.grad.index_add_(0, entries, gathered)

    def leaves(self) -> dict[str, nn.Parameter]:
        return _named("base", self.values) | _named("head", self.head)

    def add_l1(self, strength: float) -> None:
        for name, values in self.values.items():
            if values.grad is not None:
                values.grad.add_(torch.sign(values.detach() - self.start[name]), alpha=strength)

    @torch.no_grad()
    def write(self) -> None:
        for name, values in self.values.items():
            self.base[name].view(-1).index_copy_(0, self.mask[name].long(), values)

    def difference(self) -> dict[str, Tensor]:
        return {name: v.detach() - self.start[name] for name, v in self.values.items()}

    def buffers(self) -> dict[str, Tensor]:
        return {}


def _named(prefix: str, group: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    return {f"{prefix}.{name}": parameter for name, parameter in group.items()}


@dataclass(frozen=True)
class Parameters:
    """A model's parameters as a phase sees them. What is in neither group stays as it is.

    `maskable` are the base's that may move, by the base's names; `head` is whatever the base does not have.
    """

    maskable: dict[str, nn.Parameter]
    head: dict[str, nn.Parameter]
    looked_up: str | None
    """Name of the word embeddings, if they are maskable and serve as nothing but a lookup."""


def parameters_of(model: Any, base: Mapping[str, nn.Parameter], recipe: Training) -> Parameters:
    """Group a model's parameters, and freeze what does not move: layer normalisation under `freeze_layer_norm`.

    Args:
        model: a transformers model, not wrapped for several processes.
        base: those of its parameters that belong to the base model, by their names there.
    Raises:
        TypeError: the model is wrapped in DistributedDataParallel.
    """
    if isinstance(model, DistributedDataParallel):
        raise TypeError(WRAPPED)
    owned = {id(parameter) for parameter in base.values()}
    moving = ((name, p) for name, p in model.named_parameters() if id(p) not in owned and p.requires_grad)
    head = dict(moving)
    maskable = {name: p for name, p in base.items() if is_maskable(name, recipe)}
    for name, parameter in base.items():
        parameter.requires_grad_(name in maskable)
    lookup = word_lookup(model)
    return Parameters(maskable, head, next((n for n, p in maskable.items() if lookup and p is lookup.weight), None))


def l1_strength(model: nn.Module, recipe: Training) -> float:
    """Return the strength of the L1 penalty per element: it counts all parameters of a model that is still whole."""
    return recipe.l1 / sum(parameter.numel() for parameter in model.parameters())


def all_entries(model: Any, parameters: Parameters, ids: Tensor) -> AllEntries:
    """Return all trainable parameters. Word embeddings that are a lookup alone keep the rows of `ids` (ascending)."""
    name, embedding = parameters.looked_up, model.get_input_embeddings()
    if name is None or len(ids) == embedding.num_embeddings:
        return AllEntries(parameters.maskable, parameters.head)
    used = UsedRows(embedding, ids)
    model.set_input_embeddings(used)
    return AllEntries(parameters.maskable | {name: used.weight}, parameters.head, {name: ids})


def masked_entries(model: Any, parameters: Parameters, mask: Mapping[str, Tensor]) -> MaskedEntries:
    """Return the elements of a mask. Word embeddings that are a lookup alone give gradients of the rows in a batch."""
    entries = MaskedEntries(parameters.maskable, parameters.head, mask, parameters.looked_up)
    model.base_model.register_forward_pre_hook(_refuse_wrapping)
    if parameters.looked_up in entries.mask:
        model.set_input_embeddings(TouchedRows(model.get_input_embeddings(), entries.receive_rows))
    return entries


def _refuse_wrapping(*_: Any) -> None:
    """Refuse a model that was wrapped after its elements were chosen, as soon as the wrapper runs it."""
    if DistributedDataParallel._get_active_ddp_module() is not None:
        raise TypeError(WRAPPED)


def is_maskable(name: str, recipe: Training) -> bool:
    """Return whether a base parameter may move under this recipe."""
    return not (recipe.freeze_layer_norm and is_norm(name))


@torch.no_grad()
def clip(leaves: Iterable[nn.Parameter], limit: float) -> None:
    """Scale gradients down to a norm of `limit`.

    Norms of rows are float32 and their squares are summed in float64: rows of zeros change no bit of it, so leaving
    out rows that never move gives the same result; and a float32 sum over a whole embedding would be off by percents.
    """
    moved = [leaf for leaf in leaves if leaf.grad is not None]
    norms = [torch.linalg.vector_norm(r, dim=1) for leaf in moved if leaf.grad is not None for r in _rows(leaf.grad)]
    if moved and (norm := torch.cat(norms).double().square().sum().sqrt()) > limit:
        nn.utils.clip_grads_with_norm_(moved, limit, norm.float())


def _rows(gradient: Tensor) -> tuple[Tensor, ...]:
    """Return a gradient as matrices; a vector is cut into rows, and a remainder is a row of its own."""
    if gradient.ndim > 1:
        return (gradient.flatten(1),)
    whole = len(gradient) // ROW * ROW
    return gradient[:whole].view(-1, ROW), gradient[None, whole:]


def sum_gradients(leaves: Iterable[nn.Parameter]) -> None:
    """Sum the gradients of all processes, in place; a process without a gradient adds zeros."""
    for leaf in leaves:
        if leaf.grad is None:
            leaf.grad = torch.zeros_like(leaf)
        all_reduce(leaf.grad)
