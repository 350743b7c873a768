"""Verbs that fetch and prepare data, and describe the base model."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from deftx.cli.options import Family, Language, Mirror, Out, Pinned, Settings, named, parsed
from deftx.core import gpus
from deftx.core.errors import ConfigError

log = logging.getLogger(__name__)


def fetch(
    file: Settings,
    out: Out,
    mirror: Mirror = None,
) -> None:
    """Fetch a pinned raw file, from the mirror if it holds it."""
    from deftx.config.data import File
    from deftx.data import fetch as fetching

    fetching.fetch(parsed(File, file), out, mirror)


def corpus(
    language: Language,
    settings: Settings,
    out: Out,
    raw: Annotated[list[Path] | None, typer.Option(help="Raw files, in the order of the settings.")] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="CSV files of datasets whose sentences are dropped.")
    ] = None,
    family: Family = None,
    pinned: Pinned = None,
) -> None:
    """Clean a language's text and split it into train and valid."""
    from deftx.config.data import Corpus, Variety
    from deftx.config.data import Family as SyntheticFamily
    from deftx.core.integrity import check_pinned
    from deftx.data import corpora, synthetic

    check_pinned(_by_file(pinned))
    if family is not None:
        cleaning = synthetic.CLEANING
        lines = synthetic.corpus(parsed(SyntheticFamily, family), language, parsed(Variety, settings))
    else:
        cleaning = parsed(Corpus, settings)
        lines = corpora.read_all(cleaning.files, raw or [])
    counts = corpora.build(lines, cleaning, evaluation or [], out, language)
    log.info(f"{language}: {counts.train} lines to train on, {counts.valid} held out, of {counts.raw}")


def dataset(
    language: Language,
    split: Annotated[str, typer.Argument(help="train, valid or test.")],
    settings: Settings,
    labels: Annotated[str, typer.Option(help="The task's labels as a JSON list.")],
    out: Out,
    raw: Annotated[list[Path] | None, typer.Option(help="Raw files of the split.")] = None,
    sibling: Annotated[list[Path] | None, typer.Option(help="Raw files of the dataset's other splits.")] = None,
    near: Annotated[list[Path] | None, typer.Option(help="CSV files whose near copies are dropped.")] = None,
    held_out: Annotated[Path | None, typer.Option(help="CSV file of the validation split: its rows go.")] = None,
    family: Family = None,
    spoken: Annotated[str | None, typer.Option(help="For a synthetic language: its testbed entry.")] = None,
    pinned: Pinned = None,
) -> None:
    """Bring labelled data into one layout: a CSV file with id, text, pair and label."""
    from deftx.config.data import DatasetSettings, Variety
    from deftx.config.data import Family as SyntheticFamily
    from deftx.core.integrity import check_pinned
    from deftx.data import datasets, layouts, synthetic
    from deftx.data.rows import check_labels

    check_pinned(_by_file(pinned))
    kind, names = parsed(DatasetSettings, settings), parsed(list[str], labels)
    origin = ", ".join(map(str, raw or [])) or f"the testbed's dataset in {language}"
    if raw:
        rows = layouts.read_all(raw, kind, names)
    elif family is not None and spoken is not None:
        world, tongue = parsed(SyntheticFamily, family), parsed(Variety, spoken)
        rows = synthetic.dataset(world, language, tongue, parsed(Literal["train", "valid", "test"], split))
        check_labels(rows, names, origin)
    else:
        raise ConfigError("a dataset needs its raw file (--raw), or a family and a language of the testbed")
    statistics = datasets.build(rows, kind, names, split, out, origin, near or [], sibling or [], held_out)
    if kind.drop_near_copies:
        log.info(f"{statistics['dropped_near_copies']} of {len(rows)} rows dropped as near copies")
    if held_out:
        log.info(f"{statistics['dropped_held_out']} rows dropped as rows of the validation split")


def _by_file(pinned: list[str] | None) -> dict[Path, str]:
    return {path: sha256 for sha256, path in map(named, pinned or [])}


def view(
    dataset: Annotated[Path, typer.Argument(help="CSV file of a dataset that deftx dataset has written.")],
    settings: Settings,
    out: Out,
) -> None:
    """Change a dataset's rows by the transforms of a view."""
    from deftx.config.data import View
    from deftx.views import transform_rows

    counts = transform_rows.build(dataset, parsed(View, settings), out)["rows"]
    log.info(f"{out}: {counts[-1]} rows from {counts[0]}")


def base(
    settings: Settings,
    out: Out,
    family: Annotated[str | None, typer.Option(help="The family of synthetic languages, as JSON.")] = None,
    train: Annotated[list[Path] | None, typer.Option(help="Corpora to pretrain on.")] = None,
    valid: Annotated[list[Path] | None, typer.Option(help="Held-out parts of the corpora.")] = None,
) -> None:
    """Describe the base model in base.json; pretrain a tiny one first where the settings say so."""
    from deftx.config.base import Base as BaseSettings
    from deftx.models import base_model

    chosen = parsed(BaseSettings, settings)
    location = base_model.where(chosen.model) if chosen.model else str(out.parent / "base")
    if chosen.pretrain:
        from deftx.config.data import Family as SyntheticFamily
        from deftx.data import synthetic
        from deftx.finetuning import pretraining

        if family is None:
            raise ConfigError("pretraining needs the family of synthetic languages (--family)")
        gpus.take()
        pieces = synthetic.inventory(parsed(SyntheticFamily, family))
        pretraining.pretrain(chosen.pretrain, pieces, train or [], valid or [], Path(location))
    description = base_model.describe(chosen.model, chosen.revision, location, out)
    log.info(f"base model {description.name}: weights {description.hash[:12]}")
