"""One module for each way to train a module."""
