# What jobs ask of the machine they run on. None of it is among their params, so none of it makes a job run again.

from math import ceil

from deftx.core import gpus
from deftx.core.errors import DeftxError
from deftx.models.architectures import SHAPES, shape_of


class Waiting(shell):
    """A shell that is told to end (SIGTERM) waits for its command, which saves its state."""

    @classmethod
    def _get_process_prefix(cls, *executable) -> str:
        return f"{super()._get_process_prefix(*executable)} trap : TERM; "


# For the commands of this workflow; as a module, it leaves those of the workflow that uses it alone, and `shell.prefix`.
shell = Waiting
# Within a job of a cluster nothing is tried again: the next attempt is a job of its own, with more memory and time.
RETRIES = 0 if workflow.remote_exec else 2
# On a cluster or in a cloud this machine's cores say nothing about those that jobs run on, nor do its GPUs. Snakemake knows
# where jobs will run only after it has read the rules, so profiles say it, by a resource.
ELSEWHERE = workflow.remote_exec or "elsewhere" in workflow.global_resources
if ELSEWHERE and workflow.is_main_process:
    workflow.register_resource("_cores", 1024)  # in place of `cores: all`, which would limit the threads of all jobs
# (`workflow.cores` would refuse to say that none are given, as for a report.)
CORES = 8 if ELSEWHERE else workflow.global_resources["_cores"].value or 2
# What computes takes one GPU; nothing (else trainings on a CPU would wait for each other) where there are none.
GPUS = 0 if ELSEWHERE else len(gpus.visible())
GPU = min(1, GPUS)
# A tiny model is fastest on one thread, two jobs at a time; a real one on half the cores, or on as small a share that a job
# on each GPU fits: Snakemake counts threads against the cores.
TRAIN_THREADS = 1 if EXPERIMENT.base.pretrain else max(1, CORES // max(2, GPUS))
if GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)  # no more at a time; `deftx` takes one that is free


def parameters() -> int | None:
    """Parameters of the encoder, as far as they are known before there is base.json."""
    try:
        shape = shape_of(EXPERIMENT.base, EXPERIMENT.testbed, Path(GRAPH.at(kinds.Base().path)))
    except DeftxError:  # damaged, or of another family of models: whoever reads it will say so
        return None
    return shape.total if shape else None


PARAMETERS = parameters()
XLM_R_BASE = SHAPES["FacebookAI/xlm-roberta-base"].total


def train_mb(wildcards, attempt) -> int:
    """Memory of what loads the model, more on each attempt: weights, gradients, two moments, the start, the delta."""
    return attempt * (8000 if PARAMETERS is None else 2000 + 24 * PARAMETERS // 10**6)


def lasting(minutes: int):
    """Time limit of what loads the model and takes so long on XLM-R base at most: more for a larger one, and on each attempt."""

    def runtime(wildcards, attempt) -> int:
        return attempt * ceil(minutes * max(1, (PARAMETERS or 0) / XLM_R_BASE))

    return runtime


# Of raw text and labelled data: a Parquet file unpacks to twice its size, held as lines and as their keys; a compressed MB of
# text takes a second of a processor, and a crowded machine ten times that.
PER_MB, MINUTES_PER_MB = 12, 0.2


def growing(least: int, per_mb: float = 0):
    """Memory (MB) or time limit (minutes) of what loads no model: by the size of its inputs, and more on each attempt."""

    def amount(wildcards, input, attempt) -> int:
        return attempt * ceil(least + (per_mb * input.size_mb if per_mb else 0))

    return amount
