"""What a run leaves: the same bytes each time, also after it was killed, and one clear message when it fails."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.helpers import project as projects
from tests.helpers.project import Project, each, kill_when
from tests.workflow.test_reruns import OVERLAPS, REPORT, Config, delete_deltas, make_figures, of_language

VARYING = {"logs", "benchmarks", "figures"}
"""Folders that hold times, or pictures."""
TIMED = {"tables/costs.csv", "tables/costs.json", "tables/costs.md"}


def digests(project: Project) -> dict[str, str]:
    """A hash of every result by its name, but for what varies."""
    files = (path for path in project.results.rglob("*") if path.is_file())
    named = {str(path.relative_to(project.results)): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(named.items())
        if Path(name).parts[0] not in VARYING and name not in TIMED
    }


def failed(project: Project, *arguments: str) -> str:
    """The output of a run that must fail, and without a traceback."""
    done = project.snakemake(*arguments)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def test_all_kinds_of_results_are_there(finished: Project) -> None:
    names = digests(finished)
    assert {Path(name).parts[0] for name in names} == each(
        "{base,base.json}", "{corpora,datasets,deltas,masks,sfts,composed,scores,predictions,tables}"
    )
    assert {path.suffix for path in (finished.results / "figures").iterdir()} == {".svg", ".pdf", ".png"}


def test_costs_are_sums_over_what_was_measured(finished: Project) -> None:
    """A method without language vectors, whose task starts from the base: three jobs."""
    with (finished.results / "tables/costs.csv").open() as file:
        rows = {(row["method"], row["language"]): row for row in csv.DictReader(file)}
    assert {method for method, _ in rows} == each("{full-ft,task-sft,lt-sft,deft-x}")
    jobs = ("full/task/sentiment/base", "mask/task/lt-sft/sentiment/base", "sparse/task/lt-sft/sentiment/base")
    measured = [json.loads((finished.results / f"benchmarks/{job}/seed0.jsonl").read_text()) for job in jobs]
    assert float(rows["task-sft", "suma"]["seconds"]) == pytest.approx(sum(job["s"] for job in measured), abs=0.1)
    stored = [
        f"sfts/{place}/seed0.safetensors" for place in ("task/lt-sft/sentiment/lt-sft-sumi", "language/lt-sft/nolo")
    ]
    sizes = [(finished.results / place).stat().st_size for place in stored]
    assert float(rows["lt-sft", "nolo"]["bytes"]) == sum(sizes)
    more = [float(rows[method, "mean"]["seconds"]) for method in ("full-ft", "task-sft", "lt-sft")]
    assert more == sorted(more)


def test_a_killed_run_ends_with_the_same_bytes(finished: Project, commands: Path, tmp_path: Path) -> None:
    """A second project in another folder: its first training is killed after a step, and goes on from there.

    The killed job is a process of the real `deftx`, all others are forks of the warm one.
    """
    cold, warm = projects.create(tmp_path / "again"), Project(tmp_path / "again", commands)
    cold.edit(
        "deftx/training/loop.py",
        "CHECKPOINT_SECONDS = 120.0",
        'CHECKPOINT_SECONDS = -1.0\nPAUSE = "PAUSE" in os.environ',
    )
    cold.edit("deftx/training/loop.py", "import math\n", "import math\nimport os\n")
    cold.edit("deftx/training/loop.py", "saved = now\n", "saved = now\n                time.sleep(600 * PAUSE)\n")
    target = "results/pico/deltas/language/nolo/seed0.safetensors"
    folder = (cold.folder / target).parent
    warm.run("results/pico/base.json")
    kill_when(cold.started(target, PAUSE="1"), lambda: any(folder.glob("*.checkpoint")))
    assert not (cold.folder / target).exists()

    warm.run("--unlock")  # Snakemake asks for it after a kill
    warm.run()
    log = (warm.results / "logs/full/language/nolo/seed0.log").read_text()
    assert "Resuming from step 1/3" in log
    assert digests(warm) == digests(finished)
    assert warm.planned() == set()


def test_a_corpus_that_is_not_text(project: Project) -> None:
    """The message names file, line and way out; nothing but the results of this language is touched."""
    before = digests(project)
    text = project.folder / "texts/nolo.txt"
    good = text.read_bytes()
    text.write_bytes(good + "façade d'été\n".encode("latin-1"))
    output = failed(project)
    assert output.count("texts/nolo.txt is not UTF-8 (line 121, byte 0xe7). Convert it, for example: iconv") == 1
    after = digests(project)
    lost = {"corpora/nolo/train.txt.gz", "corpora/nolo/valid.txt.gz", "corpora/nolo/stats.json"}
    assert before.items() - after.items() == {(name, before[name]) for name in lost}

    text.write_bytes(good)
    assert project.planned() == of_language("nolo") | OVERLAPS | REPORT


def norwegian(config: Config) -> None:
    config["languages"][False] = config["languages"].pop("nolo")


def unknown_key(config: Config) -> None:
    config["recipe"]["language"]["epochs"] = 3


def unknown_selection(config: Config) -> None:
    config["methods"]["deft-x"]["selection"] = "deftx"


MISTAKES = {
    norwegian: "languages: YAML read a language code as the truth value False (unquoted no, on, off",
    unknown_key: "recipe.language.epochs: unknown key; config/README.md lists the keys",
    unknown_selection: "methods.deft-x: there is no selection 'deftx' (known: lt-sft, deft-x)",
}


def test_mistakes_in_the_configuration(project: Project) -> None:
    before = project.config.read_text()
    for mistake, message in MISTAKES.items():
        project.configure(mistake)
        assert failed(project).count(message) == 1
        project.config.write_text(before)
    assert project.planned() == set()


def test_a_mistake_in_a_configuration_given_by_name(project: Project) -> None:
    project.configure(norwegian)
    assert failed(project, "--configfile", "config/quickstart.yaml").count(MISTAKES[norwegian]) == 1


def test_a_key_that_stands_twice(project: Project) -> None:
    """Also where Snakemake, which takes the last of them, has read the file."""
    project.config.write_text(f"{project.config.read_text()}name: other\n")
    for named in ((), ("--configfile", "config/quickstart.yaml")):
        output = failed(project, *named)
        assert output.count("config/quickstart.yaml cannot be used:") == 1
        assert "the key name is already in line 1; keep one" in output


def test_what_cannot_be_reached_is_asked_for_once(tmp_path: Path) -> None:
    """Downloads go on by themselves where they break off; trying anew what is not there helps nobody."""
    project, pin = projects.create(tmp_path / "project"), hashlib.sha256().hexdigest()
    file = {"path": "there/text.txt", "url": "http://127.0.0.1:9/x", "sha256": pin}
    project.configure(lambda config: config["languages"]["nolo"]["corpus"].update(files=[file]))
    output = failed(project, f"results/pico/raw/{pin}/text.txt")
    assert output.count(": fetch 127.0.0.1:9/there/text.txt") == 1
    assert output.count("error: http://127.0.0.1:9/x cannot be reached") == 1
    assert "Trying to restart" not in output
    done = project.snakemake("--dry-run", DEFTX_MIRROR="no/folder")
    assert done.returncode and "Traceback" not in done.stdout
    assert done.stdout.count("there is no folder no/folder, which DEFTX_MIRROR names") == 1


def test_figures_again_from_stored_results(project: Project) -> None:
    for path in (project.results / "deltas").rglob("*.safetensors"):
        path.unlink()
    before = digests(project)
    (project.results / "figures/scores.png").unlink()
    project.run(*make_figures())
    assert (project.results / "figures/scores.png").is_file()
    assert digests(project) == before


def test_figures_of_a_sweep_from_stored_results(project: Project) -> None:
    """Rule `all` decides what is drawn; costs are tabulated anew as well."""
    delete_deltas(project)
    sweep = {"title": "masks", "at": ["plain", "denoised"], "series": {"A": ["lt-sft", "deft-x"]}}
    project.configure(lambda config: config.update(sweeps={"masks": sweep}))
    shutil.rmtree(project.results / "figures")
    (project.results / "tables/costs.md").unlink()
    project.run(*make_figures())
    assert {path.stem for path in (project.results / "figures").iterdir()} == {"sweeps"}
    assert (project.results / "tables/costs.md").is_file()


def test_without_a_control_there_are_no_gains(project: Project) -> None:
    project.configure(lambda config: config["methods"].pop("task-sft"))
    shutil.rmtree(project.results / "figures")
    project.run()
    drawn = {path.stem for path in (project.results / "figures").iterdir()}
    assert drawn == {"scores", "spectra", "density", "overlap"}


def test_a_dry_run_tells_as_much_as_a_summary(project: Project) -> None:
    """The plans in test_reruns.py are read from a summary, which nobody looks at: compare the two once."""
    project.edit("deftx/masks/top_k.py", "LOW_BITS = 15", "LOW_BITS = 14")
    table = project.run("--dry-run").split("Job stats:")[1]
    lines = [line.split() for line in table.splitlines()]
    counts = {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}
    # `all` leaves no file; costs lie among the tables, and predictions have the names of their scores.
    assert counts["total"] == len(project.planned()) + 2 + counts["score"]
    assert counts["mask_language"] == len(each("{sumi,suma,nolo}/{lt-sft,deft-x}"))


def compared_alone(config: Config) -> None:
    """As for a user of nusax-cpu.yaml who brings a test set: NusaX is what rows of SmSA are compared with, no more."""
    config["datasets"]["theirs"] = config["datasets"]["reviews"] | {"languages": ["keda", "sumi"]}
    config["datasets"]["reviews"]["drop_near_copies"] = {"dataset": "theirs", "languages": ["sumi"]}


def test_a_dataset_that_no_task_uses_has_the_labels_of_what_is_compared_with_it(project: Project) -> None:
    project.configure(compared_alone)
    output = project.run("--cores", "1", "-n", "-p")
    (command,) = {line for line in output.splitlines() if "datasets/theirs/sumi/test.csv 2>" in line}
    assert '["negative", "neutral", "positive"]' in command


def test_lint(finished: Project) -> None:
    assert "Congratulations, your workflow is in a good condition!" in finished.run("--lint")
