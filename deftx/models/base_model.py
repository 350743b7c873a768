"""The base model: what it is, its hash, and models built from it.

The hash covers the encoder's weights as float32 (names, shapes, bytes), so two copies of a checkpoint in
different precision or folders have one hash when their weights are equal.
"""

import hashlib
import os
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deftx.core.errors import BaseModelError
from deftx.core.integrity import damaged, read_json, sha256_of, write_json
from deftx.models.parameter_names import is_word_embedding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Description:
    """What base.json says, the identity of the base model, and where the model lies now."""

    model: str | None
    """Hub id or folder as the experiment gives it; None when the workflow trained it."""
    revision: str | None
    hash: str
    """Hash of the encoder's weights."""
    tokenizer: str
    """Hash of the tokenizer."""
    shapes: dict[str, list[int]]
    """Shape of every encoder parameter the checkpoint holds, in the model's order."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every file of a model that the workflow trained, by name: its head and settings have no other hash."""
    location: str = ""
    """Where the model is loaded from; not written to base.json."""

    @property
    def name(self) -> str:
        """What to call the base model in metadata and messages."""
        return self.model or "trained by the workflow"


def read(path: Path) -> Description:
    """Read base.json. A model the workflow trained lies in the folder `base` beside it, and is checked where it does.

    Raises:
        ResultError: base.json is missing or damaged.
        BaseModelError: it describes no base model, or a file of the model is missing or damaged.
    """
    content = read_json(path)
    try:
        location = where(content["model"]) if content["model"] else str(path.parent / "base")
        description = Description(**content, location=location)
    except (TypeError, KeyError) as error:
        raise BaseModelError(f"{path} is not a description of a base model ({error}); run snakemake") from None
    folder = Path(location)
    for name, digest in description.files.items() if folder.is_dir() else ():
        file = folder / name
        if not file.is_file():
            raise BaseModelError(damaged(file, "it is missing", path))
        if sha256_of(file) != digest:
            raise BaseModelError(damaged(file, "it does not match its checksum", path))
    return description


def where(model: str) -> str:
    """Return where a named model lies: the environment variable DEFTX_BASE goes before its name."""
    return os.environ.get("DEFTX_BASE") or model


def is_path(model: str) -> bool:
    """Return whether the name of a model can only be that of a folder, and not of a model on the hub."""
    return model.startswith((".", "/", "~")) or model == os.environ.get("DEFTX_BASE")


def describe(model: str | None, revision: str | None, location: str, out: Path) -> Description:
    """Load the base model at `location`, and write its description to `out`.

    Raises:
        BaseModelError: it cannot be loaded.
    """
    state = weights(location, revision)
    tokenizer = _tokenizer_bytes(load_tokenizer(location, revision))
    description = Description(
        model=model,
        revision=revision,
        hash=_hash(state),
        tokenizer=hashlib.sha256(tokenizer).hexdigest(),
        shapes={name: list(tensor.shape) for name, tensor in state.items()},
        files={} if model else {file.name: sha256_of(file) for file in sorted(Path(location).iterdir())},
        location=location,
    )
    content = asdict(description)
    del content["location"]
    if not description.files:
        del content["files"]
    write_json(out, content)
    return description


def weights(location: str, revision: str | None = None) -> "dict[str, Tensor]":
    """Return the encoder's parameters that the checkpoint holds, as float32, in the model's order."""
    from transformers import AutoModel

    with _explained(location):
        encoder, loading = AutoModel.from_pretrained(
            location, revision=revision, dtype="float32", output_loading_info=True
        )
    missing = set(loading["missing_keys"])
    return {n: p.detach() for n, p in encoder.named_parameters() if n not in missing}


def masked_lm(description: Description, untied: bool, seed: int) -> "PreTrainedModel":
    """Return the base with its masked-LM head; `untied`, the output embedding is a copy of the input's.

    What the checkpoint lacks of the head gets an initialization that depends on `seed` alone.
    """
    import torch
    from torch.nn import Parameter
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(seed)
    with _explained(description.location):
        loaded = AutoModelForMaskedLM.from_pretrained(
            description.location, revision=description.revision, dtype="float32"
        )
    if untied:
        decoder = loaded.get_output_embeddings()
        decoder.weight = Parameter(decoder.weight.detach().clone())
        loaded.config.tie_word_embeddings = False
    _verify(loaded, description)
    return loaded


