"""Which parameters sparse fine-tuning may move: denoised, ranked, drawn or pruned."""
