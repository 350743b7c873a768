"""LoRA: differences of low rank to the weight matrices of an encoder (Hu et al. 2022, section 4.1).

With a matrix W of the base, factors A (r x in) and B (out x r) and a number alpha, the model computes with

    W + (alpha / r) B A

Language and task are learned apart and added, each with its weight (language and task arithmetic with modules of few
parameters, Chronopoulou et al. 2023; task arithmetic, Ilharco et al. 2023):

    W + w_task (alpha_t / r_t) B_t A_t + w_language (alpha_l / r_l) B_l A_l

Training begins with B = 0 (`deftx.finetuning.lora`). Numpy only: reading and checking LoRA needs no torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deftx.config.modules import Lora
from deftx.core.errors import ConfigError, VectorError
from deftx.models.architectures import is_target
from deftx.models.base_model import Description, encoder_parameters
from deftx.modules import parameters as parameter_files
from deftx.modules.parameters import check_base
from deftx.modules.parameters import save as save

Size = Annotated[int, Field(ge=1)]


class Shape(parameter_files.Shape):
    """The sizes of LoRA."""

    rank: Size
    """r, the rows of A and the columns of B."""
    alpha: Size
    matrices: Annotated[dict[str, tuple[Size, Size]], Field(min_length=1)]
    """Shape [out, in] of every base parameter that is adapted, by its name there, in the base's order."""

    @property
    def scale(self) -> float:
        """alpha / r."""
        return self.alpha / self.rank

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every factor by name: A.NAME is [r, in], B.NAME is [out, r]."""
        return {
            f"{factor}.{name}": shape
            for name, (out, width) in self.matrices.items()
            for factor, shape in (("A", (self.rank, width)), ("B", (out, self.rank)))
        }


def shape_of(description: Description, sizes: Lora) -> Shape:
    """Return the shape of LoRA for a base model: every target in the encoder's layers is adapted.

    Raises:
        ConfigError: a target names no weight matrix of a layer, or the rank is larger than such a matrix has.
    """
    adapted: dict[str, tuple[int, int]] = {}
    for name, shape in description.shapes.items():
        module, _, kind = name.rpartition(".")
        if kind == "weight" and len(shape) == 2 and in_layer(module) and is_target(module, sizes.targets):
            adapted[name] = (shape[0], shape[1])
    for target in sizes.targets:
        if not any(is_target(name.rpartition(".")[0], (target,)) for name in adapted):
            raise ConfigError(
                f"targets: no weight matrix in the layers of {description.name} is called {target}; name modules as "
                "the model does, such as query, key, value, dense"
            )
    for name, matrix in adapted.items():
        if sizes.rank > min(matrix):
            raise ConfigError(f"rank: {sizes.rank} is more than {name} of shape {list(matrix)} has; give a smaller one")
    return Shape(rank=sizes.rank, alpha=sizes.alpha, matrices=adapted)


def in_layer(module: str) -> bool:
    """Return whether a module, by its dotted name, lies in one of the encoder's numbered layers."""
    return any(part.isdigit() for part in module.split("."))


class Metadata(parameter_files.Metadata):
    """Where LoRA comes from."""

    kind: Literal["lora"] = "lora"
    shape: Shape


Stored = parameter_files.Stored[Metadata]
"""What a file holds of LoRA: the factors `A.NAME` and `B.NAME`."""


def load(path: Path) -> Stored:
    """Read and check LoRA.

    Raises:
        VectorError: the file is missing, cut short, changed, or not LoRA; the message names the file and the fix.
    """
    return parameter_files.load(path, Metadata, "LoRA")


def difference(stored: Stored, name: str) -> NDArray[np.float32]:
    """Return (alpha / r) B A, what LoRA adds to the base parameter `name` ([out, in])."""
    product: NDArray[np.float32] = stored.parameters[f"B.{name}"] @ stored.parameters[f"A.{name}"]
    return np.float32(stored.metadata.shape.scale) * product


def check(terms: Sequence[tuple[Path, Stored, float]], description: Description) -> None:
    """Check that LoRA, given with files and weights, belongs to a base model.

    Raises:
        VectorError: it was made for another base, or adapts a matrix that this one does not have.
    """
    for path, stored, _ in terms:
        check_base(stored, description, path)
        for name, shape in stored.metadata.shape.matrices.items():
            if description.shapes.get(name) != list(shape):
                raise VectorError(f"{path} adapts {name} of shape {list(shape)}, which the base does not have")


def apply(model: Any, description: Description, terms: Sequence[tuple[Stored, float]]) -> None:
    """Add weighted LoRA to a model's own parameters: an entry becomes entry + float32(weight x difference), one module
    after the other."""
    import torch

    parameters = encoder_parameters(model, description)
    for stored, weight in terms:
        for name in stored.metadata.shape.matrices:
            moved = np.float32(weight) * difference(stored, name)
            parameters[name].data += torch.from_numpy(moved).to(parameters[name].device)
