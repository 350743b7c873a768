def test_set(wildcards) -> str:
    task = EXPERIMENT.tasks[wildcards.task]
    return f"{ROOT}/datasets/{task.test}/{wildcards.lang}/{task.split}.csv"


rule evaluate:
    message:
        "{wildcards.method}: score {wildcards.task} in {wildcards.lang}, seed {wildcards.seed}"
    input:
        unpack(vectors_of),
        recipe=f"{ROOT}/composed/{{method}}/{{task}}/{{lang}}/seed{{seed}}.json",
        base=f"{ROOT}/base.json",
        dataset=test_set,
    output:
        scores=f"{ROOT}/scores/{{method}}/{{task}}/{{lang}}/seed{{seed}}.json",
        predictions=f"{ROOT}/predictions/{{method}}/{{task}}/{{lang}}/seed{{seed}}.csv",
    params:
        max_length=EXPERIMENT.recipe.task.max_length,
        code=code_of("deftx.evaluation"),
    log:
        f"{ROOT}/logs/evaluate/{{method}}/{{task}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/evaluate/{{method}}/{{task}}/{{lang}}/seed{{seed}}.jsonl"
    threads: TRAIN_THREADS
    resources:
        mem_mb=TRAIN_MB,
        runtime="60m",
    shell:
        "deftx evaluate {input.recipe} --base {input.base} --dataset {input.dataset}"
        " --max-length {params.max_length} --scores {output.scores} --predictions {output.predictions} 2> {log}"
