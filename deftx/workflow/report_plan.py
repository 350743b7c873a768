"""Plan of an experiment's report: its cells and trainings, the vectors that figures compare, and costs."""

from functools import cached_property
from typing import Any

from deftx.config.methods import Method
from deftx.config.tasks import Task
from deftx.evaluation import published
from deftx.experiment.methods import adapts_source, language_terms
from deftx.workflow.artifacts import Composed, Mask, Module
from deftx.workflow.graph import Artifacts

ENDING = ".safetensors"


class ReportPlan:
    """Content of an experiment's report, as plain builtins for the parameters of its jobs."""

    def __init__(self, graph: Artifacts) -> None:
        self.graph, self.experiment = graph, graph.experiment
        self.seed = self.experiment.seeds.task[0]
        """Seed of figures of single vectors, and of costs: the first one."""

    # What there is to show

    @cached_property
    def has_published(self) -> bool:
        """Whether published scores are compared with ours."""
        return any(self._published(task) for task in self.experiment.tasks.values())

    @property
    def has_gains(self) -> bool:
        """Whether there are gains over a control."""
        return self.experiment.compared["control"] is not None and len(self.experiment.methods) > 1

    @cached_property
    def selections(self) -> list[str]:
        """Selections that have language vectors, which figures compare."""
        terms = [term for method in self.experiment.methods.values() for term in language_terms(method)]
        return sorted({term.selection for term in terms if term.type == "sft" and term.selection})

    @property
    def figures(self) -> list[str]:
        """Figures of an experiment without sweeps."""
        return [
            "scores",
            *(["published"] if self.has_published else []),
            *(["gains"] if self.has_gains else []),
            *(["spectra", "density", "overlap"] if self.selections else []),
        ]

    @property
    def absent(self) -> set[str]:
        """Sections of the report that are empty in this experiment."""
        of_vectors = {"spectra", "density", "overlap"} if self.experiment.sweeps or not self.selections else set()
        return {
            *of_vectors,
            *([] if self.has_published else ["published"]),
            *([] if self.has_gains else ["gains"]),
            *([] if self.experiment.sweeps else ["sweeps"]),
        }

    # Vectors that figures show

    def vectors(self, selection: str) -> dict[str, Module]:
        """Return the sparse vectors of a selection that figures show, by name: languages, then tasks (`task:NAME`).

        Only such as methods use; a task has that of the first of them.
        """
        methods = {n: m for n, m in self.experiment.methods.items() if self._shows(m, selection)}
        tasks = self.experiment.tasks.items()
        used = {lang for method in methods for name, task in tasks for lang in self._languages(method, name, task)}
        used |= {
            task.source for m in methods.values() for _, task in tasks if adapts_source(m) and not m.start_selection
        }
        languages = (lang for lang in self.experiment.languages if lang in used)
        modules = {lang: self.graph.language_module("sft", lang, selection, self.seed) for lang in languages}
        for name, task in tasks:
            lang = self.graph.scored(task)[0]
            of_task = [self.graph.task_module(m, name, lang, self.seed) for m in methods.values() if m.task == "sft"]
            modules |= {f"task:{name}": of_task[0]} if of_task else {}
        return modules

    def overlapping(self, selection: str) -> dict[str, str]:
        """Return the files of a selection's vectors by name."""
        vectors = self.vectors(selection).items()
        return {name.removeprefix("task:"): self.graph.at(module.path) for name, module in vectors}

    def mask_reports(self) -> dict[str, str]:
        """Return the reports of the masks that figures show, by `selection/name`."""
        return {
            f"{selection}/{name}": self.graph.at(self.graph.mask_of(module).record)
            for selection in self.selections
            for name, module in self.vectors(selection).items()
        }

    def _shows(self, method: Method, selection: str) -> bool:
        return any(term.type == "sft" and term.selection == selection for term in language_terms(method))

    def _languages(self, method: str, name: str, task: Task) -> list[str]:
        """Languages whose vectors a method adds."""
        cells = (self.graph.language_modules(method, name, lang, self.seed) for lang in self.graph.scored(task))
        return list(dict.fromkeys(module.lang for modules in cells for module, _ in modules))

    # Plans of tables

    def tables(self) -> dict[str, Any]:
        """Return the specification of the tables (`deftx.report.tables.spec.Plan`)."""
        experiment, graph = self.experiment, self.graph
        return {
            "tasks": {
                name: {
                    "labels": list(task.labels),
                    "source": task.source,
                    "targets": list(task.targets),
                    "scored": graph.scored(task),
                    "metric": task.metric,
                    "published": self._published(task),
                    "note": task.published.note if task.published else None,
                }
                for name, task in experiment.tasks.items()
            },
            "methods": self._titles(),
            "languages": self._names(),
            "seeds": list(experiment.seeds.task),
            "vectors": graph.trained,
            "lacking": {
                name: {
                    task_name: missing
                    for task_name, task in experiment.tasks.items()
                    if (missing := self._missing(name, task_name, task))
                }
                for name in experiment.methods
            },
            **experiment.compared,
        }

    def _missing(self, method: str, name: str, task: Task) -> list[str]:
        """Languages that are scored without a module that the method names, for lack of text."""
        return [lang for lang in self.graph.scored(task) if self.graph.lacks_module(method, name, lang)]

    def costs(self) -> dict[str, Any]:
        """Return the modules of each method for one language, and what each was made from."""
        modules: dict[str, dict[str, dict[str, list[str]]]] = {}
        needed: dict[str, list[str]] = {}
        stages: dict[str, str] = {}
        waiting: list[Mask | Module] = []
        for name, task in self.experiment.tasks.items():
            for method in self.experiment.methods:
                for lang in task.targets:
                    of_cell = [m for m, _ in self.graph.modules_of(Composed(method, name, lang, str(self.seed)))]
                    modules.setdefault(name, {}).setdefault(method, {})[lang] = [_place(m) for m in of_cell]
                    waiting += of_cell
        while waiting:
            artifact = waiting.pop()
            place = _place(artifact)
            if place not in needed:
                needs = self.graph.made_from(artifact)
                needed[place] = [_place(need) for need in needs]
                waiting += needs
                stages[place.partition("/")[0]] = artifact.place.partition("/")[0]
        return {
            "methods": self._titles(),
            "languages": self._names(),
            "modules": modules,
            "made": {place: needs for place, needs in sorted(needed.items()) if needs},
            "stages": dict(sorted(stages.items())),
        }

    def _titles(self) -> dict[str, str]:
        return {name: method.title or name for name, method in self.experiment.methods.items()}

    def _names(self) -> dict[str, str]:
        return {code: language.name or code for code, language in self.experiment.languages.items()}

    def _published(self, task: Task) -> list[dict[str, Any]]:
        """Return published scores to compare with a task's."""
        if not task.published:
            return []
        compared = published.comparable(task.published.scores, task.published.methods, task.targets)
        return [entry.model_dump(mode="json") for entry in compared]


def _place(artifact: Mask | Module) -> str:
    """Return the path of a module or mask below the results, without its ending."""
    return artifact.path.removesuffix(ENDING)
