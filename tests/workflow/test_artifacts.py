"""The artifact graph: each path leads back to its artifact, and every path is what it was."""

import hashlib
from dataclasses import fields
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deftx.core.errors import ConfigError
from deftx.experiment.load import load, merged, validate
from deftx.modules.registry import MODULE_TYPES
from deftx.workflow.artifacts import (
    Artifact,
    Base,
    Cell,
    Composed,
    Corpus,
    Dataset,
    Figure,
    Mask,
    Module,
    Overlap,
    Page,
    Predictions,
    RawFile,
    Scores,
    Table,
    fill,
    mask_pattern,
    module_pattern,
    parse,
    pattern,
)
from deftx.workflow.graph import Artifacts
from deftx.workflow.jobs import spec_of
from deftx.workflow.report_plan import ReportPlan
from tests.experiment.test_config import CONFIGS, EXPERIMENT, OVERLAYS, changed

QUICKSTART = next(path for path in CONFIGS if path.stem == "quickstart")
GOLDEN = {
    "ablations": (1211, "6a1d434fc9e4b362"),
    "americasnli-cpu": (254, "3085de540678d589"),
    "nusax-cpu": (176, "0cb22c0826a79a2d"),
    "paper-large": (2148, "3ea19ceda9f1cd5a"),
    "paper": (2148, "3ea19ceda9f1cd5a"),
    "quickstart": (109, "aa97be9a87095ff2"),
}
"""How many artifacts a shipped experiment has, and a hash of their paths."""


def everything(graph: Artifacts) -> list[Artifact]:
    """All artifacts of an experiment: the cells of its tables, and all they are made from, at any depth."""
    waiting: list[Artifact] = [cell for kind in (Scores, Predictions, Composed) for cell in graph.cells(kind)]
    seen: dict[str, Artifact] = {}
    while waiting:
        artifact = waiting.pop()
        if artifact.path in seen:
            continue
        seen[artifact.path] = artifact
        if isinstance(artifact, Scores | RawFile):
            continue
        for paths in graph.needs(artifact).values():
            for path in [paths] if isinstance(paths, str) else paths:
                if path.startswith(f"{graph.root}/"):
                    waiting.append(graph.parse(path))
    return list(seen.values())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_path_leads_back_to_its_artifact(path: Path) -> None:
    graph = Artifacts(load(path))
    artifacts = everything(graph)
    assert len(artifacts) > 50
    for artifact in artifacts:
        assert graph.parse(graph.at(artifact.path)) == artifact
        assert parse(artifact.record) == artifact or isinstance(artifact, Corpus | RawFile)
    report = ReportPlan(graph)
    shown = [Page(), *(Figure(name, end) for name in report.figures for end in ("svg", "pdf", "png"))]
    for artifact in (*shown, *(Overlap(name) for name in report.selections), Table("scores"), Table("nli", "md")):
        assert parse(artifact.path) == artifact


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_path_is_what_it_was(path: Path) -> None:
    """A path that changes trains again what lies under the old one."""
    paths = sorted(artifact.path for artifact in everything(Artifacts(load(path))))
    assert (len(paths), hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]) == GOLDEN[path.stem]


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_modules_of_overlays_lead_back_too(path: Path) -> None:
    configs = sorted((config for config in CONFIGS if path.stem.startswith(config.stem)), key=lambda c: len(c.stem))
    graph = Artifacts(merged([configs[-1] if configs else QUICKSTART, path]))
    assert graph.modules
    for place, module in graph.modules.items():
        assert graph.parse(graph.at(f"{place}.safetensors")) == module


NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
SEEDS = st.integers(0, 99).map(str)


@st.composite
def modules(draw: st.DrawFn) -> Module:
    entry = draw(st.sampled_from(sorted(MODULE_TYPES)))
    role = draw(st.sampled_from(["language", "task"]))
    subject = {"lang": draw(NAMES)} if role == "language" else {"task": draw(NAMES), "start": draw(NAMES)}
    selection = draw(NAMES) if MODULE_TYPES[entry].masked else ""
    return Module(role, **subject, selection=selection, seed=draw(SEEDS), type=entry)


ANY = st.one_of(
    modules(),
    st.builds(Composed, NAMES, NAMES, NAMES, SEEDS),
    st.builds(Predictions, NAMES, NAMES, NAMES, SEEDS),
    st.builds(Scores, NAMES, NAMES, NAMES, SEEDS),
    st.builds(Corpus, NAMES),
    st.builds(Dataset, NAMES, NAMES, st.sampled_from(["train", "valid", "test"])),
    st.builds(Mask, st.just("language"), lang=NAMES, selection=NAMES, seed=SEEDS),
    st.just(Base()),
)


@given(ANY)
def test_any_names_lead_back(artifact: Artifact) -> None:
    assert parse(artifact.path) == artifact


@given(modules())
def test_a_pattern_is_filled_by_wildcards(module: Module) -> None:
    filled = fill(module_pattern(module.type, module.role), vars(module))  # type: ignore[arg-type]
    assert filled == module
    assert fill(pattern(Composed), {"method": "a", "task": "b", "lang": "c", "seed": "1"}) == Composed(
        "a", "b", "c", "1"
    )
    assert "{selection}" in mask_pattern("task").path


@pytest.mark.parametrize(
    "path", ["deltas/language/ind.safetensors", "sfts/tasks/a/b/seed0.safetensors", "x/y", "masks"]
)
def test_what_is_no_result_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="is not a result of an experiment"):
        parse(path)


def test_coordinates_are_text_and_every_kind_has_a_log() -> None:
    for kind in (RawFile, Corpus, Dataset, Composed, Predictions, Scores, Table, Overlap, Figure):
        made = pattern(kind)
        assert all(isinstance(getattr(made, field.name), str) for field in fields(kind))
        assert PurePosixPath(made.place).parts[0] == kind.stage


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_specs_are_builtins_and_hold_no_place(path: Path) -> None:
    graph = Artifacts(load(path))
    for module in graph.modules.values():
        if module.entry.trained:
            told = spec_of(graph, module)
            assert told["type"] == module.type and told["seed"] == int(module.seed)
            assert graph.root not in str(told)


def test_starts_are_told_apart_although_names_hold_hyphens() -> None:
    content = changed("selections/a-b", EXPERIMENT["selections"]["lt-sft"])
    content["selections"]["a"] = EXPERIMENT["selections"]["lt-sft"]
    graph = Artifacts(validate(content))
    start = graph.start_module("a-b-ind", "0")
    assert start == Module("language", lang="ind", selection="a-b", seed="0", type="sft")
    with pytest.raises(ConfigError, match="no training starts from a-c-ind"):
        graph.start_module("a-c-ind", "0")


def test_language_terms_are_composed_in_their_order_with_their_weights() -> None:
    terms = [{"of": "target"}, {"of": "source", "weight": -0.5, "selection": "other"}]
    content = changed("methods/contrast", {"selection": "lt-sft", "language": terms})
    content["selections"]["other"] = content["selections"]["lt-sft"]
    graph = Artifacts(validate(content))
    (task, weight), *languages = graph.modules_of(Cell("contrast", "sentiment", "ace", "0"))
    assert (task.role, weight) == ("task", 1.0)
    assert [(m.lang, m.selection, w) for m, w in languages] == [("ace", "lt-sft", 1.0), ("ind", "other", -0.5)]
    needs = graph.needs(Composed("contrast", "sentiment", "ace", "0"))
    assert needs["language"] == [graph.at(module.path) for module, _ in languages]
    assert {"sfts/language/lt-sft/ace/seed0", "sfts/language/other/ind/seed0"} <= set(graph.trained)
