"""What is learned: objectives, training data and metrics."""
