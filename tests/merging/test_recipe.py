"""Composition: the sum a dense reference gives, by a recipe that notices every change."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deftx.core.errors import DeftxError, VectorError
from deftx.merging import arithmetic, conflicts, overlap
from deftx.merging import recipe as recipes
from deftx.merging.registry import MERGING_RULES
from deftx.models.base_model import Description
from deftx.modules import addition
from deftx.modules import vectors as vector_files
from tests.helpers import vectors
from tests.helpers.command import refused, run

BASE = Description("pico", None, vectors.BASE, "t" * 64, vectors.SHAPES)
WEIGHTS = st.sampled_from([1.0, 0.5, -1.0, 2.0, 0.3])


def random_state(seed: int) -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=chance) for name, shape in vectors.SHAPES.items()}


def any_vector() -> st.SearchStrategy[vector_files.Vector]:
    return vectors.sparse_vectors() | st.builds(vectors.dense, st.integers(0, 1000))


@given(st.lists(st.tuples(any_vector(), WEIGHTS), max_size=3), st.integers(0, 100))
def test_adding_equals_a_dense_sum(terms: list[tuple[vector_files.Vector, float]], seed: int) -> None:
    state = random_state(seed)
    expected = {name: tensor.double().numpy() for name, tensor in state.items()}
    for vector, weight in terms:
        addition.add(state, vector, weight)
        dense = vectors.as_dense(vector)
        expected = {name: total + weight * dense[name] for name, total in expected.items()}
    for name, tensor in state.items():
        np.testing.assert_allclose(tensor.numpy(), expected[name], atol=2e-6)


@given(vectors.sparse_vectors())
def test_adding_touches_only_the_vector_s_entries(vector: vector_files.Vector) -> None:
    state, before = random_state(0), random_state(0)
    addition.add(state, vector, 1.0)
    for name, tensor in state.items():
        untouched = np.setdiff1d(np.arange(tensor.numel()), vector.positions[name])
        assert torch.equal(tensor.flatten()[untouched], before[name].flatten()[untouched])


@given(st.lists(st.tuples(any_vector(), WEIGHTS), max_size=7), st.integers(0, 100))
def test_any_number_of_terms_is_their_plain_sum(
    tmp_path_factory: pytest.TempPathFactory, terms: list[tuple[vector_files.Vector, float]], seed: int
) -> None:
    """Bit for bit: one after the other, in float32, in the recipe's order, from what lies on the disk."""
    folder = tmp_path_factory.mktemp("terms")
    files = [(saved(folder / f"v{n}", vector), weight) for n, (vector, weight) in enumerate(terms)]
    heads = [n for n, (vector, _) in enumerate(terms) if vector.head]
    head = heads[-1] if heads else None
    recipe = recipes.compose(files, BASE, folder / "recipe.json", head=head)
    assert recipes.read(folder / "recipe.json") == recipe
    loaded = recipes.load_terms(recipe, BASE)
    assert [n for n, (vector, _) in enumerate(loaded) if vector.head] == heads[-1:]
    state = random_state(seed)
    expected = {name: tensor.numpy().copy() for name, tensor in state.items()}
    for vector, weight in loaded:
        addition.add(state, vector, weight)
    for vector, weight in terms:
        for name, moved in vectors.as_dense(vector).items():
            expected[name] = expected[name] + np.float32(weight) * moved.astype(np.float32)
    for name, tensor in state.items():
        np.testing.assert_array_equal(tensor.numpy(), expected[name])
    content = json.loads((folder / "recipe.json").read_text())
    assert (content["overlap"] is not None) is (len(terms) == 2)
    assert len(content["terms"]) == len(content["entries"]) == len(content["added"]) == len(terms)


def test_a_weight_of_zero_changes_nothing() -> None:
    state, before = random_state(0), random_state(0)
    addition.add(state, vectors.sparse(), 0.0)
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_a_vector_of_another_model_is_refused_before_anything_is_added() -> None:
    state = {name: tensor for name, tensor in random_state(0).items() if name != "layer.bias"}
    with pytest.raises(VectorError, match=r"layer\.bias"):
        addition.add(state, vectors.sparse(), 1.0)
    assert all(torch.equal(tensor, random_state(0)[name]) for name, tensor in state.items())


def saved(path: Path, vector: vector_files.Vector) -> Path:
    vector_files.save(vector, path)
    return path


def test_recipe_roundtrip(tmp_path: Path) -> None:
    task, language = vectors.sparse(1, head=True, labels=["a", "b"]), vectors.sparse(2)
    terms = [(saved(tmp_path / "sfts" / "task", task), 1.0), (saved(tmp_path / "sfts" / "language", language), 0.3)]
    out = tmp_path / "composed" / "deep" / "recipe.json"
    recipe = recipes.compose(terms, BASE, out)
    assert recipes.read(out) == recipe
    loaded = recipes.load_terms(recipe, BASE)
    assert [weight for _, weight in loaded] == [1.0, 0.3]
    assert vectors.same(loaded[0][0], task) and vectors.same(loaded[1][0], language)
    content = json.loads(out.read_text())
    assert content["entries"] == [task.entries, language.entries]
    assert not Path(content["terms"][0]["path"]).is_absolute()


