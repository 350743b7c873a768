"""Verbs about an experiment as a whole: what it will do, and the keys it is written in."""

from pathlib import Path
from typing import Annotated

import typer

from deftx.cli.options import Mirror
from deftx.core.errors import ConfigError


def plan(
    config: Annotated[list[Path], typer.Argument(help="Configuration, and what is laid over it.")],
    gpu: Annotated[
        str, typer.Option(help="Machine to count hours on: h200, h100, a100, l40s, l4, v100, t4, cpu.")
    ] = "h200",
    mirror: Mirror = None,
    at_once: Annotated[int, typer.Option(min=1, help="Trainings that run at once, for their checkpoints' disk.")] = 2,
) -> None:
    """Say what a run will do: jobs, downloads, disk, hours. Nothing is run and no model is loaded."""
    from deftx.data import fetch
    from deftx.experiment import load as load_experiment
    from deftx.workflow import plan as planning
    from deftx.workflow.cost_model import MACHINES

    if gpu not in MACHINES:
        raise ConfigError(f"--gpu {gpu}: not known; known are {', '.join(MACHINES)}")
    experiment = load_experiment.merged(config)
    fetch.check_mirror(mirror)
    planned = planning.plan(experiment, planning.pending(config), mirror)
    print(planning.render(planned, MACHINES[gpu], at_once))


def status(
    config: Annotated[list[Path], typer.Argument(help="Configuration, and what is laid over it.")],
    finished: Annotated[bool, typer.Option("--finished", help="List finished trainings one by one, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show what has run and what is running: results by stage, progress of trainings. Files alone are read."""
    import json

    from deftx.experiment import load as load_experiment
    from deftx.workflow import status as status_stage

    current = status_stage.status(load_experiment.merged(config))
    print(
        json.dumps(status_stage.as_content(current), indent=2)
        if as_json
        else status_stage.render(current, None, finished)
    )


def adopt(
    config: Annotated[list[Path], typer.Argument(help="Configuration, and what is laid over it.")],
) -> None:
    """Complete results of an earlier version, so that `snakemake --touch` accepts them."""
    from deftx.evaluation.score import restore_provenance
    from deftx.experiment import load as load_experiment
    from deftx.workflow.artifacts import Predictions, Scores
    from deftx.workflow.graph import Artifacts

    graph = Artifacts(load_experiment.merged(config))
    cells = zip(graph.cells(Predictions), graph.cells(Scores), strict=True)
    written = sum(restore_provenance(Path(graph.at(p.path)), Path(graph.at(s.path))) for p, s in cells)
    print(f"wrote where {written} files of predictions come from; now run: snakemake --touch")


def clean_deltas(
    config: Annotated[list[Path], typer.Argument(help="Configuration, and what is laid over it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove an experiment's deltas, after saying what that costs."""
    from deftx.experiment import load as load_experiment
    from deftx.workflow import cleanup

    results = Path(load_experiment.merged(config).folder)
    files = cleanup.deltas(results)
    if not files:
        print(f"{results} holds no deltas")
        return
    print(cleanup.warning(results, files))
    if yes or typer.confirm("Remove them?"):
        cleanup.remove(files)
        print(f"{len(files)} deltas removed")


def schema(
    out: Annotated[Path, typer.Option(help="Folder config/ of the project.")] = Path("config"),
    check: Annotated[bool, typer.Option(help="Write nothing; fail if a file is stale.")] = False,
) -> None:
    """Generate the configuration's JSON schema and the key table of config/README.md."""
    from deftx.experiment import schema as schema_stage

    schema_stage.build(out, check)
