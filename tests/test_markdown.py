"""Documents lead where they say: links, headings, names in the code, and the steps of a tutorial."""

import ast
import csv
import errno
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.helpers import REPOSITORY
from tests.helpers import project as projects
from tests.helpers.project import Project

DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *(path for folder in ("docs", "config", "profiles", "results") for path in (REPOSITORY / folder).rglob("*.md")),
]
DOCUMENTS = [path for path in DOCUMENTS if path.parent.parent != REPOSITORY / "results"]  # the tables of a run
LISTED = [path.relative_to(REPOSITORY).as_posix() for path in DOCUMENTS]
HISTORY = {"CHANGELOG.md"}
"""Speaks of what things were called."""


# Links


@pytest.mark.parametrize("name", LISTED)
def test_every_relative_link_leads_to_a_file_and_to_a_heading(name: str) -> None:
    path = REPOSITORY / name
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists() and linked.is_relative_to(REPOSITORY), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(linked), f"{name}: {target}"


@pytest.mark.parametrize("name", sorted({*LISTED} - HISTORY))
def test_every_document_that_is_named_exists(name: str) -> None:
    """As `docs/reference/method.md`, in code and text."""
    for mentioned in re.findall(r"\b(?:docs|config|profiles)/[\w./-]+\.md\b", (REPOSITORY / name).read_text()):
        assert (REPOSITORY / mentioned).is_file(), f"{name}: {mentioned}"


def test_every_document_that_code_names_exists() -> None:
    paths = [path for folder in ("deftx", "rules", "benchmarks", "tests") for path in (REPOSITORY / folder).rglob("*")]
    paths += [REPOSITORY / name for name in ("Makefile", "Snakefile")]
    paths += [path for folder in ("config", "profiles") for path in (REPOSITORY / folder).rglob("*.yaml")]
    mentioned = {
        (path.name, document)
        for path in paths
        if path.suffix in ("", ".py", ".smk", ".yaml") and path.is_file()
        for document in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text())
    }
    assert len(mentioned) > 5
    for name, document in mentioned:
        assert (REPOSITORY / document).is_file(), f"{name}: {document}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        path = waiting.pop()
        reached.add(path)
        targets = re.findall(r"\]\(([^)\s#]+\.md)(?:#[^)\s]*)?\)", path.read_text())
        linked = [(path.parent / target).resolve() for target in targets if ":" not in target]
        waiting += [target for target in linked if target not in reached and target not in waiting]
    assert {path for path in DOCUMENTS if path.is_relative_to(REPOSITORY / "docs")} <= reached


def test_the_readme_is_short_and_begins_with_what_it_is() -> None:
    lines = (REPOSITORY / "README.md").read_text().splitlines()
    assert len(lines) < 120
    opening = " ".join(lines[:12])
    assert "Zero-shot cross-lingual transfer to languages the base model has never seen." in opening
    assert "Python 3.11" in opening and " is for " in opening
    assert next(n for n, line in enumerate(lines) if line.startswith("| LT-SFT |")) < 30


def without_code(text: str) -> str:
    """Return Markdown without blocks of code, in which brackets are not links."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$|`[^`\n]*`(?!\])", "", text, flags=re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a document."""
    titles = re.findall(r"^#{1,6} (.*)$", without_fences(path.read_text()), re.MULTILINE)
    titles = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


# Names in the code


