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


def corpus_mb(wildcards, input) -> int:
    """Memory to clean a corpus: a Parquet file unpacks to twice its size, held as lines and as their keys."""
    return max(2000, int(12 * input.size_mb))


def evaluation_sentences(wildcards) -> list[str]:
    """Test sets (all their splits) in this language: their sentences must not be trained on."""
    tests = sorted({task.test for task in EXPERIMENT.tasks.values()})
    return [file for name in tests for file in splits_of(name, wildcards.lang)]


# datasets.smk


def dataset_raw(wildcards) -> dict[str, list[str]]:
    """The raw files of a split; those of the others, too, where the nearest row of any split is dropped."""
    dataset = EXPERIMENT.datasets[wildcards.dataset]
    files = files_of(dataset, wildcards.lang)
    if not files:
        return {}
    if wildcards.split not in files:
        raise WorkflowError(f"dataset {wildcards.dataset} has no split {wildcards.split} in {wildcards.lang}")
    own = {"raw": [raw(file) for file in files[wildcards.split]]}
    others = [raw(file) for split in files if split != wildcards.split for file in files[split]]
    compares_splits = dataset.drop_near_copies and dataset.drop_near_copies.rule == "nearest"
    return own | ({"sibling": others} if compares_splits else {})


def dataset_held_out(wildcards) -> dict[str, str]:
    """The validation split, where its rows are dropped from training."""
    if wildcards.split != "train" or not EXPERIMENT.datasets[wildcards.dataset].drop_held_out:
        return {}
    return {"held_out": f"{ROOT}/datasets/{wildcards.dataset}/{wildcards.lang}/valid.csv"}


def dataset_near(wildcards) -> list[str]:
    """The dataset whose near copies are dropped."""
    copies = EXPERIMENT.datasets[wildcards.dataset].drop_near_copies
    files = [file for lang in copies.languages for file in splits_of(copies.dataset, lang)] if copies else []
    return [file for file in files if Path(file).stem in copies.splits]


def dataset_options(wildcards, input) -> str:
    """An artificial language brings its family, any other its raw files."""
    if "raw" not in input.keys():
        return f"{family()} --spoken {dumped(EXPERIMENT.languages[wildcards.lang].testbed)}"
    options = {"raw": input.raw, "sibling": input.get("sibling", []), "held-out": input.get("held_out", [])}
    return " ".join(f"--{name} {quote(path)}" for name, paths in options.items() for path in each_of(paths))


def each_of(paths) -> list[str]:
    """One path or several as a list: Snakemake makes one of a list of one."""
    return [paths] if isinstance(paths, str) else list(paths)


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


def language_of(method, task, lang):
    """The language whose module a method adds where `lang` is scored; none where there is none, or no text for it."""
    added = lang if method.swap else task.source
    return added if method.language != "none" and EXPERIMENT.has_text(added) else None


def vectors_of(wildcards) -> dict[str, str]:
    """The task module and, where the method has one, the language module of a composed model."""
    method, task = (
        EXPERIMENT.methods[wildcards.method],
        EXPERIMENT.tasks[wildcards.task],
    )
    start = start_of(method, task, wildcards.lang)
    where = {"task": f"{wildcards.task}/{start}/seed{wildcards.seed}"}
    added = language_of(method, task, wildcards.lang)
    if added:
        where["language"] = f"{added}/seed{EXPERIMENT.seeds.language_seed(int(wildcards.seed))}"
    forms = {"task": method.task, "language": method.language}
    named = {kind: module_of(kind, forms[kind], method.selection, where[kind]) for kind in where}
    return {kind: f"{ROOT}/{name}.safetensors" for kind, name in named.items()}


def weighted(wildcards, input) -> list[str]:
    """The modules with their weights, in the order they are added."""
    weights = EXPERIMENT.methods[wildcards.method].weights
    terms = [f"{input.task}:{weights.task}"]
    return [*terms, f"{input.language}:{weights.language}"] if "language" in input.keys() else terms


def lacking(method, task, lang) -> bool:
    """Whether a method that adds language vectors has none where `lang` is scored."""
    return method.language != "none" and language_of(method, task, lang) is None


def composition_options(wildcards) -> str:
    """What a recipe says beside its vectors, where it says anything."""
    method, task = (
        EXPERIMENT.methods[wildcards.method],
        EXPERIMENT.tasks[wildcards.task],
    )
    resolved = f"--conflicts {method.conflicts}" if method.conflicts != "sum" else ""
    return f"{resolved} --note 'no language vector'" if lacking(method, task, wildcards.lang) else resolved


