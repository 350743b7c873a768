"""Architectures of base models, as data: what their parameters are called, and which sizes these have.

Entries name no code. What a training does with a base follows from the fields here, so they count in the hashes of code
of whatever uses that base (`deftx.workflow.jobs`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The encoders of one design."""

    name: str
    paper: str
    model_types: tuple[str, ...]
    """What config.json calls them (`model_type`)."""
    config: tuple[str, ...]
    """What config.json calls layers, width, inner width, vocabulary and positions, in this order."""
    embeddings: str
    """Part of the names of all parameters of the embeddings: words, positions, segments, and their norm."""
    word_embeddings: str
    """Part of the name of the matrix that token ids look up."""
    position_embeddings: str
    """End of the name of the matrix of positions."""
    norms: tuple[str, ...]
    """Parts, in small letters, of the names of parameters of layer normalisation."""
    layers: str
    """What the names of parameters of layers begin with, before the layer's number."""
    matrices: tuple[tuple[str, str, str], ...]
    """Weight matrices of a layer: module, output size, input size. Each has a bias of its output size."""
    layer_norms: tuple[str, ...]
    """Modules of layer normalisation of a layer, each with a weight and a bias of the encoder's width."""
    adapter_norm: str
    """That of these around which adapters stand."""
    embedding_norm: str
    """Module of layer normalisation after the embeddings."""
    other_rows: int
    """Rows of the encoder's width outside layers, beside those of words and positions."""
    lm_heads: tuple[str, ...]
    """Attributes under which a masked-LM keeps its head."""


_ENTRIES = (
    Architecture(
        "bert",
        "Devlin et al. 2019; RoBERTa: Liu et al. 2019; XLM-R: Conneau et al. 2020",
        model_types=("bert", "roberta", "xlm-roberta", "camembert"),
        config=("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings"),
        embeddings="embeddings.",
        word_embeddings="word_embeddings",
        position_embeddings="position_embeddings.weight",
        norms=("layernorm", "layer_norm"),
        layers="encoder.layer.",
        matrices=(
            ("attention.self.query", "hidden", "hidden"),
            ("attention.self.key", "hidden", "hidden"),
            ("attention.self.value", "hidden", "hidden"),
            ("attention.output.dense", "hidden", "hidden"),
            ("intermediate.dense", "intermediate", "hidden"),
            ("output.dense", "hidden", "intermediate"),
        ),
        layer_norms=("attention.output.LayerNorm", "output.LayerNorm"),
        adapter_norm="output.LayerNorm",
        embedding_norm="embeddings.LayerNorm",
        other_rows=3,  # one segment, and weight and bias of the norm
        lm_heads=("lm_head", "cls"),
    ),
)
ARCHITECTURES = {entry.name: entry for entry in _ENTRIES}
"""By name."""
