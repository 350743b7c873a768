# What `overlap` and `figures` in report.smk ask of the experiment: the vectors that are shown.

SEED = EXPERIMENT.seeds.task[0]  # figures that show single vectors show those of the first seed
LANGUAGE_SEED = EXPERIMENT.seeds.language_seed(SEED)
# Whether there are gains over a control.
GAINS = EXPERIMENT.compared["control"] is not None and len(EXPERIMENT.methods) > 1
# Selections that have language vectors.
WITH_LANGUAGES = sorted({m.selection for m in EXPERIMENT.methods.values() if m.language == "sft"})


def shown(kind: str, selection: str) -> dict[str, str]:
    """Masks or SFTs of one selection that figures show: languages, then tasks; where they lie, without ending.

    Only such as methods use anyway; a task has that of the first of them.
    """
    methods = [m for m in EXPERIMENT.methods.values() if m.selection == selection and m.language == "sft"]
    tasks = EXPERIMENT.tasks.items()
    used = {lang for method in methods for _, task in tasks for lang in languages_of(method, task)}
    used |= {
        task.source for method in methods for _, task in tasks if method.adapts_source and not method.start_selection
    }
    languages = (lang for lang in EXPERIMENT.languages if lang in used)
    found = {lang: f"{ROOT}/{kind}/language/{selection}/{lang}/seed{LANGUAGE_SEED}" for lang in languages}
    for name, task in tasks:
        starts = [starts_of(method, task)[0] for method in methods if method.task == "sft"]
        if starts:
            found[f"task:{name}"] = f"{ROOT}/{kind}/task/{selection}/{name}/{starts[0]}/seed{SEED}"
    return found


def overlapping(wildcards) -> dict[str, str]:
    """Name and file of the vectors of one selection."""
    places = shown("sfts", wildcards.selection)
    return {name.removeprefix("task:"): f"{place}.safetensors" for name, place in places.items()}


def mask_reports() -> dict[str, str]:
    """Reports of the masks that figures show, by selection and name."""
    return {f"{s}/{name}": f"{place}.json" for s in WITH_LANGUAGES for name, place in shown("masks", s).items()}
