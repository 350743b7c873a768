"""The artifact graph, and what is asked of it: plans, costs, what may be deleted."""
