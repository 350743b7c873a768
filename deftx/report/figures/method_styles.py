"""How a method is drawn: the same in every figure, and unlike any other for all eyes (Okabe & Ito 2008; Tol 2021)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.colors import to_rgb

from deftx.report.figures.style import COLOURS

# Of methods, in their order. The nearest two differ by 18 in CIELAB also where red or green is not seen.
METHOD_COLOURS = (*COLOURS[:4], "#D55E00", "#332288", "#DDCC77", "#882255", "#661100", "#000000")
MARKERS = "o^sDvPp<X>"
# Methods that share a colour: how much white is in it, and what is drawn across.
SHADES = ((0.0, ""), (0.5, "//////"), (0.75, "......"), (0.25, "xxxxxx"))


@dataclass(frozen=True)
class Look:
    """How a method is drawn, the same in every figure."""

    colour: str
    """Of lines and edges."""
    face: tuple[float, ...]
    """Of bars."""
    hatch: str
    marker: str
    """Hollow where there is a hatch."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method, by its place; related methods have one colour in several shades.

    Methods are related where the name of one begins with another's and a hyphen, as `deft-x` and `deft-x-uniform`. Up
    to 40 differ from one another: a colour that all four shades are taken of gives way to the next.
    """
    methods = list(methods)
    places: dict[str, int] = {}
    used: Counter[int] = Counter()
    found = {}
    for n, method in enumerate(methods):
        head = next((other for other in methods if method.startswith(f"{other}-")), method)
        place = places.get(head)
        if place is None or used[place] == len(SHADES):
            place = min(range(len(METHOD_COLOURS)), key=lambda p: used[p])
        places.setdefault(head, place)
        white, hatch = SHADES[used[place] % len(SHADES)]
        used[place] += 1
        face = tuple(white + (1 - white) * part for part in to_rgb(METHOD_COLOURS[place]))
        found[method] = Look(METHOD_COLOURS[place], face, hatch, MARKERS[n % len(MARKERS)])
    return found
