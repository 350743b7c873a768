"""Ways through the same weights: how a task's model computes logits from rows; one module each."""