@pytest.mark.parametrize("rule", sorted(MERGING_RULES))
def test_conflicts_are_resolved_whenever_the_model_is_built(tmp_path: Path, rule: str) -> None:
    task, language = vectors.sparse(1, head=True, labels=["a", "b"]), vectors.dense(2)
    terms = [(saved(tmp_path / "task", task), 1.0), (saved(tmp_path / "language", language), -0.5)]
    out = tmp_path / "recipe.json"
    recipes.compose(terms, BASE, out, rule=rule, note="a note")
    recipe = recipes.read(out)
    assert (recipe.conflicts, recipe.note) == (rule, "a note")
    expected = conflicts.resolve([(task, 1.0), (language, -0.5)], rule)
    for (found, weight), (vector, stated) in zip(recipes.load_terms(recipe, BASE), expected, strict=True):
        assert weight == stated and vectors.same(found, vector)
    content = json.loads(out.read_text())
    assert content["entries"] == [task.entries, language.entries]
    moved = [sum(np.count_nonzero(d) for d in vectors.as_dense(vector).values()) for vector, _ in expected]
    assert content["added"] == moved


def test_a_stored_sum_has_its_conflicts_resolved(tmp_path: Path) -> None:
    one, other = vectors.sparse(1), vectors.sparse(2)
    terms = [(saved(tmp_path / "one", one), 1.0), (saved(tmp_path / "other", other), 1.0)]
    recipes.compose(terms, BASE, tmp_path / "recipe.json", tmp_path / "sum", "drop-overlap")
    expected = arithmetic.sum_of(conflicts.resolve([(one, 1.0), (other, 1.0)], "drop-overlap"))
    assert vectors.same(vector_files.load(tmp_path / "sum"), expected)


def test_a_recipe_of_an_older_version_adds_all(tmp_path: Path) -> None:
    recipes.compose([(saved(tmp_path / "v", vectors.sparse()), 1.0)], BASE, tmp_path / "recipe.json")
    content = json.loads((tmp_path / "recipe.json").read_text())
    (tmp_path / "old.json").write_text(json.dumps({key: content[key] for key in ("base", "terms")}))
    assert recipes.read(tmp_path / "old.json") == recipes.read(tmp_path / "recipe.json")


def test_the_results_may_move_as_a_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "here" / "v", vectors.sparse())
    recipes.compose([(path, 1.0)], BASE, tmp_path / "here" / "recipe.json")
    (tmp_path / "here").rename(tmp_path / "there")
    assert recipes.load_terms(recipes.read(tmp_path / "there" / "recipe.json"), BASE)


def test_a_changed_vector_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "v", vectors.sparse(1))
    recipe = recipes.compose([(path, 1.0)], BASE, tmp_path / "recipe.json")
    saved(path, vectors.sparse(2))
    with pytest.raises(VectorError, match="has changed since"):
        recipes.load_terms(recipe, BASE)


def test_another_base_is_refused(tmp_path: Path) -> None:
    other = Description("pico", None, "c" * 64, "t" * 64, vectors.SHAPES)
    path = saved(tmp_path / "v", vectors.sparse())
    with pytest.raises(VectorError, match="another base"):
        recipes.compose([(path, 1.0)], other, tmp_path / "recipe.json")
    recipe = recipes.compose([(path, 1.0)], BASE, tmp_path / "recipe.json")
    with pytest.raises(VectorError, match="another base"):
        recipes.load_terms(recipe, other)


def test_a_recipe_says_which_term_brings_the_head_where_it_is_not_the_first(tmp_path: Path) -> None:
    out = tmp_path / "recipe.json"
    task, language = (saved(tmp_path / f"v{n}", vectors.sparse(n, head=n == 0)) for n in (0, 1))
    for terms, head in (([task, language], None), ([task], None), ([language], None), ([language, task], 1)):
        recipe = recipes.compose([(path, 1.0) for path in terms], BASE, out)
        content = json.loads(out.read_text())
        assert (recipe.head, content.get("head")) == (head, head) and recipes.read(out) == recipe
        assert ("head" in content) is (head is not None)


