"""Adapters: bottlenecks between the layers of a frozen encoder (MAD-X, Pfeiffer et al. 2020).

With s = h + x, the sum of a feed-forward block's output h and its input x, which the encoder's layer normalisation LN
would see, a stack of adapters A in a layer computes

    s <- s + A(LN(s))  for each A in order,  then LN(s);        A(z) = U relu(D z + d) + u

so the residual goes around the encoder's own LN, which stands before and after ("Pfeiffer" configuration). A language
adapter also has an invertible one at the embeddings, a coupling of their two halves (e1, e2), section 3.2.3:

    o1 = e1 + F(e2),  o2 = e2 + G(o1);       inverse:  e2 = o2 - G(o1),  e1 = o1 - F(e2)

with bottlenecks F and G; the inverse stands before the output projection of a masked-LM head. A task adapter is stacked
on a language adapter, which is exchanged for that of another language at evaluation.

U, u and their like in F and G start at zero: training begins with what the encoder computes without adapters.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from deftx.core.errors import BaseModelError, ConfigError, VectorError
from deftx.models.base_model import Description
from deftx.models.registry import ARCHITECTURES
from deftx.modules import parameters as parameter_files
from deftx.modules.parameters import check_base
from deftx.modules.parameters import save as save

DEVIATION = 0.02  # standard deviation of D's and its like's first values, as in BERT
Size = Annotated[int, Field(ge=1)]


class Shape(parameter_files.Shape):
    """The sizes of an adapter."""

    width: Size
    """Width of the encoder."""
    layers: Size
    """Layers that have a bottleneck, counted from the first."""
    bottleneck: Size
    """Inner width of the bottlenecks."""
    coupling: Size | None = None
    """Inner width of F and G; without it there is no coupling."""

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter by name, in the order of `Adapter.named_parameters`."""
        sizes = {f"layers.{n}": (self.width, self.bottleneck, self.width) for n in range(self.layers)}
        if self.coupling is not None:
            first, second = halves(self.width)
            sizes |= {
                "coupling.first": (second, self.coupling, first),
                "coupling.second": (first, self.coupling, second),
            }
        return {
            f"{name}.{part}": shape
            for name, (width, inner, out) in sizes.items()
            for part, shape in {
                "down.weight": (inner, width),
                "down.bias": (inner,),
                "up.weight": (out, inner),
                "up.bias": (out,),
            }.items()
        }


