"""Verbs that make models of modules, and score, store and convert them."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from deftx.cli.options import Base, Out, Recipe, parsed
from deftx.core import gpus
from deftx.core.errors import ConfigError


def compose(
    vectors: Annotated[
        list[str], typer.Argument(help="Vectors in the order they are added, each FILE or FILE:WEIGHT.")
    ],
    base: Base,
    out: Out,
    write: Annotated[Path | None, typer.Option(help="Store the sum of the vectors as an SFT, too.")] = None,
    conflicts: Annotated[str, typer.Option(help="Entries several vectors move: sum, ties or drop-overlap.")] = "sum",
    note: Annotated[str | None, typer.Option(help="What a reader must know of the model, for its recipe.")] = None,
    head: Annotated[
        int | None,
        typer.Option(min=0, help="Which vector brings the head, counted from 0; needed where several have one."),
    ] = None,
) -> None:
    """Write the recipe of a composed model: base plus weighted vectors."""
    from deftx.merging import recipe as recipes
    from deftx.models import base_model

    terms = [_weighted(v) for v in vectors]
    recipes.compose(terms, base_model.read(base), out, write, conflicts, note, head)


def _weighted(vector: str) -> tuple[Path, float]:
    path, colon, weight = vector.rpartition(":")
    try:
        return (Path(path), float(weight)) if colon else (Path(vector), 1.0)
    except ValueError:
        return Path(vector), 1.0


def export(recipe: Recipe, base: Base, out: Out) -> None:
    """Store a composed model as an ordinary checkpoint that transformers can load."""
    from deftx.core.files import publish
    from deftx.merging import recipe as recipes
    from deftx.models import base_model

    description = base_model.read(base)
    composed = recipes.read(recipe)
    terms = recipes.load_terms(composed, description)
    recipes.require_merging([module for module, _ in terms])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there, and not empty: name another folder, or remove it")
    model, tokenizer = recipes.build(composed, description, terms), base_model.tokenizer(description)
    with publish(out) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def convert(
    source: Annotated[Path, typer.Argument(help="An SFT, or composable-sft's pytorch_diff.bin.")],
    out: Annotated[Path, typer.Argument(help="An SFT to write, or *.bin for composable-sft's format.")],
    base: Annotated[Path | None, typer.Option(help="base.json of the model an old file was made for.")] = None,
    labels: Annotated[str | None, typer.Option(help="Labels of an old file's head as a JSON list.")] = None,
    values: Annotated[str, typer.Option(help="How an SFT stores its values: fp32, or bf16 (rounded).")] = "fp32",
    prefix: Annotated[str, typer.Option(help="Prefix of parameter names in the old format.")] = "roberta",
    licence: Annotated[str | None, typer.Option(help="Terms the vector may be used under, to be noted in it.")] = None,
) -> None:
    """Convert between SFTs and composable-sft's files, or store an SFT's values in bf16."""
    from deftx.models import base_model
    from deftx.modules import vectors as vector_files
    from deftx.sharing import composable_sft as conversion

    from_old, to_old = conversion.is_old(source), out.suffix == ".bin"
    ignored: dict[str, Any] = {} if from_old else {"--base": base, "--labels": labels}
    ignored |= {"--licence": licence, "--values": values != "fp32"} if to_old else {}
    if given := ", ".join(option for option, value in ignored.items() if value):
        raise ConfigError(
            f"{given}: of no use here, leave it out. --base and --labels are for reading composable-sft's files, "
            "--licence and --values for writing SFTs"
        )
    if not from_old:
        vector = vector_files.load(source)
    elif base is None:
        raise ConfigError(f"{source} does not say which model it was made for: name it by --base base.json")
    else:
        names = parsed(list[str], labels) if labels else None
        vector = conversion.read_old(source, base_model.read(base), names, licence)
    if to_old:
        conversion.write_old(vector, prefix, out)
        return
    noted = {"values": parsed(vector_files.Precision, values), "licence": licence or vector.metadata.licence}
    vector_files.save(replace(vector, metadata=vector.metadata.model_copy(update=noted)), out)


Dataset = Annotated[Path, typer.Option(help="CSV file of the test set.")]
Predictions = Annotated[
    Path, typer.Option(help="CSV to write: every prediction with its probabilities; its provenance as JSON beside it.")
]
Length = Annotated[int, typer.Option(help="Texts are cut to so many tokens.")]
JudgedBy = Annotated[str, typer.Option(help="What the task is judged by: macro_f1 or accuracy.")]


def predict(
    recipe: Recipe,
    base: Base,
    dataset: Dataset,
    predictions: Predictions,
    max_length: Length = 128,
    forward: Annotated[str, typer.Option(help="How the model computes logits, as the task was trained.")] = "plain",
) -> None:
    """Predict the labels of a test set with a composed model."""
    from deftx.evaluation import predict as predicting

    gpus.take()
    predicting.predict(recipe, base, dataset, max_length, predictions, forward)


def score(
    predictions: Annotated[Path, typer.Option(help="CSV that predict wrote; with names, the folder of NAME.csv.")],
    scores: Annotated[Path, typer.Option(help="JSON to write; with names, the folder of NAME.json.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Predictions of a folder, such as ace/seed0 for ace/seed0.csv.")
    ] = None,
    metric: JudgedBy = "macro_f1",
) -> None:
    """Score stored predictions, one file or many; loads no model."""
    from deftx.config.tasks import Metric
    from deftx.evaluation import score as scoring

    judged = parsed(Metric, metric)
    files = [(predictions / f"{n}.csv", scores / f"{n}.json") for n in names] if names else [(predictions, scores)]
    for source, out in files:
        scoring.score(source, out, judged)


def evaluate(
    recipe: Recipe,
    base: Base,
    dataset: Dataset,
    scores: Annotated[Path, typer.Option(help="JSON to write.")],
    predictions: Predictions,
    max_length: Length = 128,
    metric: JudgedBy = "macro_f1",
) -> None:
    """Predict and score in one go."""
    from deftx.config.tasks import Metric
    from deftx.evaluation import score as scoring

    judged = parsed(Metric, metric)
    scoring.check_names(predictions, scores)
    predict(recipe, base, dataset, predictions, max_length)
    scoring.score(predictions, scores, judged)
