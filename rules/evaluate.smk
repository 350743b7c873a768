# Composed models, what they predict on test sets, and scores of the predictions.

COMPOSED = Step(GRAPH, kinds.pattern(kinds.Composed))
PREDICTIONS = Step(GRAPH, kinds.pattern(kinds.Predictions))
SCORES = Step(GRAPH, kinds.pattern(kinds.Scores))


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
        modules=JOBS.weighted,
        options=JOBS.composition,
        code=JOBS.code_with_modules("deftx.merging.recipe"),
    message:
        "{wildcards.method}: compose {wildcards.task} with {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "deftx compose {params.modules:q} {params.options} --base {input.base:q} --out {output:q} 2> {log:q}"


rule evaluate:
    input:
        unpack(PREDICTIONS.needs),
    output:
        predictions=PREDICTIONS.file,
        record=PREDICTIONS.record,
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
        max_length=JOBS.max_length,
        forward=JOBS.forward,
        code=JOBS.code_of_predictions,
    message:
        "{wildcards.method}: predict {wildcards.task} in {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "deftx predict {input.recipe:q} --base {input.base:q} --dataset {input.dataset:q} --max-length {params.max_length} {params.forward}"
        " --predictions {output.predictions:q} 2> {log:q}"


rule score:
    input:
        predictions=expand(PREDICTIONS.file, seed=EXPERIMENT.seeds.task, allow_missing=True),
        records=expand(PREDICTIONS.record, seed=EXPERIMENT.seeds.task, allow_missing=True),
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
        metric=JOBS.metric,
        seeds=[f"seed{seed}" for seed in EXPERIMENT.seeds.task],
        predictions=lambda wildcards, input: JOBS.folder(input.predictions[0]),
        scores=lambda wildcards, output: JOBS.folder(output[0]),
        code=code_of("deftx.evaluation.score"),
    message:
        "{wildcards.method}: score {wildcards.task} in {wildcards.lang}"
    shell:
        "deftx score {params.seeds} --predictions {params.predictions} --scores {params.scores}"
        " --metric {params.metric} 2> {log:q}"
