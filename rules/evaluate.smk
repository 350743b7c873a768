rule evaluate:
    input:
        unpack(vectors_of),
        recipe=f"{ROOT}/composed/{{method}}/{{task}}/{{lang}}/seed{{seed}}.json",
        base=f"{ROOT}/base.json",
        dataset=test_set,
    output:
        scores=f"{ROOT}/scores/{{method}}/{{task}}/{{lang}}/seed{{seed}}.json",
        predictions=f"{ROOT}/predictions/{{method}}/{{task}}/{{lang}}/seed{{seed}}.csv",
    log:
        f"{ROOT}/logs/evaluate/{{method}}/{{task}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/evaluate/{{method}}/{{task}}/{{lang}}/seed{{seed}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(15),
    params:
        max_length=lambda wildcards: EXPERIMENT.task_recipe(wildcards.task).max_length,
        metric=lambda wildcards: EXPERIMENT.tasks[wildcards.task].metric,
        code=code_with_modules("deftx.evaluation.predict"),
    message:
        "{wildcards.method}: score {wildcards.task} in {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "deftx evaluate {input.recipe} --base {input.base} --dataset {input.dataset}"
        " --max-length {params.max_length} --metric {params.metric} --scores {output.scores} --predictions {output.predictions} 2> {log}"
