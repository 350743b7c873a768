"""Tables of scores, gains, differences and costs."""
