"""Pack what a results page of docs/ is made from into two files, and unpack it again.

    python -m benchmarks.page_data pack RESULTS... docs/results/data/PAGE
    python -m benchmarks.page_data unpack docs/results/data/PAGE DIR

`PAGE.csv.gz` holds every prediction, one a row, with experiment, method, task, language and seed in front. `PAGE.json`
holds the other files of each experiment by their path in its folder: scores with signatures, training records, reports
of masks, tables. A JSON file is kept as JSON, any other as the list of its lines. Unpacking writes DIR/EXPERIMENT/…,
byte for byte what was packed, so `deftx tables` and `deftx figures` read it like results of a run.

`pack` takes from a results folder what a page needs (`KINDS`, files directly in it, and `tables/*.csv`); it leaves out
corpora, datasets, vectors and whatever else is large.
"""

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deftx.core.files import write_gzip, write_text

KINDS = ("adapters", "deltas", "gradients", "loras", "masks", "pruned", "scores", "sfts")
"""Folders of results whose JSON files are kept."""
COORDINATES = ("experiment", "method", "task", "language", "seed")
"""Columns that stand in front of those of a predictions file."""

Files = dict[str, str]
"""Text by path; the first part of a path is the experiment."""


def collect(folder: Path) -> Files:
    """Return the files of a results folder that a page needs, by path, with the folder's name in front."""
    paths = [*folder.glob("predictions/*/*/*/seed*.csv"), *folder.glob("tables/*.csv")]
    paths += [path for kind in KINDS for path in folder.glob(f"{kind}/**/*.json")]
    paths += [path for path in folder.iterdir() if path.suffix in (".csv", ".json", ".txt")]
    return {path.relative_to(folder.parent).as_posix(): path.read_bytes().decode() for path in sorted(paths)}


def merge(files: Files) -> tuple[str, str]:
    """Return the two files of a page as text: the table of all predictions, and the JSON of all other files.

    Raises:
        ValueError: the predictions do not have the same columns, or unpacking would not give every byte back.
    """
    predictions = {path: list(csv.reader(io.StringIO(text))) for path, text in files.items() if _predicted(path)}
    headers = {tuple(rows[0]) for rows in predictions.values()}
    if len(headers) > 1:
        raise ValueError(f"Predictions have different columns: {sorted(headers)}. Pack each task by itself.")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*COORDINATES, *(headers.pop() if headers else ())])
    for path, rows in predictions.items():
        experiment, _, method, task, language, file = path.split("/")
        front = [experiment, method, task, language, file.removeprefix("seed").removesuffix(".csv")]
        writer.writerows([*front, *row] for row in rows[1:])
    contents: dict[str, dict[str, Any]] = {}
    for path, text in files.items():
        experiment, _, name = path.partition("/")
        of_experiment = contents.setdefault(experiment, {})
        if not _predicted(path):
            of_experiment[name] = _content(name, text)
    packed = table.getvalue(), _one_line_a_file(contents)
    if split(*packed) != files:
        raise ValueError("Unpacking would not give every file back as it is: a predictions file is empty or not CSV")
    return packed


def split(table: str, contents: str) -> Files:
    """Return the files that `merge` made the two texts from."""
    rows = csv.reader(io.StringIO(table))
    columns = next(rows)[len(COORDINATES) :]
    files: dict[str, io.StringIO] = {}
    for row in rows:
        experiment, method, task, language, seed = row[: len(COORDINATES)]
        path = f"{experiment}/predictions/{method}/{task}/{language}/seed{seed}.csv"
        if path not in files:
            files[path] = io.StringIO()
            csv.writer(files[path], lineterminator="\n").writerow(columns)
        csv.writer(files[path], lineterminator="\n").writerow(row[len(COORDINATES) :])
    texts = {path: file.getvalue() for path, file in files.items()}
    for experiment, by_name in json.loads(contents).items():
        texts |= {
            f"{experiment}/{name}": "\n".join(content) if isinstance(content, list) else _as_result(content)
            for name, content in by_name.items()
        }
    return texts


def pack(folders: Iterable[Path], page: Path) -> None:
    """Write `page`.csv.gz and `page`.json from the results folders of its experiments."""
    files: Files = {}
    for folder in folders:
        files |= collect(folder)
    table, contents = merge(files)
    write_gzip(page.with_name(f"{page.name}.csv.gz"), table)
    write_text(page.with_name(f"{page.name}.json"), contents)


def unpack(page: Path, folder: Path) -> None:
    """Write the files that a page was packed from into `folder`."""
    table = gzip.decompress(page.with_name(f"{page.name}.csv.gz").read_bytes()).decode()
    for path, text in split(table, page.with_name(f"{page.name}.json").read_bytes().decode()).items():
        write_text(folder / path, text)


def _predicted(path: str) -> bool:
    return path.split("/")[1] == "predictions"


def _content(name: str, text: str) -> Any:
    """Return the content of a JSON object that is written as results are; otherwise the lines of the text."""
    if name.endswith(".json") and isinstance(content := json.loads(text), dict) and _as_result(content) == text:
        return content
    return text.split("\n")


def _as_result(content: dict[str, Any]) -> str:
    """Return a JSON object as `deftx.core.integrity.write_json` lays it out."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _one_line_a_file(contents: dict[str, dict[str, Any]]) -> str:
    """Return JSON with a line for each file, so that a diff names the files that changed."""
    blocks = []
    for experiment, by_name in contents.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(text, ensure_ascii=False)}" for name, text in by_name.items()]
        blocks.append(f" {json.dumps(experiment)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main(arguments: list[str]) -> None:
    """Run `pack` or `unpack` from the command line."""
    match arguments:
        case ["pack", *folders, page] if folders:
            pack(map(Path, folders), Path(page))
        case ["unpack", page, folder]:
            unpack(Path(page), Path(folder))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
