"""Masks of sparse fine-tuning: denoising, selection by magnitude, random control, pruning."""
