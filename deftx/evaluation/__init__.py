"""From a composed model to predictions, scores and what may be said of them."""
