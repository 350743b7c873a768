rule mask_language:
    input:
        ranked=ranked("language"),
    output:
        mask=f"{ROOT}/masks/language/{{selection}}/{{lang}}/seed{{seed}}.safetensors",
        report=f"{ROOT}/masks/language/{{selection}}/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/mask/language/{{selection}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/mask/language/{{selection}}/{{lang}}/seed{{seed}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(60),
    params:
        selection=selection_of,
        k=lambda wildcards: EXPERIMENT.selections[wildcards.selection].k.language,
        code=code_of("deftx.masks.select"),
    message:
        "{wildcards.lang}: mask by {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx mask {input.ranked} --selection {params.selection} --k {params.k}"
        " --out {output.mask} --report {output.report} 2> {log}"


rule mask_task:
    input:
        ranked=ranked("task"),
    output:
        mask=f"{ROOT}/masks/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.safetensors",
        report=f"{ROOT}/masks/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/mask/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/mask/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(60),
    params:
        selection=selection_of,
        k=lambda wildcards: EXPERIMENT.selections[wildcards.selection].k.task,
        code=code_of("deftx.masks.select"),
    message:
        "{wildcards.task} from {wildcards.start}: mask by {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx mask {input.ranked} --selection {params.selection} --k {params.k}"
        " --out {output.mask} --report {output.report} 2> {log}"


# Where the selection ranks nothing: entries drawn at random, as many as others choose.
ruleorder: random_mask_language > mask_language
ruleorder: random_mask_task > mask_task


rule random_mask_language:
    input:
        delta=f"{ROOT}/deltas/language/{{lang}}/seed{{seed}}.safetensors",
    output:
        mask=f"{ROOT}/masks/language/{{selection}}/{{lang}}/seed{{seed}}.safetensors",
        report=f"{ROOT}/masks/language/{{selection}}/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/mask/language/{{selection}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/mask/language/{{selection}}/{{lang}}/seed{{seed}}.jsonl"
    wildcard_constraints:
        selection=RANDOM,
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=train_mb,
        runtime=lasting(60),
    params:
        k=lambda wildcards: EXPERIMENT.selections[wildcards.selection].k.language,
        code=code_of("deftx.masks.random_control"),
    message:
        "{wildcards.lang}: mask at random, seed {wildcards.seed}"
    shell:
        "deftx random-mask {input.delta} --k {params.k} --out {output.mask} --report {output.report} 2> {log}"


rule random_mask_task:
    input:
        delta=f"{ROOT}/deltas/task/{{task}}/{{start}}/seed{{seed}}.safetensors",
    output:
        mask=f"{ROOT}/masks/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.safetensors",
        report=f"{ROOT}/masks/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/mask/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/mask/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.jsonl"
    wildcard_constraints:
        selection=RANDOM,
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=train_mb,
        runtime=lasting(60),
    params:
        k=lambda wildcards: EXPERIMENT.selections[wildcards.selection].k.task,
        code=code_of("deftx.masks.random_control"),
    message:
        "{wildcards.task} from {wildcards.start}: mask at random, seed {wildcards.seed}"
    shell:
        "deftx random-mask {input.delta} --k {params.k} --out {output.mask} --report {output.report} 2> {log}"
