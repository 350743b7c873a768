"""Two runs of Snakemake in one folder: the second is told to wait, and the first goes on as if it were alone."""

import time

from tests.helpers.project import Project
from tests.workflow.test_runs import digests, failed


def test_the_second_run_is_refused(finished: Project, project: Project) -> None:
    """The first waits in a training until the second has gone."""
    project.edit("deftx/training/loop.py", "import math\n", "import math\nfrom pathlib import Path\n")
    waits = "    run = _Run(", "    while Path('wait').exists():\n        time.sleep(0.05)\n    run = _Run("
    project.edit("deftx/training/loop.py", *waits)
    project.run("--touch")
    target = "results/pico/sfts/language/lt-sft/nolo/seed0.safetensors"
    (project.folder / target).unlink()
    log = project.results / "logs/sparse/language/lt-sft/nolo/seed0.log"
    log.unlink()
    (project.folder / "wait").touch()
    with project.started(target) as first:
        while not log.exists():
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.02)
        output = failed(project, target)
        assert output.count("Error: Directory cannot be locked.") == 1
        assert "snakemake" in output and "--unlock" in output
        assert first.poll() is None
        (project.folder / "wait").unlink()
        said, _ = first.communicate()
    assert first.returncode == 0, said
    assert digests(project) == digests(finished)
    assert project.planned() == set()