@given(st.lists(st.booleans(), min_size=1, max_size=5), st.integers(0, 6) | st.none())
def test_one_of_several_heads_is_named_or_refused(
    tmp_path_factory: pytest.TempPathFactory, has_head: list[bool], head: int | None
) -> None:
    folder = tmp_path_factory.mktemp("heads")
    modules = [vectors.sparse(n, head=here) for n, here in enumerate(has_head)]
    terms = [(saved(folder / f"v{n}", module), 1.0) for n, module in enumerate(modules)]
    heads = [n for n, here in enumerate(has_head) if here]
    if head not in heads if head is not None else len(heads) > 1:
        with pytest.raises(
            VectorError, match="several vectors have a head" if head is None else "should have the head"
        ):
            recipes.compose(terms, BASE, folder / "recipe.json", folder / "sum", head=head)
        assert not (folder / "recipe.json").exists() and not (folder / "sum").exists()
        return
    recipe = recipes.compose(terms, BASE, folder / "recipe.json", folder / "sum", head=head)
    bearer = heads[0] if head is None and heads else head
    loaded = [vector for vector, _ in recipes.load_terms(recipe, BASE)]
    assert [n for n, vector in enumerate(loaded) if vector.head] == ([] if bearer is None else [bearer])
    expected = {} if bearer is None else modules[bearer].head
    assert vector_files.load(folder / "sum").head.keys() == expected.keys()
    assert all(np.array_equal(vector_files.load(folder / "sum").head[name], expected[name]) for name in expected)


def test_the_command_line_names_the_head(tmp_path: Path) -> None:
    described = {"model": "pico", "revision": None, "hash": vectors.BASE, "tokenizer": "t", "shapes": vectors.SHAPES}
    (tmp_path / "base.json").write_text(json.dumps(described))
    paths = [saved(tmp_path / f"task{n}", vectors.sparse(n, head=True)) for n in range(3)]
    options = ["--base", tmp_path / "base.json", "--out", tmp_path / "recipe.json"]
    assert "--head" in refused("compose", *paths, *options)
    run("compose", paths[0], f"{paths[1]}:0.5", f"{paths[2]}:-0.5", *options, "--head", 2)
    recipe = recipes.read(tmp_path / "recipe.json")
    assert (recipe.head, [term.weight for term in recipe.terms]) == (2, [1.0, 0.5, -0.5])
    assert "there are 3 vectors" in refused("compose", *paths, *options, "--head", 3)


def test_two_heads_and_masks_are_refused(tmp_path: Path) -> None:
    one, other = (saved(tmp_path / f"task{n}", vectors.sparse(n, head=True)) for n in (1, 2))
    with pytest.raises(VectorError, match=r"task1.*task2"):
        recipes.compose([(one, 1.0), (other, 1.0)], BASE, tmp_path / "recipe.json")
    mask = saved(tmp_path / "mask", vectors.sparse(kind="mask"))
    with pytest.raises(VectorError, match="is a mask"):
        recipes.compose([(mask, 1.0)], BASE, tmp_path / "recipe.json")
    assert not (tmp_path / "recipe.json").exists()


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(tmp_path: Path, weight: float) -> None:
    path = saved(tmp_path / "v", vectors.sparse())
    with pytest.raises(VectorError, match="weight"):
        recipes.compose([(path, weight)], BASE, tmp_path / "recipe.json")


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"base": "b", "terms": [{}]}', '{"base": "b", "terms": 3}',
     '{"base": "b", "terms": [], "conflicts": "elect"}', '{"base": "b", "terms": [], "head": 0}',
     '{"base": "b", "terms": [{"path": "v", "weight": 1, "sha256": "s"}], "head": "first"}'],
)  # fmt: skip
def test_what_is_no_recipe_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(DeftxError, match=r"recipe\.json is (not the recipe|corrupted \(not a? ?JSON)"):
        recipes.read(tmp_path / "recipe.json")


@given(any_vector(), any_vector())
def test_overlap_equals_counting_entry_by_entry(one: vector_files.Vector, other: vector_files.Vector) -> None:
    a, b = (np.concatenate([d.ravel() for d in vectors.as_dense(v).values()]) for v in (one, other))
    both, either = (a != 0) & (b != 0), (a != 0) | (b != 0)
    conflicts = sum(x * y < 0 for x, y in zip(a.tolist(), b.tolist(), strict=True))
    length = np.linalg.norm(a) * np.linalg.norm(b)
    found = overlap.overlap(one, other)
    assert found["shared"] == both.sum()
    assert found["jaccard"] == pytest.approx(both.sum() / max(1, either.sum()))
    assert found["cosine"] == pytest.approx(float(a @ b) / length if length else 0.0)
    assert found["sign_conflicts"] == pytest.approx(conflicts / max(1, both.sum()))


def test_overlap_with_itself_and_the_other_way_round() -> None:
    one, other = vectors.sparse(1), vectors.dense(2)
    assert overlap.overlap(one, one)["jaccard"] == 1.0
    assert overlap.overlap(one, one)["cosine"] == pytest.approx(1.0)
    for key, value in overlap.overlap(one, other).items():
        assert overlap.overlap(other, one)[key] == pytest.approx(value)


def test_order_of_terms_is_kept(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"v{n}", vectors.sparse(n)) for n in range(3)]
    for order in itertools.permutations(paths):
        recipe = recipes.compose([(path, 1.0) for path in order], BASE, tmp_path / "recipe.json")
        assert [t.path.name for t in recipes.read(tmp_path / "recipe.json").terms] == [p.name for p in order]
        assert len(recipe.terms) == 3
