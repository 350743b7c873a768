# The experiment, its artifact graph, and what rules ask of the two. Paths of results are known to deftx.workflow alone.

import os
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

import deftx
from deftx.core import files
from deftx.core.errors import DeftxError
from deftx.core.hashing import code_of, fingerprint
from deftx.core.runtime import collect_garbage_seldom
from deftx.experiment import load
from deftx.modules.registry import MODULE_TYPES
from deftx.data import fetch as fetching
from deftx.workflow import artifacts as kinds
from deftx.workflow import jobs
from deftx.workflow.graph import Artifacts
from deftx.workflow.jobs import Jobs, Origin, Place, Step, as_document, as_json
from deftx.workflow.report_plan import ReportPlan

collect_garbage_seldom()  # Snakemake's jobs are many objects, and none is garbage
# For envs/deftx.post-deploy.sh.
os.environ.setdefault("DEFTX_SOURCE", str(Path(deftx.__file__).parents[1]))


def ask(question, *arguments):
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


EXPERIMENT = ask(experiment)
GRAPH = Artifacts(EXPERIMENT)
JOBS = Jobs(GRAPH)
REPORT_PLAN = ReportPlan(GRAPH)
ROOT, REPORT = GRAPH.root, GRAPH.report


wildcard_constraints:
    lang="[^/]+",
    dataset="[^/]+",
    view="[^/]+",
    split="train|valid|test",
    task="[^/]+",
    method="[^/]+",
    selection="[^/]+",
    start="[^/]+",
    seed=r"\d+",
    pin="[0-9a-f]{64}",


def check_folders(*folders: str) -> None:
    """Say at once, not by a traceback of Snakemake's, that nothing can be written where it has to be."""
    for folder in folders:
        ask(files.require_writable, Path(folder))


if workflow.is_main_process:  # jobs elsewhere read these rules, too, but neither fetch nor keep records
    check_folders(".snakemake")
    if GRAPH.pinned:
        ask(fetching.check_mirror, Path(os.environ.get("DEFTX_MIRROR")) if os.environ.get("DEFTX_MIRROR") else None)