# evaluate.smk


def test_set(wildcards) -> str:
    task = EXPERIMENT.tasks[wildcards.task]
    return f"{ROOT}/datasets/{task.test}/{wildcards.lang}/{task.split}.csv"


# report.smk


def published_beside(task) -> list[dict]:
    """Published scores to set beside a task's."""
    if not task.published:
        return []
    compared = published.comparable(task.published.scores, task.published.methods, task.targets)
    return [entry.model_dump(mode="json") for entry in compared]


SEED = EXPERIMENT.seeds.task[0]  # figures that show single vectors show those of the first seed
LANGUAGE_SEED = EXPERIMENT.seeds.language_seed(SEED)
# Whether published scores are set beside ours.
PUBLISHED = any(published_beside(task) for task in EXPERIMENT.tasks.values())
# Whether there are gains over a control.
GAINS = EXPERIMENT.compared["control"] is not None and len(EXPERIMENT.methods) > 1
# Selections that have language vectors.
WITH_LANGUAGES = sorted({m.selection for m in EXPERIMENT.methods.values() if m.language == "sft"})


def languages_of(method, task) -> list[str]:
    """Languages whose vectors a method adds: those that are scored, or the source's in place of theirs."""
    return list(dict.fromkeys(filter(None, (language_of(method, task, lang) for lang in scored(task)))))


def languages_lacking(method, task) -> list[str]:
    """Scored languages without a vector, of a method that adds one."""
    return [lang for lang in scored(task) if lacking(method, task, lang)]


def starts_of(method, task) -> list[str]:
    """Where a method's trainings of a task start."""
    return list(dict.fromkeys(start_of(method, task, lang) for lang in scored(task)))


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


def trainings_of(kind: str, form: str, selection: str | None, where: str) -> set[str]:
    """The trainings behind a module: what is ranked, and the sparse fine-tuning where there is one."""
    made = module_of(kind, form, selection, where)
    if form in ("dense", "adapter", "lora"):
        return {made}
    origin = f"{ranked_by(selection)}/{kind}/{where}"
    return {origin, made} if form == "sft" else {origin}


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


# What makes each kind of file, by its folder: the name of the rule's benchmarks.
STAGES = {
    "deltas": "full",
    "gradients": "gradients",
    "masks": "mask",
    "sfts": "sparse",
    "pruned": "prune",
    "adapters": "adapter",
    "loras": "lora",
}


def made_from(name: str) -> list[str]:
    """What a module or mask was made from, beside data: its mask, what that ranks, its task's start."""
    family, kind, *rest = Path(name).parts
    needs = []
    if family in ("sfts", "pruned"):
        needs.append(str(Path("masks", kind, *rest)))
    if family == "masks":
        selection, *rest = rest
        needs.append(str(Path(ranked_by(selection), kind, *rest)))
    if kind == "task":
        task, start, seed = rest[-3:]
        wildcards = SimpleNamespace(task=task, start=start, seed=seed.removeprefix("seed"))
        needs += map(below_root, module_at_start(wildcards).values())
    return needs


def below_root(file: str) -> str:
    """A vector's name: its place below the results, without ending."""
    return str(Path(file).relative_to(ROOT).with_suffix(""))


def costs_plan() -> dict:
    """The modules each method has for one language, those of the first seed, and what each was made from."""
    modules, made = {}, {}
    for name, task in EXPERIMENT.tasks.items():
        for method in EXPERIMENT.methods:
            for lang in task.targets:
                wildcards = SimpleNamespace(method=method, task=name, lang=lang, seed=SEED)
                found = [below_root(file) for file in vectors_of(wildcards).values()]
                modules.setdefault(name, {}).setdefault(method, {})[lang] = found
    waiting = [m for methods in modules.values() for langs in methods.values() for some in langs.values() for m in some]
    while waiting:
        name = waiting.pop()
        if name not in made:
            made[name] = made_from(name)
            waiting += made[name]
    return {
        "methods": {name: method.title or name for name, method in EXPERIMENT.methods.items()},
        "languages": {code: language.name or code for code, language in EXPERIMENT.languages.items()},
        "modules": modules,
        "made": {name: needs for name, needs in sorted(made.items()) if needs},
        "stages": STAGES,
    }


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
