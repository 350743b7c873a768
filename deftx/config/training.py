"""Training: length, learning rate and arithmetic, and the settings of each objective."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deftx.config.common import Share, Strict


class Phase(Strict):
    """Length and learning rate of one training phase."""

    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the training examples; without it `max_steps` decides."""
    min_steps: Annotated[int, Field(ge=0)] = 0
    """Minimum number of optimizer steps."""
    max_steps: Annotated[int, Field(gt=0)] | None = None
    """Maximum number of optimizer steps."""
    batch_size: Annotated[int, Field(gt=0)] = 8
    """Examples per optimizer step."""
    micro_batch_size: Annotated[int, Field(gt=0)] | None = None
    """Examples per forward pass, if a batch does not fit into memory; the gradient stays that of the batch."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Peak learning rate of AdamW; it decays linearly to 0."""
    head_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak learning rate of the head; by default `learning_rate`."""
    warmup: Share = 0.0
    """Share of the steps over which the learning rate rises linearly from 0."""
    evaluate_every: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps between two evaluations on the validation set; without it there is one only at the end."""
    keep: Literal["best", "last"] = "last"
    """State to keep: the last one, or the best by validation loss (masked-LM) or macro-F1 (classification)."""

    @model_validator(mode="after")
    def _bounded(self) -> "Phase":
        if self.epochs is None and self.max_steps is None:
            raise ValueError("a phase needs epochs, max_steps or both")
        return self


class Training(Strict):
    """Settings of a training that both objectives share."""

    l1: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty towards the initialization: l1 x sum |theta - theta_start| / number of all parameters of the model."""
    freeze_layer_norm: bool = True
    """Freeze the parameters of layer normalisation."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Maximum norm of the gradients."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Arithmetic of the forward pass; bf16 falls back to fp32 on hardware without it."""


class LanguageTraining(Training):
    """Settings of masked-LM training on a language's text."""

    block: Annotated[int, Field(ge=8)] = 256
    """Length of a training example in tokens."""
    packed: bool = True
    """Whether lines are concatenated and cut into blocks; otherwise each line is an example, cut at `block`."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that are predicted."""
    replacement: Literal["all", "corpus"] = "all"
    """Tokens that replace a tenth of the predicted ones: any (Devlin et al. 2019), or those of the corpus. With
    `corpus` and an untied output embedding, full fine-tuning leaves out the embeddings of all other tokens: this saves
    memory and time, but the training is not exactly the same."""
    output_embedding: Literal["frozen", "trained", "tied"] = "frozen"
    """The output embedding: untied from the input and frozen; untied, trained and discarded; or tied to the input."""


class TaskTraining(Training):
    """Settings of the training of a classification task."""

    max_length: Annotated[int, Field(ge=8)] = 128
    """Maximum length of a text in tokens; longer texts are truncated."""
