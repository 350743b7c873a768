# What `report` in report.smk, and Snakemake's own report, ask of the experiment: subjects in reading order, and answers.

from functools import cache

from deftx.core.hashing import PACKAGE
from deftx.report.page.sections import SUBJECTS

PAGE = PACKAGE / "report" / "page" / "template"
# Figures of an experiment without sweeps.
FIGURES = [
    "scores",
    *(["published"] if PUBLISHED else []),
    *(["gains"] if GAINS else []),
    *(["spectra", "density", "overlap"] if WITH_LANGUAGES else []),
]
# Subjects of which this experiment has nothing to show.
ABSENT = {
    *([] if PUBLISHED else ["published"]),
    *([] if GAINS else ["gains"]),
    *(["spectra", "density", "overlap"] if EXPERIMENT.sweeps or not WITH_LANGUAGES else []),
    *([] if EXPERIMENT.sweeps else ["sweeps"]),
}
PRESENT = [subject for subject in SUBJECTS if subject not in ABSENT]


def captioned(file: str, subject: str, form: str):
    """An output that Snakemake's report shows, with its caption, its place in reading order, and its answer."""
    if subject in ABSENT:
        return file

    def labels(wildcards) -> dict[str, str]:
        """What the file is. Asked for before any caption is rendered, and by Snakemake's report alone."""
        config.setdefault("answers", {})[subject] = escaped(answer(subject))  # captions see no more than `config`
        return {"result": " of ".join([form, *wildcards])}

    category = f"{1 + PRESENT.index(subject):02} {SUBJECTS[subject]}"
    return report(file, caption=f"../captions/{subject}.rst", category=category, labels=labels)


def escaped(text: str) -> str:
    """Text that captions take for no markup, as titles of methods may hold any."""
    return re.sub(r"([\\*_`|])", r"\\\1", text)


@cache
def left():
    """Tables and reports of masks, as the experiment has left them."""
    from deftx.report.page import findings

    sweeps = {name: sweep.model_dump(mode="json") for name, sweep in EXPERIMENT.sweeps.items()}
    reports = {} if sweeps else {name: Path(path) for name, path in mask_reports().items()}
    return findings.read(Path(REPORT, "tables"), reports, sweeps)


@cache
def answer(subject: str) -> str:
    """What a table or figure says."""
    from deftx.report.page import findings

    return findings.answer(subject, left()) or "Nothing to compare."
