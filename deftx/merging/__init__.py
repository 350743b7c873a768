"""Arithmetic of vectors: sums, conflicts, overlap, and the recipe of a composed model."""
