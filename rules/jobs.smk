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


def vectors_of(wildcards) -> dict[str, str]:
    """The task vector and, where the method has one, the language vector of a composed model."""
    method, task = (
        EXPERIMENT.methods[wildcards.method],
        EXPERIMENT.tasks[wildcards.task],
    )
    where = f"{wildcards.task}/{start_of(method, task)}/seed{wildcards.seed}.safetensors"
    kind = "deltas/task" if method.task == "dense" else f"sfts/task/{method.selection}"
    vectors = {"task": f"{ROOT}/{kind}/{where}"}
    if method.language == "sft":
        seed = EXPERIMENT.seeds.language_seed(int(wildcards.seed))
        vectors["language"] = f"{ROOT}/sfts/language/{method.selection}/{wildcards.lang}/seed{seed}.safetensors"
    return vectors


def weighted(wildcards, input) -> list[str]:
    """The vectors with their weights, in the order they are added."""
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
    """Languages whose vectors a method uses: those that are scored, and the source where the task starts from it."""
    if method.language != "sft":
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
    """All deltas (or summed gradients) and SFTs of the experiment, below its root and without ending, in a fixed order."""
    vectors = set()
    for method in EXPERIMENT.methods.values():
        for name, task in EXPERIMENT.tasks.items():
            for seed in EXPERIMENT.seeds.task:
                start, language_seed = start_of(method, task), EXPERIMENT.seeds.language_seed(seed)
                vectors.add(f"{ranked_by(method.task == 'sft' and method.selection)}/task/{name}/{start}/seed{seed}")
                if method.task == "sft":
                    vectors.add(f"sfts/task/{method.selection}/{name}/{start}/seed{seed}")
                for lang in languages_of(method, task):
                    vectors.add(f"{ranked_by(method.selection)}/language/{lang}/seed{language_seed}")
                    vectors.add(f"sfts/language/{method.selection}/{lang}/seed{language_seed}")
    return sorted(vectors)


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
