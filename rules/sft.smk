rule sparse_language:
    input:
        base=f"{ROOT}/base.json",
        train=f"{ROOT}/corpora/{{lang}}/train.txt.gz",
        valid=f"{ROOT}/corpora/{{lang}}/valid.txt.gz",
        mask=f"{ROOT}/masks/language/{{selection}}/{{lang}}/seed{{seed}}.safetensors",
    output:
        sft=f"{ROOT}/sfts/language/{{selection}}/{{lang}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/sfts/language/{{selection}}/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/sparse/language/{{selection}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/sparse/language/{{selection}}/{{lang}}/seed{{seed}}.jsonl"
    cache: SHARES_LANGUAGES
    # A training that a time limit ends has saved its state and goes on from there.
    retries: RETRIES
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime="12h",
    params:
        settings=training_settings("language"),
        phase=phase_of("language", "sparse"),
        seed="{seed}",
        origin=made_on,
        code=code_of("deftx.finetuning.sparse"),
    message:
        "{wildcards.lang}: sparse fine-tuning, {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx train --processes {resources.gpu} --settings {params.settings} --phase {params.phase} --base {input.base} --train {input.train} --valid {input.valid}"
        " --mask {input.mask} --seed {params.seed} --out {output.sft} 2> {log}"


rule sparse_task:
    input:
        unpack(task_data),
        unpack(module_at_start),
        base=f"{ROOT}/base.json",
        mask=f"{ROOT}/masks/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.safetensors",
    output:
        sft=f"{ROOT}/sfts/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/sfts/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/sparse/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/sparse/task/{{selection}}/{{task}}/{{start}}/seed{{seed}}.jsonl"
    # A training that a time limit ends has saved its state and goes on from there.
    retries: RETRIES
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime="12h",
    params:
        settings=training_settings("task"),
        phase=phase_of("task", "sparse"),
        labels=labels_of,
        start=start_option,
        seed="{seed}",
        code=code_of("deftx.finetuning.sparse"),
    message:
        "{wildcards.task} from {wildcards.start}: sparse fine-tuning, {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx train --processes {resources.gpu} --settings {params.settings} --phase {params.phase} --labels {params.labels} --base {input.base}"
        " --train {input.train} --valid {input.valid} --mask {input.mask} {params.start}"
        " --seed {params.seed} --out {output.sft} 2> {log}"
