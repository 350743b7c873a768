"""Machines: how fast they train and evaluate, and of each speed whether it was measured, and where, or computed."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deftx.workflow.cost_model import Work


@dataclass(frozen=True)
class Machine:
    """How fast a machine is."""

    title: str
    operations: float
    """Sustained floating-point operations a second of trainings."""
    forward: float
    """The same of evaluations, which run in float32."""
    bandwidth: float
    """Bytes a second between processor and memory; without a limit where `operations` was measured on whole runs."""
    launch: float
    """Seconds a step takes however small it is."""
    origin: str


def _gpu(title: str, half: float | None, single: float, bandwidth: float) -> Machine:
    """A third of a data sheet's dense peaks (TFLOP/s), half of its bandwidth (GB/s), and 20 ms for each step.

    Args:
        half: in bf16; None where the machine has none, and trains in float32.
        single: in float32.
    """
    kind = f"of {half:g} TFLOP/s (bf16)" if half else f"of {single:g} TFLOP/s (fp32; it has no bf16)"
    origin = (
        f"computed from operations: a third {kind}, half of {bandwidth:g} GB/s, 20 ms a step; evaluation a third of "
        f"{single:g} TFLOP/s (fp32)"
    )
    return Machine(title, (half or single) * 1e12 / 3, single * 1e12 / 3, bandwidth * 1e9 / 2, 0.02, origin)


MACHINES = {
    "h200": _gpu("NVIDIA H200", 989, 67, 4800),
    "h100": _gpu("NVIDIA H100 SXM", 989, 67, 3350),
    "a100": _gpu("NVIDIA A100", 312, 19.5, 2039),
    "l40s": _gpu("NVIDIA L40S", 362, 91.6, 864),
    "l4": _gpu("NVIDIA L4", 121, 30.3, 300),
    "v100": _gpu("NVIDIA V100", None, 15.7, 900),
    "t4": _gpu("NVIDIA T4", None, 8.1, 300),
    "cpu": Machine(
        "two cores of an AMD EPYC",
        3.6e11,
        7.0e10,
        math.inf,
        0.0,
        "measured: operations of all trainings of docs/results/nusax-cpu.md, seeds 1 and 2, over processor time, "
        "2026-11; evaluation: AmericasNLI's test set on one core, 2026-11 (docs/reference/performance.md)",
    ),
}


def hours(works: Iterable[Work], machine: Machine) -> tuple[float, float]:
    """Hours the jobs take one after the other, at least and at most."""
    ends = [0.0, 0.0]
    for one in works:
        for n in (0, 1):
            busy = one.operations[n] / machine.operations + one.forward / machine.forward
            busy += one.traffic[n] / machine.bandwidth
            ends[n] += (busy + one.steps[n] * machine.launch + one.seconds) / 3600
    return ends[0], ends[1]
