"""What parameters are, by their names in the encoder, in any architecture that is registered."""

from deftx.models.registry import ARCHITECTURES


def is_embedding(name: str) -> bool:
    """Return whether a parameter belongs to the embeddings: of words, positions and segments, and their norm."""
    return any(entry.embeddings in name for entry in ARCHITECTURES.values())


def is_word_embedding(name: str) -> bool:
    """Return whether a parameter is the matrix that token ids look up."""
    return any(entry.word_embeddings in name for entry in ARCHITECTURES.values())


def is_norm(name: str) -> bool:
    """Return whether a parameter belongs to a layer normalisation."""
    return any(part in name.lower() for entry in ARCHITECTURES.values() for part in entry.norms)
