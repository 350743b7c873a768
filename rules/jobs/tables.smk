# What `tables` in report.smk asks of the experiment: all that is trained, lacking, and published.

from deftx.report.tables.spec import TABLES


def published_beside(task) -> list[dict]:
    """Published scores to set beside a task's."""
    if not task.published:
        return []
    compared = published.comparable(task.published.scores, task.published.methods, task.targets)
    return [entry.model_dump(mode="json") for entry in compared]


# Whether published scores are set beside ours.
PUBLISHED = any(published_beside(task) for task in EXPERIMENT.tasks.values())


def languages_of(method, task) -> list[str]:
    """Languages whose vectors a method adds: those that are scored, or the source's in place of theirs."""
    return list(dict.fromkeys(filter(None, (language_of(method, task, lang) for lang in scored(task)))))


def languages_lacking(method, task) -> list[str]:
    """Scored languages without a vector, of a method that adds one."""
    return [lang for lang in scored(task) if lacking(method, task, lang)]


def starts_of(method, task) -> list[str]:
    """Where a method's trainings of a task start."""
    return list(dict.fromkeys(start_of(method, task, lang) for lang in scored(task)))


def trainings_of(kind: str, form: str, selection: str | None, where: str) -> set[str]:
    """The trainings behind a module: what is ranked, and the sparse fine-tuning where there is one."""
    made = module_of(kind, form, selection, where)
    if form in ("dense", "adapter", "lora"):
        return {made}
    origin = f"{ranked_by(selection)}/{kind}/{where}"
    return {origin, made} if form == "sft" else {origin}


@cache  # three lists of the report hold it
def trained() -> list[str]:
    """All that the experiment trains, below its root and without ending, in a fixed order."""
    made = set()
    for method in EXPERIMENT.methods.values():
        for name, task in EXPERIMENT.tasks.items():
            for seed in EXPERIMENT.seeds.task:
                language_seed = EXPERIMENT.seeds.language_seed(seed)
                for start in starts_of(method, task):
                    made |= trainings_of("task", method.task, method.selection, f"{name}/{start}/seed{seed}")
                    if start != "base":
                        form, selection, lang = module_of_start(start)
                        made |= trainings_of("language", form, selection, f"{lang}/seed{language_seed}")
                for lang in languages_of(method, task):
                    where = f"{lang}/seed{language_seed}"
                    made |= trainings_of("language", method.language, method.selection, where)
    return sorted(made)


def plan() -> dict:
    """What is tabulated."""
    methods = EXPERIMENT.methods
    return {
        "tasks": {
            name: {
                "labels": list(task.labels),
                "source": task.source,
                "targets": list(task.targets),
                "scored": scored(task),
                "metric": task.metric,
                "published": published_beside(task),
                "note": task.published.note if task.published else None,
            }
            for name, task in EXPERIMENT.tasks.items()
        },
        "methods": {name: method.title or name for name, method in methods.items()},
        "languages": {code: language.name or code for code, language in EXPERIMENT.languages.items()},
        "seeds": list(EXPERIMENT.seeds.task),
        "vectors": trained(),
        "lacking": {
            method: {name: found for name, task in EXPERIMENT.tasks.items() if (found := languages_lacking(m, task))}
            for method, m in methods.items()
        },
        **EXPERIMENT.compared,
    }
