# What the rules ask of the experiment: which files a job reads, and its slice of the configuration.

# corpora.smk


def corpus_raw(wildcards) -> list[str]:
    language = EXPERIMENT.languages[wildcards.lang]
    return [raw(file) for file in language.corpus.files] if language.corpus else []


def corpus_settings(wildcards) -> str:
    """A language's text source and cleaning; an artificial language brings its family."""
    language = EXPERIMENT.languages[wildcards.lang]
    if language.testbed:
        return f"--settings {dumped(language.testbed)} {family()}"
    return f"--settings {dumped(language.corpus)}"


def evaluation_sentences(wildcards) -> list[str]:
    """Test sets (all their splits) in this language: their sentences must not be trained on."""
    tests = sorted({task.test for task in EXPERIMENT.tasks.values()})
    return [file for name in tests for file in splits_of(name, wildcards.lang)]


# datasets.smk


def dataset_raw(wildcards) -> dict[str, str]:
    files = files_of(EXPERIMENT.datasets[wildcards.dataset], wildcards.lang)
    if files and wildcards.split not in files:
        raise WorkflowError(f"dataset {wildcards.dataset} has no split {wildcards.split} in {wildcards.lang}")
    return {"raw": raw(files[wildcards.split])} if files else {}


def dataset_near(wildcards) -> list[str]:
    """The dataset whose near copies are dropped."""
    copies = EXPERIMENT.datasets[wildcards.dataset].drop_near_copies
    return [file for lang in copies.languages for file in splits_of(copies.dataset, lang)] if copies else []


def dataset_options(wildcards, input) -> str:
    """An artificial language brings its family, any other its raw file."""
    if "raw" in input.keys():
        return f"--raw {quote(str(input.raw))}"
    return f"{family()} --spoken {dumped(EXPERIMENT.languages[wildcards.lang].testbed)}"


def dataset_labels(wildcards) -> str:
    """The labels of the task that uses a dataset."""
    tasks = EXPERIMENT.tasks.values()
    return as_json(list(next(t.labels for t in tasks if wildcards.dataset in (t.train, t.test))))


# base.smk


BASE = EXPERIMENT.base
KNOWN = BASE.pretrain.languages if BASE.pretrain else ()


def base_fingerprint() -> str:
    """Which model a local base is, wherever it lies; one on the hub is known by its name and revision."""
    place = Path(os.environ.get("DEFTX_BASE") or BASE.model or "")
    files = [place / name for name in ("config.json", "tokenizer.json", "model.safetensors")]
    return fingerprint(file for file in files if file.is_file()) if not BASE.pretrain else ""


# compose.smk


# What is trained for a method's modules, by what the configuration calls them; the last file is the module itself.
TASK_MODULES = {
    "dense": ["deltas/task/{task}/{start}"],
    "sft": ["{ranked}/task/{task}/{start}", "sfts/task/{selection}/{task}/{start}"],
    "adapter": ["adapters/task/{task}/{start}"],
}
LANGUAGE_MODULES = {
    "sft": ["{ranked}/language/{lang}", "sfts/language/{selection}/{lang}"],
    "adapter": ["adapters/language/{lang}"],
}


def task_module(method, name: str, seed) -> list[str]:
    """What is trained for a method's task module, below the root and without ending."""
    names = {
        "ranked": ranked_by(method.selection),
        "selection": method.selection,
        "task": name,
        "start": start_of(method, EXPERIMENT.tasks[name]),
    }
    return [f"{made.format(**names)}/seed{seed}" for made in TASK_MODULES[method.task]]


def language_module(method, kind: str, lang: str, seed) -> list[str]:
    """What is trained for a language module of this kind, below the root and without ending."""
    names = {"ranked": ranked_by(method.selection), "selection": method.selection, "lang": lang}
    language_seed = EXPERIMENT.seeds.language_seed(int(seed))
    return [f"{made.format(**names)}/seed{language_seed}" for made in LANGUAGE_MODULES[kind]]


def vectors_of(wildcards) -> dict[str, str]:
    """The task module and, where the method has one, the language module of a composed model."""
    method, seed = EXPERIMENT.methods[wildcards.method], wildcards.seed
    modules = {"task": task_module(method, wildcards.task, seed)}
    if method.language != "none":
        modules["language"] = language_module(method, method.language, wildcards.lang, seed)
    return {role: f"{ROOT}/{made[-1]}.safetensors" for role, made in modules.items()}


def weighted(wildcards, input) -> list[str]:
    """The modules with their weights, in the order they are added."""
    weights = EXPERIMENT.methods[wildcards.method].weights
    terms = [f"{input.task}:{weights.task}"]
    return [*terms, f"{input.language}:{weights.language}"] if "language" in input.keys() else terms


# evaluate.smk


def test_set(wildcards) -> str:
    task = EXPERIMENT.tasks[wildcards.task]
    return f"{ROOT}/datasets/{task.test}/{wildcards.lang}/{task.split}.csv"


# report.smk


SEED = EXPERIMENT.seeds.task[0]  # figures that show single vectors show those of the first seed
LANGUAGE_SEED = EXPERIMENT.seeds.language_seed(SEED)
# Selections that have language vectors.
WITH_LANGUAGES = sorted({m.selection for m in EXPERIMENT.methods.values() if m.language == "sft"})


def languages_of(method, task) -> list[str]:
    """Languages whose modules a method uses: those that are scored, and the source where the task starts from it."""
    if method.language == "none":
        return [task.source] if method.adapts_source else []
    return list(dict.fromkeys([*scored(task), *([task.source] if method.adapts_source else [])]))


def shown(kind: str, selection: str) -> dict[str, str]:
    """Masks or SFTs of one selection that figures show: languages, then tasks; where they lie, without ending.

    Only such as methods use anyway; a task has that of the first of them.
    """
    methods = [m for m in EXPERIMENT.methods.values() if m.selection == selection and m.language == "sft"]
    tasks = EXPERIMENT.tasks.items()
    used = {lang for method in methods for _, task in tasks for lang in languages_of(method, task)}
    languages = (lang for lang in EXPERIMENT.languages if lang in used)
    found = {lang: f"{ROOT}/{kind}/language/{selection}/{lang}/seed{LANGUAGE_SEED}" for lang in languages}
    for name, task in tasks:
        starts = [start_of(method, task) for method in methods if method.task == "sft"]
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


def trained() -> list[str]:
    """All that the experiment trains, below its root and without ending, in a fixed order."""
    made = set()
    for method in EXPERIMENT.methods.values():
        for name, task in EXPERIMENT.tasks.items():
            for seed in EXPERIMENT.seeds.task:
                made.update(task_module(method, name, seed))
                for lang in languages_of(method, task):
                    made.update(language_module(method, method.source_module, lang, seed))
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
            }
            for name, task in EXPERIMENT.tasks.items()
        },
        "methods": {name: method.title or name for name, method in methods.items()},
        "languages": {code: language.name or code for code, language in EXPERIMENT.languages.items()},
        "seeds": list(EXPERIMENT.seeds.task),
        "vectors": trained(),
        "reference": "lt-sft" if "lt-sft" in methods else None,
        "control": "task-sft" if "task-sft" in methods else None,
    }
