"""What makes a rerun."""

from project import Project, each


def test_nothing_changed(project: Project) -> None:
    assert project.planned() == set()
