# Results that users may share by Snakemake's cache (`snakemake --cache`, SNAKEMAKE_OUTPUT_CACHE names its folder):
# downloads, a base that the workflow trains, deltas and SFTs of languages. The cache knows a result by a hash over its
# command, its params, raw inputs, and the same of all jobs before it. Wildcards are not in it: what decides over a
# result goes through params, in every job on the way. Neither are versions, nor a local base's weights: an Origin
# brings them. Paths are in it where params hold them, unless as a Place.

from snakemake.logging import logger

from deftx.core import gpus, provenance
from deftx.core.integrity import sha256_of

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


# Versions of what decides over the numbers of a training, and the kinds of processor and GPU: what is bf16 in a recipe is
# so only where they have it.
MADE_WITH = provenance.versions() | {"processor": provenance.processor(), "gpus": gpus.models()} if CACHE else {}


def made_on(wildcards, threads, resources) -> Origin:
    """That of a training, its threads (a mask has as many), and its GPUs: a process each, between which dropout differs."""
    return Origin(MADE_WITH | {"threads": threads, "gpu": resources.gpu})


# Hashes of a local base's files, whole: the job's own param samples them, for speed.
BASE_HASHES = {file.name: sha256_of(file) for part in PARTS for file in base_files(part) if CACHE}


def base_origin(wildcards, threads, resources) -> Origin:
    """That of the base, with what a local one consists of."""
    return Origin(made_on(wildcards, threads, resources) | BASE_HASHES)


def raw_origin(**files: list[str]) -> Origin:
    """Which raw files are which, by their pins, or by hashes of local ones: the cache knows what they hold, not what for."""
    return Origin({name: [pin_of(path) for path in paths] for name, paths in files.items() if CACHE})


def pin_of(path: str) -> str:
    """What a raw file is known by: its pin, after which `fetch` names a folder, or the hash of a local one."""
    folder = Path(path).parent.name
    return folder if folder in PINNED else sha256_of(Path(path))


def base_is_fixed() -> bool:
    """Whether it is known which base this is: it is trained here, local with its weights, or of a commit on the hub."""
    if BASE.pretrain or base_folder():
        return bool(BASE.pretrain or base_files("weights"))
    return bool(re.fullmatch("[0-9a-f]{40}", BASE.revision or ""))


SHARES_LANGUAGES = CACHE and base_is_fixed()

if CACHE and not SHARES_LANGUAGES and workflow.is_main_process:
    logger.warning(
        f"What is trained from {base_folder()} is not shared: it holds no weights (*.safetensors or *.bin)"
        if base_folder()
        else f"What is trained from {BASE.model} is not shared: the name may stand for other weights tomorrow."
        " Give base.revision, the commit on the hub (40 hex digits)"
    )
