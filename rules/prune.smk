rule prune_language:
    input:
        delta=f"{ROOT}/deltas/language/{{lang}}/seed{{seed}}.safetensors",
        mask=f"{ROOT}/masks/language/{{selection}}/{{lang}}/seed{{seed}}.safetensors",
    output:
        f"{ROOT}/pruned/language/{{selection}}/{{lang}}/seed{{seed}}.safetensors",
    log:
        f"{ROOT}/logs/prune/language/{{selection}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/prune/language/{{selection}}/{{lang}}/seed{{seed}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(60),
    params:
        code=code_of("deftx.masks.prune"),
    message:
        "{wildcards.lang}: delta pruned to its mask, {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx prune {input.delta} --mask {input.mask} --out {output} 2> {log}"


rule prune_task:
    input:
        delta=f"{ROOT}/deltas/task/{{task}}/{{start}}/seed{{seed}}.safetensors",
        mask=f"{ROOT}/masks/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.safetensors",
    output:
        f"{ROOT}/pruned/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.safetensors",
    log:
        f"{ROOT}/logs/prune/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/prune/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(60),
    params:
        code=code_of("deftx.masks.prune"),
    message:
        "{wildcards.task} from {wildcards.start}: delta pruned to its mask, {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx prune {input.delta} --mask {input.mask} --out {output} 2> {log}"
