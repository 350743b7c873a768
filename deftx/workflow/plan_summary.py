"""A plan as text for a terminal."""

from collections import Counter
from collections.abc import Iterable

from deftx.config.data import File
from deftx.workflow.cost_model import CHOOSING, DENOISING, MEASURED, START_SECONDS
from deftx.workflow.hardware import Machine, hours
from deftx.workflow.plan import Plan, disk


def render(made: Plan, machine: Machine, at_once: int = 2) -> str:
    """A plan as text for a terminal, where so many trainings run at once."""
    lines = [f"# {made.name}: {made.jobs.get('total', 0):,} jobs to run", ""]
    lines += [f"{count:>7,}  {rule}" for rule, count in made.jobs.items() if rule != "total"]
    lines += ["", f"## Downloads: {_sum(made.downloads) if made.downloads else 'none'}"]
    if made.mirrored:
        lines.append(f"Besides, in the mirror: {_sum(made.mirrored)}")
    places = Counter(_place(file) for file in made.downloads)
    lines += [f"  {place}: {_sum(f for f in made.downloads if _place(f) == place)}" for place in sorted(places)]
    if made.model:
        size = _size(4.0 * made.shape.total) if made.shape else "size not known"
        lines.append(f"  {made.model}: {size} of float32 weights, by its shapes")
    if made.shape is None:
        return "\n".join([*lines, "", _unknown(made)])
    parts = disk(made, at_once)
    lines += ["", f"## Disk at the peak: {_size(sum(parts.values()))}"]
    lines += [f"{_size(size):>9}  {what}" for what, size in parts.items() if size]
    unknown = sum(file.size is None for file in [*made.downloads, *made.mirrored])
    lines += [f"Not counted: {unknown} raw file{'s' * (unknown != 1)} whose pin states no size"] if unknown else []
    low, high = hours(made.works, machine)
    lines += ["", f"## Hours on {machine.title}, one job at a time: {_between(low, high)}", machine.origin]
    lines.append(
        f"On every machine {START_SECONDS:g} s to start a job with a model, and {CHOOSING:g} to {DENOISING:g} s more "
        f"for a mask of XLM-R base: {MEASURED}"
    )
    for stage in dict.fromkeys(one.stage for one in made.works):
        some = [one for one in made.works if one.stage == stage]
        spent = hours(some, machine)
        if spent[1] >= 0.005:
            tokens = tuple(sum(one.tokens[n] for one in some) / 1e6 for n in (0, 1))
            seen = f", {_between(*tokens)} million tokens" if tokens[1] else ""
            lines.append(f"{_between(*spent):>15}  {stage}: {len(some)} jobs{seen}")
    if low < high:
        lines.append("A range is that between fewest and most steps, where the amount of text is not known yet")
    return "\n".join(lines)


def _unknown(made: Plan) -> str:
    return (
        f"## Disk and hours\nThe shapes of {made.model or 'the base model'} are not known before it is described: "
        "snakemake results/{name}/base.json, then ask again".replace("{name}", made.name)
    )


def _place(file: File) -> str:
    if file.hub:
        return f"{file.hub} (hub)"
    return f"{file.repository} (GitHub)" if file.repository else str(file.url)


def _sum(files: Iterable[File]) -> str:
    """How many files, and their size; those whose pin states none are counted apart."""
    some = list(files)
    unknown = sum(file.size is None for file in some)
    size = _size(sum(file.size or 0 for file in some))
    parts = [f"{len(some)} file{'s' * (len(some) != 1)}"]
    parts += [size] if unknown < len(some) else []
    parts += (
        [f"and {unknown} whose pin states no size" if unknown < len(some) else "size not stated"] if unknown else []
    )
    return ", ".join(parts)


def _size(count: float) -> str:
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= power:
            return f"{count / power:.{1 if count < 100 * power else 0}f} {unit}"
    return f"{count:.0f} B"


def _between(low: float, high: float) -> str:
    def shown(value: float) -> str:
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"

    return shown(low) if shown(low) == shown(high) else f"{shown(low)} to {shown(high)}"