@pytest.mark.parametrize("name", sorted({*LISTED} - HISTORY))
def test_every_file_and_function_that_is_named_exists(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    for path in re.findall(r"\b(?:deftx|tests|rules|benchmarks|envs)/[\w/.-]*\w\.(?:py|smk|yaml|json)\b", text):
        assert (REPOSITORY / path).is_file(), f"{name}: {path}"
    for dotted in re.findall(r"(?<![/\w])deftx(?:\.\w+)+", text):
        assert is_defined(dotted), f"{name}: {dotted}"


@pytest.mark.parametrize("dotted", ["deftx.masks.denoise.denoised", "deftx.mask.denoise", "deftx.core.files.a.b"])
def test_a_name_that_does_not_exist_is_noticed(dotted: str) -> None:
    assert not is_defined(dotted)


def is_defined(dotted: str) -> bool:
    """Return whether a dotted name is a package, a module, or what a module defines (nothing is imported)."""
    place = REPOSITORY
    parts = dotted.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if not parts:
        return True
    module = place / f"{parts.pop(0)}.py"
    return module.is_file() and (not parts or (len(parts) == 1 and parts[0] in defined(module)))


@cache
def defined(module: Path) -> set[str]:
    """Return the names that a module defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


def test_every_verb_that_is_named_exists() -> None:
    """Commands as `deftx plan` and `make demo`."""
    listing = subprocess.run(
        [sys.executable, "-m", "deftx", "--help"], capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout
    verbs = set(re.findall(r"^│ ([a-z][a-z-]+) ", listing, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert len(verbs) > 15 and len(targets) > 5
    for name in sorted({*LISTED} - HISTORY):
        text = (REPOSITORY / name).read_text()
        commands = re.findall(r"^    (.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
        for command in commands:
            for words in (part.split() for part in command.split("&&")):
                if words[:1] == ["deftx"] and len(words) > 1 and words[1][0].isalpha():
                    assert words[1] in verbs, f"{name}: {command}"
                if words[:1] == ["make"] and len(words) > 1 and words[1][0].isalpha() and "=" not in words[1]:
                    assert words[1] in targets, f"{name}: {command}"


def test_every_message_of_troubleshooting_is_one_of_the_code() -> None:
    """Parts between the dots of a message; those of Snakemake and of the system are not ours."""
    page = (REPOSITORY / "docs/guides/troubleshooting.md").read_text().split("## After a failure")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1] for line in page.splitlines() if line.startswith("| `")]
    cells = [cell for cell in cells if not re.search(r"\((Snakemake|SLURM|Kubernetes)|SLURM-job|make report", cell)]
    texts = "\n".join(text for path in (REPOSITORY / "deftx").rglob("*.py") for text in printed(path))
    texts += "\n".join(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS))
    checked = 0
    for message in (message for cell in cells for message in re.findall(r"`([^`]+)`", cell)):
        for part in (part.strip(" .:;,()") for part in message.split("…")):
            parts = [part] if part in texts else re.split(r": ", part)  # `cannot be written: No space left on device`
            assert all(part in texts for part in parts), f"{message!r}: no message of deftx says {part!r}"
            checked += len(part) > 7
    assert checked > 50


def printed(module: Path) -> list[str]:
    """Return the texts of a module, with dots for what is filled in."""
    texts = []
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Constant(value=str(text)):
                texts.append(text)
            case ast.JoinedStr(values=values):
                texts.append("".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in values))
    return texts


# The tutorial of a language of one's own

TUTORIAL = REPOSITORY / "docs/tutorials/your-language.md"
OFFLINE = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
"""Whoever tries the network fails."""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project in which the files of the tutorial's first two steps lie."""
    project = projects.create(tmp_path_factory.mktemp("tutorial") / "project")
    subprocess.run(["cp", "-a", str(REPOSITORY / "config"), str(project.folder)], check=True)
    folder = project.folder / "my"
    folder.mkdir()
    (folder / "text.txt").write_text((project.folder / "texts/nolo.txt").read_text())
    (example,) = blocks("csv")
    rows = list(csv.DictReader((project.folder / "texts/nolo.csv").open()))
    (folder / "test.csv").write_text(example + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows))
    (overlay,) = blocks("yaml")
    (folder / "language.yaml").write_text(overlay)
    return project


def test_the_tutorial_checks_files(followed: Project) -> None:
    (check,) = (command for command in commands() if "--cores 1" in command)
    followed.run(*shlex.split(check)[1:], **OFFLINE)
    results = followed.folder / "results" / yaml.safe_load(blocks("yaml")[0])["name"]
    assert yaml.safe_load((results / "corpora/quz/stats.json").read_text())["train"] > 100
    assert yaml.safe_load((results / "datasets/mine/quz/test.json").read_text())["rows"] == 3 + 24


def test_the_tutorial_is_planned(followed: Project) -> None:
    """The dry run, and the plan, whose hours are those the page states."""
    (dry_run,) = (command for command in commands() if " -n " in command)
    output = followed.run(*shlex.split(dry_run)[1:], **OFFLINE)
    trained = {line.split(": ")[1] for line in output.splitlines() if line.startswith("Job ") and ": full" in line}
    assert {"quz", "ind"} <= trained and not trained & {"ace", "ban", "bjn", "mad", "min"}
    (plan,) = (command for command in commands() if command.startswith("deftx plan"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    printed = subprocess.run(
        [sys.executable, "-m", *shlex.split(plan)],
        cwd=followed.folder,
        env=projects.clean_environment() | OFFLINE | {"PATH": path, "PYTHONPATH": str(followed.folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (hours,) = re.findall(r"^## Hours on two cores .*: ([\d.]+)$", printed, re.MULTILINE)
    assert f"{hours} hours on two cores" in " ".join(TUTORIAL.read_text().split())


def test_the_tutorial_names_results_of_its_experiment(followed: Project) -> None:
    """The table, and the recipe that is exported."""
    (run,) = (command for command in commands() if "--cores all" in command)
    named = set(re.findall(r"results/my-language/[\w./-]+\.(?:md|json)", TUTORIAL.read_text()))
    listing = followed.run("--summary", *shlex.split(run)[3:], **OFFLINE)
    outputs = {line.split("\t")[0] for line in listing.splitlines()}
    folders = {str(Path(output).parent) for output in outputs} | outputs
    assert len(named) == 5
    for result in named:
        assert result in outputs or str(Path(result).parent) in folders, result


def blocks(language: str) -> list[str]:
    """Return the blocks of code of the tutorial in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return the commands of the tutorial, lines that go on joined."""
    text = re.sub(r"\\\n *", "", without_fences(TUTORIAL.read_text()))
    lines = re.findall(r"^    (.*)$", text, re.MULTILINE)
    return [line for line in lines if line.startswith(("snakemake", "deftx"))]
