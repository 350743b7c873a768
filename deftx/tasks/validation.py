"""How much validation text a training is evaluated on. Plans of a run count with it, too, and load no torch."""

VALID_BLOCKS = 256
"""The loss on held-out text is taken over at most so many blocks."""
