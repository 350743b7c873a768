"""Files of trained modules (vectors, adapters, LoRA): their format, checks, and how each enters a model."""