def shape_of(description: Description, reduction: int, coupling: int | None, left_out: int) -> Shape:
    """Return the shape of an adapter for a base model.

    Args:
        reduction: inner widths of the bottlenecks are the encoder's width over this, rounded down.
        coupling: that of F and G is half the encoder's width over this; None for no coupling.
        left_out: so many of the last layers have no bottleneck.
    Raises:
        ConfigError: nothing is left of a width, or no layer.
        BaseModelError: the encoder is of a kind adapters do not fit.
    """
    layers, width = _layers_of(description)
    inner = {"reduction": width // reduction, "invertible_reduction": width // 2 // (coupling or 1)}
    for key, size in inner.items():
        if size < 1:
            raise ConfigError(f"{key}: nothing is left of the encoder's width of {width}; give a smaller one")
    if layers <= left_out:
        raise ConfigError(f"leave_out_last: the encoder has {layers} layer, so none is left; set it to false")
    return Shape(
        width=width,
        layers=layers - left_out,
        bottleneck=inner["reduction"],
        coupling=None if coupling is None else inner["invertible_reduction"],
    )


def _layers_of(description: Description) -> tuple[int, int]:
    """Return number and width of the layers of a base model, by the names of its norms in a registered architecture.

    Raises:
        BaseModelError: the names are those of no architecture we know.
    """
    for entry in ARCHITECTURES.values():
        numbers = {
            name.removeprefix(entry.layers).partition(".")[0]
            for name in description.shapes
            if name.startswith(entry.layers)
        }
        norms = (f"{entry.layers}{number}.{entry.adapter_norm}.weight" for number in numbers)
        widths = {tuple(description.shapes.get(name, ())) for name in (f"{entry.embedding_norm}.weight", *norms)}
        if numbers and len(widths) == 1 and () not in widths:
            ((width,),) = widths
            return len(numbers), width
    raise BaseModelError(f"{description.name}: {UNKNOWN}")


def _norms_of(encoder: Any) -> list[nn.Module] | None:
    """Return the norm of each layer around which adapters stand; None in no architecture we know."""
    for entry in ARCHITECTURES.values():
        try:
            layers = encoder.get_submodule(entry.layers.removesuffix("."))
            return [layer.get_submodule(entry.adapter_norm) for layer in layers]
        except AttributeError:
            continue
    return None


def halves(width: int) -> tuple[int, int]:
    """Return the sizes of the two parts into which a coupling cuts vectors of `width`."""
    return width // 2, width - width // 2


class Bottleneck(nn.Module):
    """U relu(D z + d) + u."""

    def __init__(self, width: int, inner: int, out: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, out)
        nn.init.normal_(self.down.weight, std=DEVIATION)
        for tensor in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(tensor)

    def forward(self, states: Tensor) -> Tensor:
        """Map [..., width] to [..., out]."""
        return self.up(torch.relu(self.down(states)))


class Coupling(nn.Module):
    """An invertible adapter (NICE: Dinh et al. 2015) from [..., width] to [..., width]."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.cut = halves(width)
        first, second = self.cut
        self.first, self.second = Bottleneck(second, inner, first), Bottleneck(first, inner, second)

    def forward(self, states: Tensor) -> Tensor:
        first, second = states.split(self.cut, dim=-1)
        first = first + self.first(second)
        return torch.cat((first, second + self.second(first)), dim=-1)

    def inverse(self, states: Tensor) -> Tensor:
        """Invert `forward`, up to rounding."""
        first, second = states.split(self.cut, dim=-1)
        second = second - self.second(first)
        return torch.cat((first - self.first(second), second), dim=-1)


class Adapter(nn.Module):
    """A bottleneck for each layer and, in a language adapter, the coupling."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.layers = nn.ModuleList(Bottleneck(width, shape.bottleneck, width) for _ in range(shape.layers))
        self.coupling = None if shape.coupling is None else Coupling(width, shape.coupling)


UNKNOWN = "adapters do not fit its layers; use a model of BERT's or RoBERTa's kind"


def insert(model: Any, stack: Sequence[Adapter]) -> None:
    """Stack adapters into a transformers model, the first one innermost, and register them as `base_model.adapters`.

    The stack ends with its shallowest adapter: where a task adapter leaves out the last layer, so does the language
    adapter below it (MAD-X 2.0).

    Raises:
        BaseModelError: the model's layers are not those of a BERT or RoBERTa.
    """
    encoder = model.base_model
    norms, embeddings = _norms_of(encoder), getattr(encoder, "embeddings", None)
    if norms is None or embeddings is None:
        raise BaseModelError(f"{type(model).__name__}: {UNKNOWN}")
    encoder.add_module("adapters", nn.ModuleList(stack))
    for norm, *bottlenecks in zip(norms, *(adapter.layers for adapter in stack), strict=False):
        norm.register_forward_pre_hook(_around(bottlenecks))
    output = model.get_output_embeddings()
    for coupling in (adapter.coupling for adapter in stack if adapter.coupling is not None):
        embeddings.register_forward_hook(_after(coupling))
        if output is not None:
            output.register_forward_pre_hook(_before(coupling.inverse))


def _around(bottlenecks: Sequence[nn.Module]) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
    def hook(norm: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        (summed,) = inputs
        for bottleneck in bottlenecks:
            summed = summed + bottleneck(norm.forward(summed))  # a call would run this hook again
        return summed

    return hook


def _after(coupling: Coupling) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    return lambda module, inputs, output: coupling(output)


def _before(inverse: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
    return lambda module, inputs: inverse(inputs[0])


class Metadata(parameter_files.Metadata):
    """Where an adapter comes from."""

    kind: Literal["adapter"] = "adapter"
    shape: Shape


Stored = parameter_files.Stored[Metadata]
"""What a file holds of an adapter."""


def load(path: Path) -> Stored:
    """Read and check an adapter.

    Raises:
        VectorError: the file is missing, cut short, changed, or not an adapter; the message names the file and the fix.
    """
    return parameter_files.load(path, Metadata, "an adapter")


def module_of(stored: Stored) -> Adapter:
    """Return a stored adapter as a module whose parameters do not move."""
    adapter = Adapter(stored.metadata.shape)
    adapter.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in stored.parameters.items()})
    return adapter.requires_grad_(False)


def check(terms: Sequence[tuple[Path, Stored, float]], description: Description) -> None:
    """Check that adapters, given with their files and weights, belong to a base model and stack on one another.

    Raises:
        VectorError: one was made for another base, has a weight other than 1, or there are several of one role.
    """
    for path, stored, weight in terms:
        check_base(stored, description, path)
        if weight != 1:
            raise VectorError(f"{path} is an adapter, which is stacked and not added: leave out its weight of {weight}")
    for role in ("language", "task"):
        paths = [str(path) for path, stored, _ in terms if stored.metadata.role == role]
        if len(paths) > 1:
            raise VectorError(f"several adapters of a {role} ({', '.join(paths)}); give one of each role at most")


def apply(model: Any, description: Description, terms: Sequence[tuple[Stored, float]]) -> None:
    """Stack the language adapter, and on it the task adapter, into a model."""
    stack = sorted((stored for stored, _ in terms), key=lambda stored: stored.metadata.role)  # language before task
    insert(model, [module_of(stored) for stored in stack])
