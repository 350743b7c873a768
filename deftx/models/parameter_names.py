"""What parameters are, by their names in the encoder."""


def is_embedding(name: str) -> bool:
    """Return whether a parameter belongs to the embeddings: of words, positions and segments, and their norm."""
    return "embeddings." in name


def is_word_embedding(name: str) -> bool:
    """Return whether a parameter is the matrix that token ids look up, in any architecture we know."""
    return "word_embeddings" in name or "embed_tokens" in name
