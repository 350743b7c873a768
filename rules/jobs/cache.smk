# Results that users may share by Snakemake's cache (`snakemake --cache`, SNAKEMAKE_OUTPUT_CACHE names its folder):
# downloads, a base that the workflow trains, deltas and SFTs of languages. The cache knows a result by a hash over its
# command, its params, raw inputs, and the same of all jobs before it. Wildcards are not in it: what decides over a
# result goes through params, in every job on the way. Neither are versions, nor a local base's weights: an Origin
# brings them. Paths are in it where params hold them, unless as a Place.

import platform

from snakemake.logging import logger

from deftx.provenance import versions
from deftx.sources import sha256_of

CACHE = workflow.workflow_settings.cache is not None


class Origin(dict):
    """What else a shared result is known by; being written alike whatever it holds, it makes no job run again."""

    def __repr__(self) -> str:
        return "Origin()"


class Place(dict):
    """Text that says where files lie: it stands in a command or a message, and is nothing a result is known by."""

    def __init__(self, text: str):
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "Place()"


def inputs_as_options(wildcards, input) -> Place:
    """Every input as an option of its name."""
    named = ((name, path) for name in input.keys() for path in each_of(input.get(name)))
    return Place(" ".join(f"--{name.replace('_', '-')} {quote(path)}" for name, path in named))


def raw_as_options(wildcards, input) -> Place:
    """The same where raw files are read, and what the pinned ones must hold."""
    stated = ((PINNED[pin].sha256, path) for path in input if (pin := Path(path).parent.name) in PINNED)
    pins = [f"--pinned {sha256}={quote(path)}" for sha256, path in stated if sha256]
    return Place(" ".join([str(inputs_as_options(wildcards, input)), *pins]))


def made_with() -> Origin:
    """Versions of what decides over the numbers of a training, and the kind of processor."""
    return Origin(versions() | {"machine": platform.machine()} if CACHE else {})


def made_on(wildcards, resources) -> Origin:
    """The same of a training, and the number of processes, between which dropout differs."""
    return Origin(made_with() | {"processes": max(1, resources.gpu)})


def base_origin() -> Origin:
    """The same of the base, and hashes of a local one's files, whole: the job's own param samples them, for speed."""
    return Origin(made_with() | {file.name: sha256_of(file) for file in base_files() if CACHE})


def raw_origin(**files: list[str]) -> Origin:
    """Which raw files are which, by their pins, or by hashes of local ones: the cache knows what they hold, not what for."""
    return Origin({name: [pin_of(path) for path in paths] for name, paths in files.items() if CACHE})


def pin_of(path: str) -> str:
    """What a raw file is known by: its pin, after which `fetch` names a folder, or the hash of a local one."""
    folder = Path(path).parent.name
    return folder if folder in PINNED else sha256_of(Path(path))


def base_is_fixed() -> bool:
    """Whether the same configuration is always the same base: it is trained here, local, or of a commit on the hub."""
    return bool(BASE.pretrain or base_files() or re.fullmatch("[0-9a-f]{40}", BASE.revision or ""))


SHARES_LANGUAGES = CACHE and base_is_fixed()

if CACHE and not SHARES_LANGUAGES and workflow.is_main_process:
    logger.warning(
        f"What is trained from {BASE.model} is not shared: the name may stand for other weights tomorrow."
        " Give base.revision, the commit on the hub (40 hex digits)"
    )
