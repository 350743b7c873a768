"""The base model: its identity, architecture and loading."""
