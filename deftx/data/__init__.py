"""Data: from raw files to clean text, labelled rows and token ids; synthetic languages."""
