# Composed models, what they predict on test sets, and scores of the predictions.

COMPOSED = Step(kinds.pattern(kinds.Composed))
PREDICTIONS = Step(kinds.pattern(kinds.Predictions))
SCORES = Step(kinds.pattern(kinds.Scores))


def code_with_modules(stage: str):
    """The code of a stage that loads modules, and of the types of modules that a method adds."""
    return lambda wildcards: code_of(stage, *specs.code_behind(GRAPH, wildcards.method))


def weighted(wildcards, input) -> list[str]:
    """The modules with their weights, in the order they are added."""
    modules = GRAPH.modules_of(COMPOSED.made(wildcards))
    return [f"{GRAPH.at(module.path)}:{weight}" for module, weight in modules]


def composition_options(wildcards) -> str:
    """What a recipe says beside its modules."""
    said = specs.composition_of(GRAPH, wildcards.method, wildcards.task, wildcards.lang)
    return " ".join(f"--{name} {quote(value)}" for name, value in said.items())


rule compose:
    input:
        unpack(COMPOSED.needs),
    output:
        COMPOSED.file,
    log:
        COMPOSED.log,
    benchmark:
        COMPOSED.benchmark
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=train_mb,
        runtime=lasting(5),
    params:
        modules=weighted,
        options=composition_options,
        code=code_with_modules("deftx.merging.recipe"),
    message:
        "{wildcards.method}: compose {wildcards.task} with {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "deftx compose {params.modules:q} {params.options} --base {input.base} --out {output} 2> {log}"


rule evaluate:
    input:
        unpack(PREDICTIONS.needs),
    output:
        # Where they come from lies beside them, undeclared: results of earlier versions have no such file, and are accepted.
        PREDICTIONS.file,
    log:
        PREDICTIONS.log,
    benchmark:
        PREDICTIONS.benchmark
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(15),
    params:
        max_length=lambda wildcards: EXPERIMENT.task_recipe(wildcards.task).max_length,
        code=code_with_modules("deftx.evaluation.predict"),
    message:
        "{wildcards.method}: predict {wildcards.task} in {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "deftx predict {input.recipe} --base {input.base} --dataset {input.dataset} --max-length {params.max_length}"
        " --predictions {output} 2> {log}"


rule score:
    input:
        expand(PREDICTIONS.file, seed=EXPERIMENT.seeds.task, allow_missing=True),
    output:
        expand(SCORES.file, seed=EXPERIMENT.seeds.task, allow_missing=True),
    log:
        SCORES.log,
    benchmark:
        SCORES.benchmark
    # It takes a moment, less than asking a cluster would.
    localrule: True
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        metric=lambda wildcards: EXPERIMENT.tasks[wildcards.task].metric,
        seeds=[f"seed{seed}" for seed in EXPERIMENT.seeds.task],
        predictions=lambda wildcards, input: Place(str(Path(input[0]).parent)),
        scores=lambda wildcards, output: Place(str(Path(output[0]).parent)),
        code=code_of("deftx.evaluation.score"),
    message:
        "{wildcards.method}: score {wildcards.task} in {wildcards.lang}"
    shell:
        "deftx score {params.seeds} --predictions {params.predictions} --scores {params.scores}"
        " --metric {params.metric} 2> {log}"
