"""A training that has several GPUs: processes train together, and what one process has trained stays as it is."""

from deftx.modules import vectors
from tests.helpers.project import Project

GPUS = ("--set-resources", "sparse_language:gpu=2")


def test_as_many_processes_as_gpus_train_together(project: Project) -> None:
    assert project.planned(*GPUS) == set()
    target = "results/pico/sfts/language/lt-sft/suma/seed0.safetensors"
    result = project.folder / target
    alone = vectors.read_metadata(result)
    result.unlink()
    project.run(*GPUS, "--allowed-rules", "sparse_language", "--", target)
    assert vectors.read_metadata(result) == alone.model_copy(update={"processes": 2})
