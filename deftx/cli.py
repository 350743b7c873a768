"""The command line: one verb per stage. Each reads what it names and writes what it names.

Settings arrive as JSON (the workflow's way) or as the name of a YAML file. Heavy libraries are imported inside
the verbs, so that help and the light stages start at once.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec

import typer

from deftx import __version__
from deftx.errors import ConfigError, DeftxError

app = typer.Typer(
    name="deftx",
    help="Denoised sparse fine-tuning for zero-shot cross-lingual transfer (DeFT-X, LT-SFT).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
P = ParamSpec("P")

Out = Annotated[Path, typer.Option(help="File or folder to write.")]
Base = Annotated[Path, typer.Option(help="base.json, the description of the base model.")]
Settings = Annotated[str, typer.Option(help="Settings as JSON, or the name of a YAML file.")]


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """Register a verb; a user's mistake ends it with one message and the exit status of its kind (1)."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except DeftxError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(error.status) from None
        except OSError as error:
            print(f"error: {error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
            raise typer.Exit(1) from None

    return app.command(name=function.__name__.strip("_").replace("_", "-"))(run)


def parsed(kind: Any, settings: str) -> Any:
    """Settings as an instance of a pydantic type.

    Raises:
        SourceError: the YAML file cannot be read as text.
        ConfigError: neither JSON nor YAML, a key that stands twice, or not of this type.
    """
    from pydantic import TypeAdapter, ValidationError

    from deftx import strict_yaml
    from deftx.sources import read_text

    path = Path(settings)
    is_file = settings[:1] not in "{[" and path.suffix in (".yaml", ".yml", ".json")
    try:
        text = read_text(path) if is_file else settings
        origin = str(path) if is_file else "the text of the settings"
        return TypeAdapter(kind).validate_python(strict_yaml.parse(text, origin))
    except ValidationError as error:
        problem = error.errors()[0]
        where = "".join(f"{part}: " for part in [".".join(map(str, problem["loc"]))] if part)
        raise ConfigError(f"settings: {where}{problem['msg']}") from None


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Denoised sparse fine-tuning for zero-shot cross-lingual transfer (DeFT-X, LT-SFT)."""


@verb
def fetch(
    file: Settings,
    out: Out,
    mirror: Annotated[Path | None, typer.Option(envvar="DEFTX_MIRROR", help="Folder that is looked in first.")] = None,
) -> None:
    """Fetch a pinned raw file, from the mirror if it holds it."""
    from deftx import fetching
    from deftx.settings import File

    fetching.fetch(parsed(File, file), out, mirror)


@verb
def corpus(
    language: Annotated[str, typer.Argument(help="Code of the language.")],
    settings: Settings,
    out: Out,
    raw: Annotated[list[Path] | None, typer.Option(help="Raw files, in the order of the settings.")] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="CSV files of datasets whose sentences are dropped.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="For an artificial language: its family, as JSON.")] = None,
) -> None:
    """Clean a language's text and split it into train and valid."""
    from deftx import corpora, datasets, testbed
    from deftx.settings import Corpus

    if family is not None:
        spoken = parsed(testbed.Variety, settings)
        lines = testbed.corpus(parsed(testbed.Family, family), language, spoken)
        cleaning = Corpus.model_construct(files=(), min_words=2, valid=0.05, min_lines=20)
    else:
        cleaning, raw = parsed(Corpus, settings), raw or []
        if len(raw) != len(cleaning.files):
            raise ConfigError(f"the settings name {len(cleaning.files)} files, but --raw names {len(raw)}")
        lines = [
            line for file, path in zip(cleaning.files, raw, strict=True) for line in corpora.read_lines(file, path)
        ]
    sentences = (row[column] for path in evaluation or [] for row in datasets.load(path) for column in ("text", "pair")
                 if column in row)  # fmt: skip
    counts = corpora.build(lines, cleaning, sentences, out, language)
    print(f"{language}: {counts.train} lines to train on, {counts.valid} held out, of {counts.raw}", file=sys.stderr)


@verb
def dataset(
    language: Annotated[str, typer.Argument(help="Code of the language.")],
    split: Annotated[str, typer.Argument(help="train, valid or test.")],
    settings: Settings,
    labels: Annotated[str, typer.Option(help="The task's labels as a JSON list.")],
    out: Out,
    raw: Annotated[list[Path] | None, typer.Option(help="Raw files of the split.")] = None,
    sibling: Annotated[list[Path] | None, typer.Option(help="Raw files of the dataset's other splits.")] = None,
    near: Annotated[list[Path] | None, typer.Option(help="CSV files whose near copies are dropped.")] = None,
    held_out: Annotated[Path | None, typer.Option(help="CSV file of the validation split: its rows go.")] = None,
    family: Annotated[str | None, typer.Option(help="For an artificial language: its family, as JSON.")] = None,
    spoken: Annotated[str | None, typer.Option(help="For an artificial language: its testbed entry.")] = None,
) -> None:
    """Bring labelled data into one layout: a CSV file with id, text, pair and label."""
    from deftx import datasets, testbed
    from deftx.settings import DatasetSettings

    kind = parsed(DatasetSettings, settings)
    if raw:
        rows = datasets.read_all(raw, kind)
    elif family is not None and spoken is not None:
        world, tongue = parsed(testbed.Family, family), parsed(testbed.Variety, spoken)
        rows = testbed.dataset(world, language, tongue, parsed(Literal["train", "valid", "test"], split))
    else:
        raise ConfigError("a dataset needs its raw file (--raw), or a family and a language of the testbed")
    kept = rows
    if kind.drop_near_copies:
        elsewhere = [row["text"] for row in datasets.read_all(sibling or [], kind)]
        kept = datasets.without_near_copies(rows, kind.drop_near_copies, near or [], elsewhere)
        print(f"{len(rows) - len(kept)} of {len(rows)} rows dropped as near copies", file=sys.stderr)
    dropped = len(rows) - len(kept)
    if held_out:
        kept = datasets.without_held_out(kept, datasets.load(held_out))
        print(f"{len(rows) - dropped - len(kept)} rows dropped as rows of the validation split", file=sys.stderr)
    in_valid = len(rows) - dropped - len(kept)
    if kind.train_rows_per_label and split == "train":
        kept = datasets.balanced(kept, kind.train_rows_per_label)
    names = parsed(list[str], labels)
    datasets.check_labels(kept, names, out)
    if split == "train":
        datasets.require_labels(kept, names, out)
    datasets.save(kept, dropped, names, out, in_valid)


@verb
def base(
    settings: Settings,
    out: Out,
    family: Annotated[str | None, typer.Option(help="The family of artificial languages, as JSON.")] = None,
    train: Annotated[list[Path] | None, typer.Option(help="Corpora to pretrain on.")] = None,
    valid: Annotated[list[Path] | None, typer.Option(help="Held-out parts of the corpora.")] = None,
) -> None:
    """Describe the base model in base.json; pretrain a tiny one first where the settings say so."""
    from deftx import base as base_model
    from deftx.settings import Base as BaseSettings

    chosen = parsed(BaseSettings, settings)
    location = base_model.where(chosen.model) if chosen.model else str(out.parent / "base")
    if chosen.pretrain:
        from deftx import pretraining, testbed

        if family is None:
            raise ConfigError("pretraining needs the family of artificial languages (--family)")
        pieces = testbed.inventory(parsed(testbed.Family, family))
        pretraining.pretrain(chosen.pretrain, pieces, train or [], valid or [], Path(location))
    description = base_model.describe(chosen.model, chosen.revision, location, out)
    print(f"base model {description.name}: weights {description.hash[:12]}", file=sys.stderr)


@verb
def train(
    settings: Settings,
    phase: Annotated[str, typer.Option(help="Length and speed of the training, as JSON.")],
    base: Base,
    train: Annotated[Path, typer.Option(help="Corpus (text) or dataset (CSV) to train on.")],
    valid: Annotated[Path, typer.Option(help="Held-out part of it.")],
    seed: Annotated[int, typer.Option(help="Seed of order, masking, dropout and head.")],
    out: Out,
    labels: Annotated[str | None, typer.Option(help="A task's labels as a JSON list; without: masked-LM.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Move the entries of this mask only.")] = None,
    start: Annotated[Path | None, typer.Option(help="Vector added to the base before training.")] = None,
    gradients: Annotated[bool, typer.Option("--gradients", help="Add up gradients; the encoder stays.")] = False,
) -> None:
    """Train a delta (full fine-tuning) or, with a mask, an SFT (sparse fine-tuning); or add up gradients."""
    from deftx import training
    from deftx.settings import LanguageTraining, Phase, TaskTraining

    if gradients and (mask or int(os.environ.get("WORLD_SIZE", "1")) > 1):
        raise ConfigError("--gradients goes without --mask, and in one process")
    job = training.Job(base, parsed(Phase, phase), seed, out, mask, start, gradients)
    if labels is None:
        training.train_language(job, train, valid, parsed(LanguageTraining, settings))
    else:
        training.train_task(job, train, valid, parsed(list[str], labels), parsed(TaskTraining, settings))


@verb
def adapter(
    settings: Settings,
    shape: Annotated[str, typer.Option(help="Sizes of the adapter, as JSON.")],
    phase: Annotated[str, typer.Option(help="Length and speed of the training, as JSON.")],
    base: Base,
    train: Annotated[Path, typer.Option(help="Corpus (text) or dataset (CSV) to train on.")],
    valid: Annotated[Path, typer.Option(help="Held-out part of it.")],
    seed: Annotated[int, typer.Option(help="Seed of first values, order, masking, dropout and head.")],
    out: Out,
    labels: Annotated[str | None, typer.Option(help="A task's labels as a JSON list; without: masked-LM.")] = None,
    start: Annotated[Path | None, typer.Option(help="Language adapter a task's is stacked on.")] = None,
) -> None:
    """Train an adapter of a language or, with labels, of a task; the encoder stays."""
    from deftx import adapter_training, training
    from deftx.settings import LanguageAdapter, LanguageTraining, Phase, TaskAdapter, TaskTraining

    job = training.Job(base, parsed(Phase, phase), seed, out, start=start)
    if labels is None:
        sizes = parsed(LanguageAdapter, shape)
        adapter_training.train_language(job, train, valid, parsed(LanguageTraining, settings), sizes)
    else:
        names, recipe = parsed(list[str], labels), parsed(TaskTraining, settings)
        adapter_training.train_task(job, train, valid, names, recipe, parsed(TaskAdapter, shape))


@verb
def lora(
    settings: Settings,
    shape: Annotated[str, typer.Option(help="Rank, alpha and targets of LoRA, as JSON.")],
    phase: Annotated[str, typer.Option(help="Length and speed of the training, as JSON.")],
    base: Base,
    train: Annotated[Path, typer.Option(help="Corpus (text) or dataset (CSV) to train on.")],
    valid: Annotated[Path, typer.Option(help="Held-out part of it.")],
    seed: Annotated[int, typer.Option(help="Seed of first values, order, masking, dropout and head.")],
    out: Out,
    labels: Annotated[str | None, typer.Option(help="A task's labels as a JSON list; without: masked-LM.")] = None,
    start: Annotated[Path | None, typer.Option(help="A language's LoRA, added to the base before training.")] = None,
) -> None:
    """Train LoRA of a language or, with labels, of a task; the encoder stays."""
    from deftx import lora_training, training
    from deftx.settings import LanguageTraining, Lora, Phase, TaskTraining

    job = training.Job(base, parsed(Phase, phase), seed, out, start=start)
    sizes = parsed(Lora, shape)
    if labels is None:
        lora_training.train_language(job, train, valid, parsed(LanguageTraining, settings), sizes)
    else:
        recipe = parsed(TaskTraining, settings)
        lora_training.train_task(job, train, valid, parsed(list[str], labels), recipe, sizes)


@verb
def mask(
    delta: Annotated[Path, typer.Argument(help="The delta of a full fine-tuning, or summed gradients.")],
    selection: Annotated[str, typer.Option(help="Selection as JSON, or the name of a YAML file.")],
    k: Annotated[str, typer.Option(help="Entries to choose: a number, or with a decimal point a share.")],
    out: Out,
    report: Annotated[Path, typer.Option(help="JSON with spectra, ranks and entries chosen per parameter.")],
) -> None:
    """Choose the entries sparse fine-tuning may move."""
    from deftx import masks
    from deftx.settings import Denoising

    masks.build(delta, parsed(Denoising, selection), _budget(k), out, report)


@verb
def random_mask(
    delta: Annotated[Path, typer.Argument(help="The delta whose entries may be drawn.")],
    k: Annotated[str, typer.Option(help="Entries to draw: a number, or with a decimal point a share.")],
    out: Out,
    report: Annotated[Path, typer.Option(help="JSON with entries drawn per parameter.")],
) -> None:
    """Draw a mask at random, as a control for what is chosen."""
    from deftx import random_masks

    random_masks.build(delta, _budget(k), out, report)


@verb
def prune(
    delta: Annotated[Path, typer.Argument(help="The delta of a full fine-tuning.")],
    mask: Annotated[Path, typer.Option(help="A mask that was selected from it.")],
    out: Out,
) -> None:
    """Take the denoised delta itself at its mask, without training again."""
    from deftx import pruning

    pruning.build(delta, mask, out)


def _budget(k: str) -> int | float:
    from pydantic import TypeAdapter, ValidationError

    from deftx.config import Budget

    try:
        budget: int | float = TypeAdapter(Budget).validate_json(k)
    except ValidationError:
        raise ConfigError(
            f"--k {k}: give a number of entries such as 5000, or with a decimal point a share such as 0.05"
        ) from None
    return budget


@verb
def compose(
    vectors: Annotated[
        list[str], typer.Argument(help="Vectors in the order they are added, each FILE or FILE:WEIGHT.")
    ],
    base: Base,
    out: Out,
    write: Annotated[Path | None, typer.Option(help="Store the sum of the vectors as an SFT, too.")] = None,
    conflicts: Annotated[str, typer.Option(help="Entries several vectors move: sum, ties or drop-overlap.")] = "sum",
    note: Annotated[str | None, typer.Option(help="What a reader must know of the model, for its recipe.")] = None,
) -> None:
    """Write the recipe of a composed model: base plus weighted vectors."""
    from deftx import base as base_model
    from deftx import composition
    from deftx.settings import Conflicts

    terms = [_weighted(v) for v in vectors]
    composition.compose(terms, base_model.read(base), out, write, parsed(Conflicts, conflicts), note)


def _weighted(vector: str) -> tuple[Path, float]:
    path, colon, weight = vector.rpartition(":")
    try:
        return (Path(path), float(weight)) if colon else (Path(vector), 1.0)
    except ValueError:
        return Path(vector), 1.0


@verb
def export(recipe: Annotated[Path, typer.Argument(help="Recipe of a composed model.")], base: Base, out: Out) -> None:
    """Store a composed model as an ordinary checkpoint that transformers can load."""
    from deftx import base as base_model
    from deftx import composition, evaluation

    description = base_model.read(base)
    composed = composition.read(recipe)
    composition.require_merging([module for module, _ in composition.load_terms(composed, description)])
    model = evaluation.build(composed, description)
    model.save_pretrained(out)
    base_model.load_tokenizer(description.location, description.revision).save_pretrained(out)


@verb
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
    from deftx import base as base_model
    from deftx import convert as conversion
    from deftx import sft

    if not conversion.is_old(source):
        vector = sft.load(source)
    elif base is None:
        raise ConfigError(f"{source} does not say which model it was made for: name it by --base base.json")
    else:
        names = parsed(list[str], labels) if labels else None
        vector = conversion.read_old(source, base_model.read(base), names, licence)
    if out.suffix == ".bin":
        conversion.write_old(vector, prefix, out)
        return
    noted = {"values": parsed(sft.Precision, values), "licence": licence or vector.metadata.licence}
    sft.save(replace(vector, metadata=vector.metadata.model_copy(update=noted)), out)


@verb
def evaluate(
    recipe: Annotated[Path, typer.Argument(help="Recipe of a composed model.")],
    base: Base,
    dataset: Annotated[Path, typer.Option(help="CSV file of the test set.")],
    scores: Annotated[Path, typer.Option(help="JSON to write.")],
    predictions: Annotated[Path, typer.Option(help="CSV to write: every prediction with its probabilities.")],
    max_length: Annotated[int, typer.Option(help="Texts are cut to so many tokens.")] = 128,
    metric: Annotated[str, typer.Option(help="What the task is judged by: macro_f1 or accuracy.")] = "macro_f1",
) -> None:
    """Score a composed model on a labelled test set."""
    from deftx import evaluation
    from deftx.settings import Metric

    evaluation.evaluate(recipe, base, dataset, max_length, scores, predictions, parsed(Metric, metric))


@verb
def overlap(
    vectors: Annotated[list[str], typer.Argument(help="NAME=FILE for each vector.")],
    out: Out,
) -> None:
    """Compare vectors pair by pair: Jaccard of their masks, cosine of their values."""
    from deftx import overlap as overlaps

    overlaps.build(dict(_named(v) for v in vectors), out)


@verb
def tables(
    results: Annotated[Path, typer.Argument(help="Folder of the experiment's results.")],
    plan: Annotated[str, typer.Option(help="Task, methods, languages and seeds to tabulate, as JSON.")],
    out: Out,
) -> None:
    """Make tables of scores and gains in CSV, Markdown and LaTeX."""
    from deftx import tables as table_stage

    table_stage.build(results, parsed(table_stage.Plan, plan), out)


@verb
def costs(
    results: Annotated[Path, typer.Argument(help="Folder of the experiment's results.")],
    plan: Annotated[str, typer.Option(help="Methods, their modules, and what these were made from, as JSON.")],
    scores: Annotated[Path, typer.Option(help="The table of scores, scores.csv.")],
    out: Out,
) -> None:
    """Tabulate what each method trains, stores and takes beside its scores, from training records and benchmarks."""
    from deftx import costs as cost_stage

    cost_stage.build(results, parsed(cost_stage.Plan, plan), scores, out)


@verb
def figures(
    tables: Annotated[Path, typer.Argument(help="Folder of the tables.")],
    out: Out,
    reports: Annotated[list[str] | None, typer.Option(help="SELECTION/NAME=FILE: reports of masks.")] = None,
    overlaps: Annotated[list[str] | None, typer.Option(help="SELECTION=FILE: overlap tables.")] = None,
) -> None:
    """Draw figures from tables, reports of masks, and overlaps."""
    from deftx import figures as figure_stage

    figure_stage.build(tables, dict(map(_named, reports or [])), dict(map(_named, overlaps or [])), out)


@verb
def sweeps(
    scores: Annotated[Path, typer.Argument(help="The table scores.csv.")],
    settings: Settings,
    out: Annotated[Path, typer.Option(help="Figure to write, without its ending.")],
) -> None:
    """Draw scores against the knobs that methods differ in."""
    from deftx import sweeps as sweep_stage
    from deftx.settings import Sweep

    sweep_stage.build(scores, parsed(dict[str, Sweep], settings), out)


def _named(entry: str) -> tuple[str, Path]:
    name, _, path = entry.partition("=")
    return name, Path(path)


@verb
def plan(
    config: Annotated[list[Path], typer.Argument(help="Configuration, and what is laid over it.")],
    gpu: Annotated[
        str, typer.Option(help="Machine to count hours on: h200, h100, a100, l40s, l4, v100, t4, cpu.")
    ] = "h200",
    mirror: Annotated[Path | None, typer.Option(envvar="DEFTX_MIRROR", help="Folder that is looked in first.")] = None,
) -> None:
    """Say what a run will do: jobs, downloads, disk, hours. Nothing is run and no model is loaded."""
    from deftx import plan as planning
    from deftx import plan_report, reading
    from deftx.machines import MACHINES

    if gpu not in MACHINES:
        raise ConfigError(f"--gpu {gpu}: not known; known are {', '.join(MACHINES)}")
    experiment = reading.merged(config)
    made = planning.plan(experiment, planning.dry_run(config), mirror)
    print(plan_report.render(made, MACHINES[gpu]))


@verb
def schema(
    out: Annotated[Path, typer.Option(help="Folder config/ of the project.")] = Path("config"),
    check: Annotated[bool, typer.Option(help="Write nothing; fail if a file is stale.")] = False,
) -> None:
    """Generate the configuration's JSON schema and the key table of config/README.md."""
    from deftx import schema as schema_stage

    schema_stage.build(out, check)


if __name__ == "__main__":
    app()
