"""The training engine: loop, trainable parameters, checkpoints, several processes. It knows no result files."""