def classifier(description: Description, labels: "Sequence[str]", seed: int) -> "PreTrainedModel":
    """Return the base with a new classification head, whose initialization depends on `seed` alone."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    with _explained(description.location):
        loaded = AutoModelForSequenceClassification.from_pretrained(
            description.location,
            revision=description.revision,
            dtype="float32",
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: n for n, label in enumerate(labels)},
        )
    _verify(loaded, description)
    return loaded


def load_tokenizer(location: str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """Load the base model's tokenizer."""
    from transformers import AutoTokenizer

    with _explained(location):
        return AutoTokenizer.from_pretrained(location, revision=revision)


def tokenizer(description: Description) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of the base model, checked to be the one base.json describes.

    Raises:
        BaseModelError: it is a different one.
    """
    loaded = load_tokenizer(description.location, description.revision)
    if hashlib.sha256(_tokenizer_bytes(loaded)).hexdigest() != description.tokenizer:
        raise BaseModelError(
            f"{description.location} does not hold the tokenizer that base.json describes "
            f"(hash {description.tokenizer[:12]}). Give that model again, or delete base.json to start over"
        )
    return loaded


def encoder_parameters(model: "PreTrainedModel", description: Description) -> dict[str, Any]:
    """Return the parameters of a model that belong to the base, by their name in the encoder.

    Taken from `model.base_model`: XLMRobertaForMaskedLM reports the tied embedding under its head's name.
    """
    parameters = {n: p for n, p in model.base_model.named_parameters() if n in description.shapes}
    if not any(map(is_word_embedding, parameters)):
        raise BaseModelError(f"{description.name}: no word embeddings among its parameters; not supported")
    return parameters


def _verify(model: "PreTrainedModel", description: Description) -> None:
    """Check that the loaded weights are those base.json describes.

    A classifier may lack parameters of the encoder (a pooler), a masked-LM too: only what is there is compared,
    unless all is there.
    """
    state = {n: p.detach() for n, p in encoder_parameters(model, description).items()}
    missing = description.shapes.keys() - state.keys()
    if missing:
        full = weights(description.location, description.revision)
        state = {n: state.get(n, full[n]) for n in full}
    if _hash({n: state[n] for n in description.shapes}) != description.hash:
        raise BaseModelError(
            f"{description.location} does not hold the weights that base.json describes "
            f"(hash {description.hash[:12]}). Give that model again, or delete base.json to start over with this one"
        )


def _hash(state: "dict[str, Tensor]") -> str:
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _tokenizer_bytes(tokenizer: "PreTrainedTokenizerBase") -> bytes:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise BaseModelError("the base model has no fast tokenizer (tokenizer.json); convert it first")
    return str(backend.to_str()).encode()


@contextmanager
def _explained(location: str) -> "Iterator[None]":
    """Turn what the libraries raise for a wrong model into one message, and keep them quiet."""
    from transformers.utils import logging

    from deftx.data import hub

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    is_folder = Path(location).is_dir()
    if is_path(location) and not is_folder:
        key = "DEFTX_BASE" if location == os.environ.get("DEFTX_BASE") else "base.model"
        home = "; ~ does not stand for the home folder there" if location.startswith("~") else ""
        raise BaseModelError(f"there is no folder {location}. Correct {key}{home}")
    if is_folder and not (Path(location) / "config.json").is_file():
        raise BaseModelError(
            f"{location} holds no config.json, so it is not a model folder. Name the folder with config.json, "
            "tokenizer.json and model.safetensors"
        )
    try:
        with nullcontext() if is_folder else hub.settled():
            yield
    except (OSError, ValueError, KeyError) as error:
        problem = hub.reason(error) or hub.first_line(error)
        raise BaseModelError(
            f"the base model {location} cannot be loaded ({problem}). Check base.model and the connection, "
            "or set DEFTX_BASE to a local folder of the model"
        ) from error
