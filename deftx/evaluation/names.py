"""Names of metrics and means in tables, figures and the page."""

MEAN = "mean"
"""Stands for the average of the target languages where tables name a language."""
METRIC_NAMES = {"macro_f1": "Macro-F1", "accuracy": "Accuracy"}
"""As in a heading."""


def in_text(metric: str) -> str:
    """Return a metric's name as inside a sentence."""
    name = METRIC_NAMES[metric]
    return f"{name[:1].lower()}{name[1:]}"
