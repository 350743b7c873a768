# The experiment, its artifact graph, and what rules ask of the two. Paths of results are known to deftx.workflow alone.

import json
import os
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

import deftx
from deftx.core import files
from deftx.core.errors import DeftxError
from deftx.core.hashing import code_of, code_of_entry, fingerprint
from deftx.experiment import load
from deftx.modules.registry import MODULE_TYPES
from deftx.workflow import artifacts as kinds
from deftx.workflow import specs
from deftx.workflow.graph import Artifacts
from deftx.workflow.report_plan import ReportPlan

# For envs/deftx.post-deploy.sh.
os.environ.setdefault("DEFTX_SOURCE", str(Path(deftx.__file__).parents[1]))


def told(question, *arguments):
    """Ask the package something; an error a user can cause is told without a traceback."""
    try:
        return question(*arguments)
    except DeftxError as error:
        raise WorkflowError(str(error)) from None


def experiment():
    """The experiment given by --configfile, or the quickstart, with --config on top; a module's own configuration."""
    content = dict(config)
    for path in map(Path, workflow.configfiles) if workflow.modifier.is_main_snakefile() else ():
        if path.suffix in (".yaml", ".yml"):  # Snakemake has read it, and takes the last of equal keys
            load.read(path)
    if "methods" not in content:
        content = load.read(Path(workflow.source_path("../config/quickstart.yaml")))
        update_config(content, config)
    return load.validate(content)


EXPERIMENT = told(experiment)
GRAPH = Artifacts(EXPERIMENT)
SHOWN = ReportPlan(GRAPH)
ROOT, REPORT = GRAPH.root, GRAPH.report


wildcard_constraints:
    lang="[^/]+",
    dataset="[^/]+",
    split="train|valid|test",
    task="[^/]+",
    method="[^/]+",
    selection="[^/]+",
    start="[^/]+",
    seed=r"\d+",
    pin="[0-9a-f]{64}",


class Step:
    """A kind of artifact as rules need it: patterns of its files, log and benchmark, and functions of wildcards."""

    def __init__(self, pattern, root=ROOT):
        self.pattern = pattern
        self.file, self.record = f"{root}/{pattern.path}", f"{root}/{pattern.record}"
        self.log, self.benchmark = f"{root}/logs/{pattern.place}.log", f"{root}/benchmarks/{pattern.place}.jsonl"

    def made(self, wildcards):
        return kinds.fill(self.pattern, wildcards)

    def needs(self, wildcards):
        return told(GRAPH.needs, self.made(wildcards))

    def spec(self, wildcards):
        return as_json(specs.spec_of(GRAPH, self.made(wildcards)))


def as_json(content) -> str:
    """Settings as JSON text."""
    return json.dumps(content, ensure_ascii=False)


LONGEST = 100_000  # bytes of a word: Linux gives a command no longer argument than 131,071


def as_document(content) -> str:
    """Settings about all languages, as one shell word: as JSON, or where that is too long, a file that the shell makes."""
    word = quote(as_json(content))
    return word if len(word.encode()) <= LONGEST else f"<(printf %s {word})"


def check_folders(*folders: str) -> None:
    """Say at once, not by a traceback of Snakemake's, that nothing can be written where it has to be."""
    for folder in folders:
        told(files.require_writable, Path(folder))


if workflow.is_main_process:  # whatever is asked of it, Snakemake keeps its records there
    check_folders(".snakemake")
