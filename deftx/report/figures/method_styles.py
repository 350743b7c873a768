"""Styles of methods: the same in every figure, distinct also for colour-blind readers (Okabe & Ito 2008; Tol 2021)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.colors import to_rgb

from deftx.report.figures.style import COLOURS

# Of methods, in their order. The nearest two differ by 18 in CIELAB, also for readers who do not see red or green.
METHOD_COLOURS = (*COLOURS[:4], "#D55E00", "#332288", "#DDCC77", "#882255", "#661100", "#000000")
MARKERS = "o^sDvPp<X>"
# Methods that share a colour: the share of white in it, and the hatch.
SHADES = ((0.0, ""), (0.5, "//////"), (0.75, "......"), (0.25, "xxxxxx"))


@dataclass(frozen=True)
class Style:
    """Style of a method, the same in every figure."""

    colour: str
    """Of lines and edges."""
    face: tuple[float, ...]
    """Of bars."""
    hatch: str
    marker: str
    """Hollow if there is a hatch."""


def styles_of(methods: Iterable[str]) -> dict[str, Style]:
    """Return a style for each method, by its position; related methods have one colour in several shades.

    Methods are related if the name of one begins with another's and a hyphen, as `deft-x` and `deft-x-uniform`. Up to
    40 methods have distinct styles: after a colour's four shades are used, the next colour follows.
    """
    methods = list(methods)
    positions: dict[str, int] = {}
    used: Counter[int] = Counter()
    styles = {}
    for n, method in enumerate(methods):
        base = next((name for name in methods if method.startswith(f"{name}-")), method)
        position = positions.get(base)
        if position is None or used[position] == len(SHADES):
            position = min(range(len(METHOD_COLOURS)), key=lambda p: used[p])
        positions.setdefault(base, position)
        white, hatch = SHADES[used[position] % len(SHADES)]
        used[position] += 1
        face = tuple(white + (1 - white) * channel for channel in to_rgb(METHOD_COLOURS[position]))
        styles[method] = Style(METHOD_COLOURS[position], face, hatch, MARKERS[n % len(MARKERS)])
    return styles
