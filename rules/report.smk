SEED = EXPERIMENT.seeds.task[0]  # figures that show single vectors show those of the first seed
LANGUAGE_SEED = EXPERIMENT.seeds.language_seed(SEED)
# Selections that have language vectors, and those of any sparse method.
WITH_LANGUAGES = sorted({m.selection for m in EXPERIMENT.methods.values() if m.language == "sft"})


def languages_with_vectors() -> list[str]:
    """Source and target languages of all tasks, each once, in the configuration's order."""
    used = {lang for task in EXPERIMENT.tasks.values() for lang in (task.source, *task.targets)}
    return [lang for lang in EXPERIMENT.languages if lang in used]


def vectors_for_overlap(wildcards) -> dict[str, str]:
    """Name and file of the vectors of one selection: languages, then tasks on top of their source language."""
    folder, s = f"{ROOT}/sfts", wildcards.selection
    found = {
        lang: f"{folder}/language/{s}/{lang}/seed{LANGUAGE_SEED}.safetensors" for lang in languages_with_vectors()
    }
    for name, task in EXPERIMENT.tasks.items():
        found[name] = f"{folder}/task/{s}/{name}/{s}-{task.source}/seed{SEED}.safetensors"
    return found


def mask_reports() -> dict[str, str]:
    """Reports of the masks that figures show, by selection and name."""
    found = {}
    for s in WITH_LANGUAGES:
        for lang in languages_with_vectors():
            found[f"{s}/{lang}"] = f"{ROOT}/masks/language/{s}/{lang}/seed{LANGUAGE_SEED}.json"
        for name, task in EXPERIMENT.tasks.items():
            found[f"{s}/task:{name}"] = f"{ROOT}/masks/task/{s}/{name}/{s}-{task.source}/seed{SEED}.json"
    return found


def trained() -> list[str]:
    """All deltas and SFTs of the experiment, below its root and without ending, in a fixed order."""
    vectors = set()
    for method in EXPERIMENT.methods.values():
        for name, task in EXPERIMENT.tasks.items():
            for seed in EXPERIMENT.seeds.task:
                start, language_seed = start_of(method, task), EXPERIMENT.seeds.language_seed(seed)
                vectors.add(f"deltas/task/{name}/{start}/seed{seed}")
                if method.task == "sft":
                    vectors.add(f"sfts/task/{method.selection}/{name}/{start}/seed{seed}")
                if method.language == "sft":
                    for lang in scored(task):
                        vectors.add(f"deltas/language/{lang}/seed{language_seed}")
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


rule overlap:
    message:
        "{wildcards.selection}: overlap of the vectors"
    input:
        unpack(vectors_for_overlap),
    output:
        f"{ROOT}/tables/overlap-{{selection}}.csv",
    params:
        vectors=lambda wildcards, input: [f"{name}={path}" for name, path in input.items()],
        code=code_of("deftx.overlap"),
    log:
        f"{ROOT}/logs/overlap/{{selection}}.log",
    benchmark:
        f"{ROOT}/benchmarks/overlap/{{selection}}.jsonl"
    threads: 1
    resources:
        mem_mb=TRAIN_MB,
        runtime="30m",
    shell:
        "deftx overlap {params.vectors} --out {output} 2> {log}"


rule tables:
    message:
        "tables"
    input:
        predictions=composed_cells("{root}/predictions/{method}/{task}/{lang}/seed{seed}.csv"),
        records=[f"{ROOT}/{vector}.json" for vector in trained()],
    output:
        scores=f"{ROOT}/tables/scores.csv",
        gains=f"{ROOT}/tables/gains.csv",
        training=f"{ROOT}/tables/training.csv",
        tables=expand(f"{ROOT}/tables/{{task}}.{{form}}", task=EXPERIMENT.tasks, form=["md", "tex"]),
    params:
        plan=as_json(plan()),
        code=code_of("deftx.tables"),
    log:
        f"{ROOT}/logs/tables.log",
    benchmark:
        f"{ROOT}/benchmarks/tables.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    shell:
        "deftx tables {ROOT} --plan {params.plan} --out {ROOT}/tables 2> {log}"


rule figures:
    message:
        "figures"
    input:
        scores=rules.tables.output.scores,
        gains=rules.tables.output.gains,
        reports=list(mask_reports().values()),
        overlaps=expand(f"{ROOT}/tables/overlap-{{selection}}.csv", selection=WITH_LANGUAGES),
    output:
        expand(
            f"{ROOT}/figures/{{figure}}.{{form}}",
            figure=["scores", *(["gains", "spectra", "density", "overlap"] if WITH_LANGUAGES else [])],
            form=["svg", "pdf", "png"],
        ),
    params:
        reports=[f"--reports {name}={path}" for name, path in mask_reports().items()],
        overlaps=[f"--overlaps {s}={ROOT}/tables/overlap-{s}.csv" for s in WITH_LANGUAGES],
        code=code_of("deftx.figures"),
    log:
        f"{ROOT}/logs/figures.log",
    benchmark:
        f"{ROOT}/benchmarks/figures.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    shell:
        "deftx figures {ROOT}/tables {params.reports} {params.overlaps} --out {ROOT}/figures 2> {log}"
