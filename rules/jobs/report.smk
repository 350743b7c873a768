# What `report` in report.smk, and Snakemake's own report, ask of the experiment: subjects in reading order, and answers.

from functools import cache

from deftx.provenance import PACKAGE

PAGE = PACKAGE / "page"
# Subjects with a caption, in reading order, and what each is about; the last is on the page alone.
SUBJECTS = {
    "scores": "Scores",
    "comparisons": "Differences between methods",
    "seeds": "Seeds",
    "gains": "Gains",
    "published": "Beside published scores",
    "sweeps": "Knobs",
    "spectra": "Spectra",
    "density": "Masks",
    "overlap": "Overlap of vectors",
    "costs": "Costs",
    "training": "Trainings",
    "stages": "Run times and memory",
}
# Figures of an experiment without sweeps.
FIGURES = [
    "scores",
    *(["published"] if PUBLISHED else []),
    *(["gains"] if GAINS else []),
    *(["spectra", "density", "overlap"] if WITH_LANGUAGES else []),
]


def captioned(file: str, subject: str, form: str):
    """An output that Snakemake's report shows, with its caption, its place in reading order, and its answer."""
    number = 1 + list(SUBJECTS).index(subject)

    def labels(wildcards) -> dict[str, str]:
        return {"form": form, "answer": answer(subject)}

    category = f"{number:02} {SUBJECTS[subject]}"
    return report(file, caption=f"../captions/{subject}.rst", category=category, labels=labels)


def on_one_page(wildcards) -> dict[str, str]:
    return {"form": "page", "answer": "all of the report, to be sent or printed"}


@cache
def left():
    """Tables and reports of masks, as the experiment has left them."""
    from deftx.report import read

    sweeps = {name: sweep.model_dump(mode="json") for name, sweep in EXPERIMENT.sweeps.items()}
    reports = {} if sweeps else {name: Path(path) for name, path in mask_reports().items()}
    return read(Path(REPORT, "tables"), reports, sweeps)


@cache
def answer(subject: str) -> str:
    """What a table or figure says, in a sentence; asked for by Snakemake's report alone."""
    from deftx import report as page

    return page.answer(subject, left()) or "Nothing to compare."
