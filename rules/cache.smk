# Results that users may share by Snakemake's cache (`snakemake --cache`, SNAKEMAKE_OUTPUT_CACHE names its folder):
# downloads, a base that the workflow trains, deltas and SFTs of languages. The cache knows a result by a hash over its
# command, its params, raw inputs, and the same of all jobs before it. Wildcards are not in it: what decides over a
# result goes through params, in every job on the way. Neither are versions, nor a local base's weights: an Origin
# brings them. Paths are in it where params hold them, unless as a Place.

#
# What Snakemake's public interface does not say is done here and in resources.smk alone: an Origin and a Place by how they
# are written (its records of params, and the cache's key, take their text), and no benchmark of what may come out of the
# cache (`forget_benchmarks`).

import re

from snakemake.logging import logger

from deftx.core import gpus, provenance
from deftx.core.integrity import sha256_of
from deftx.models import local_files

CACHE = workflow.workflow_settings.cache is not None


def inputs_as_options(wildcards, input) -> Place:
    """Every input as an option of its name."""
    given = ((name, input.get(name)) for name in input.keys())
    named = ((name, path) for name, paths in given for path in ([paths] if isinstance(paths, str) else paths))
    return Place(" ".join(f"--{name.replace('_', '-')} {quote(path)}" for name, path in named))


def raw_as_options(wildcards, input) -> Place:
    """The same where raw files are read, and what the pinned ones must hold."""
    stated = ((GRAPH.pinned[pin].sha256, path) for path in input if (pin := Path(path).parent.name) in GRAPH.pinned)
    pins = [f"--pinned {sha256}={quote(path)}" for sha256, path in stated if sha256]
    return Place(" ".join([str(inputs_as_options(wildcards, input)), *pins]))


# Versions of what decides over the numbers of a training, and the kinds of processor and GPU: what is bf16 in a recipe is
# so only where they have it.
MADE_WITH = provenance.versions() | {"processor": provenance.processor(), "gpus": gpus.models()} if CACHE else {}


def made_on(wildcards, threads, resources) -> Origin:
    """That of a training, its threads (a mask has as many), and its GPUs: a process each, between which dropout differs."""
    return Origin(MADE_WITH | {"threads": threads, "gpu": resources.gpu})


# Hashes of a local base's files, whole: the job's own param samples them, for speed.
BASE_HASHES = {
    file.name: sha256_of(file)
    for part in local_files.PARTS
    for file in local_files.files_of(EXPERIMENT.base, part)
    if CACHE
}


def base_origin(wildcards, threads, resources) -> Origin:
    """That of the base, with what a local one consists of."""
    return Origin(made_on(wildcards, threads, resources) | BASE_HASHES)


def raw_origin(**files: list[str]) -> Origin:
    """Which raw files are which, by their pins, or by hashes of local ones: the cache knows what they hold, not what for."""
    return Origin({name: [pin_of(path) for path in paths] for name, paths in files.items() if CACHE})


def pin_of(path: str) -> str:
    """What a raw file is known by: its pin, after which `fetch` names a folder, or the hash of a local one."""
    folder = Path(path).parent.name
    return folder if folder in GRAPH.pinned else sha256_of(Path(path))


def base_is_fixed() -> bool:
    """Whether it is known which base this is: it is trained here, local with its weights, or of a commit on the hub."""
    base = EXPERIMENT.base
    if base.pretrain or local_files.folder_of(base):
        return bool(base.pretrain or local_files.files_of(base, "weights"))
    return bool(re.fullmatch("[0-9a-f]{40}", base.revision or ""))


SHARES_LANGUAGES = CACHE and base_is_fixed()

if CACHE and not SHARES_LANGUAGES and workflow.is_main_process:
    logger.warning(
        f"What is trained from {local_files.folder_of(EXPERIMENT.base)} is not shared: it holds no weights (*.safetensors or *.bin)"
        if local_files.folder_of(EXPERIMENT.base)
        else f"What is trained from {EXPERIMENT.base.model} is not shared: the name may stand for other weights tomorrow."
        " Give base.revision, the commit on the hub (40 hex digits)"
    )


def forget_benchmarks() -> None:
    """Want no benchmark of a result that may come out of the cache: there is no time to measure, and Snakemake would fail.

    As a module, rules of the workflow that uses it are left as they are.
    """
    for shared in workflow.rules:
        if shared.cache.output and shared.module_globals is globals():
            shared._benchmark = None
