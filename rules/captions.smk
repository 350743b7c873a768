# What report.smk asks: paths of tables and figures, and captions of Snakemake's own report.

from functools import cache

from deftx.core.hashing import PACKAGE
from deftx.report.page.sections import SECTIONS
from deftx.report.tables.spec import TABLES

PAGE = PACKAGE / "report" / "page" / "template"
PRESENT = [section for section in SECTIONS if section not in REPORT_PLAN.absent]
OVERLAP = Step(GRAPH, kinds.pattern(kinds.Overlap), REPORT)
MASK_REPORTS = REPORT_PLAN.mask_reports()
REPORTS = [f"--reports {quote(f'{name}={path}')}" for name, path in MASK_REPORTS.items()]
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


def captioned(file: str, section: str, form: str):
    """An output that Snakemake's report shows, with its caption, its place in reading order, and its finding."""
    if section in REPORT_PLAN.absent:
        return file

    def labels(wildcards) -> dict[str, str]:
        """What the file is. Asked for before any caption is rendered, and by Snakemake's report alone."""
        config.setdefault("answers", {})[section] = escaped(finding(section))  # captions see no more than `config`
        return {"result": " of ".join([form, *wildcards])}

    category = f"{1 + PRESENT.index(section):02} {SECTIONS[section]}"
    return report(file, caption=f"../captions/{section}.rst", category=category, labels=labels)


def escaped(text: str) -> str:
    """Return text without markup for captions, as titles of methods may hold any."""
    return re.sub(r"([\\*_`|])", r"\\\1", text)


@cache
def results():
    """Return tables and reports of masks, as the experiment has left them."""
    from deftx.report.page import findings

    sweeps = {name: sweep.model_dump(mode="json") for name, sweep in EXPERIMENT.sweeps.items()}
    reports = {} if sweeps else {name: Path(path) for name, path in MASK_REPORTS.items()}
    return findings.read(Path(table("scores")).parent, reports, sweeps)


@cache
def finding(section: str) -> str:
    """Return what a table or figure shows, in words."""
    from deftx.report.page import findings

    return findings.write_finding(section, results()) or "Nothing to compare."
