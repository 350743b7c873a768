# What report.smk asks: paths of tables and figures, and captions of Snakemake's own report.

from functools import cache

from deftx.core.hashing import PACKAGE
from deftx.report.page.sections import SUBJECTS
from deftx.report.tables.spec import TABLES

PAGE = PACKAGE / "report" / "page" / "template"
PRESENT = [subject for subject in SUBJECTS if subject not in SHOWN.absent]
OVERLAP = Step(GRAPH, kinds.pattern(kinds.Overlap), REPORT)
MASK_REPORTS = SHOWN.mask_reports()
REPORTS = [f"--reports {name}={path}" for name, path in MASK_REPORTS.items()]
RECORDS = [GRAPH.at(f"{place}.json") for place in GRAPH.trained]


def table(name, ending="csv"):
    """A table of the report."""
    return f"{REPORT}/{kinds.Table(name, ending).path}"


def figure(name, ending="svg"):
    """A figure of the report."""
    return f"{REPORT}/{kinds.Figure(name, ending).path}"


def log_of(rule):
    return jobs.log_of(REPORT, rule)


def benchmark_of(rule):
    return jobs.benchmark_of(REPORT, rule)


def captioned(file: str, subject: str, form: str):
    """An output that Snakemake's report shows, with its caption, its place in reading order, and its answer."""
    if subject in SHOWN.absent:
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
    reports = {} if sweeps else {name: Path(path) for name, path in MASK_REPORTS.items()}
    return findings.read(Path(table("scores")).parent, reports, sweeps)


@cache
def answer(subject: str) -> str:
    """What a table or figure says."""
    from deftx.report.page import findings

    return findings.answer(subject, left()) or "Nothing to compare."
