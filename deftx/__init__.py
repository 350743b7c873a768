"""DeFT-X: denoised sparse fine-tuning for zero-shot cross-lingual transfer."""

__version__ = "0.1.0"
