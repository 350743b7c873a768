"""How a method is drawn: the same in every figure, and unlike any other for all eyes (Okabe & Ito 2008; Tol 2021)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from deftx.drawing import COLOURS

# Of methods, in their order. The nearest two differ by 18 in CIELAB also where red or green is not seen.
METHOD_COLOURS = (*COLOURS[:4], "#D55E00", "#332288", "#DDCC77", "#882255", "#661100", "#000000")
MARKERS = "o^sDvP<X>*"
# Methods that share a colour: how much white is in it, and what is drawn across.
SHADES = ((0.0, ""), (0.5, "//////"), (0.75, "......"), (0.25, "xxxxxx"))


@dataclass(frozen=True)
class Look:
    """How a method is drawn, the same in every figure."""

    colour: Any
    """Of lines and edges."""
    face: Any
    """Of bars."""
    hatch: str
    marker: str
    """Hollow where there is a hatch."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method, by its place; related methods have one colour in several shades.

    Methods are related where the name of one begins with another's and a hyphen, as `deft-x` and `deft-x-uniform`. Up
    to 40 unrelated ones differ from one another; from the eleventh on two share a colour.
    """
    methods = list(methods)
    heads = {m: next((h for h in methods if m.startswith(f"{h}-")), m) for m in methods}
    places = {head: n for n, head in enumerate(dict.fromkeys(heads.values()))}
    used: Counter[int] = Counter()
    found = {}
    for n, method in enumerate(methods):
        place = places[heads[method]] % len(METHOD_COLOURS)
        white, hatch = SHADES[used[place] % len(SHADES)]
        used[place] += 1
        colour = np.array(to_rgb(METHOD_COLOURS[place]))
        face = tuple((white + (1 - white) * colour).tolist())
        found[method] = Look(METHOD_COLOURS[place], face, hatch, MARKERS[n % len(MARKERS)])
    return found
