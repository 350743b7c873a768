"""Figures of scores and of vectors."""
