"""Foundations: errors, files and their integrity, hashes of code, GPUs. No machine learning."""
