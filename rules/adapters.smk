rule adapter_language:
    input:
        base=f"{ROOT}/base.json",
        train=f"{ROOT}/corpora/{{lang}}/train.txt.gz",
        valid=f"{ROOT}/corpora/{{lang}}/valid.txt.gz",
    output:
        adapter=f"{ROOT}/adapters/language/{{lang}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/adapters/language/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/adapter/language/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/adapter/language/{{lang}}/seed{{seed}}.jsonl"
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
        settings=settings_beside("language"),
        shape=shape_beside("adapter", "language"),
        phase=phase_beside("adapter", "language"),
        seed="{seed}",
        code=code_of("deftx.finetuning.adapters"),
    message:
        "{wildcards.lang}: language adapter, seed {wildcards.seed}"
    shell:
        "deftx adapter --processes {resources.gpu} --settings {params.settings} --shape {params.shape} --phase {params.phase} --base {input.base}"
        " --train {input.train} --valid {input.valid} --seed {params.seed} --out {output.adapter} 2> {log}"


rule adapter_task:
    input:
        unpack(task_data),
        unpack(module_at_start),
        base=f"{ROOT}/base.json",
    output:
        adapter=f"{ROOT}/adapters/task/{{task}}/{{start}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/adapters/task/{{task}}/{{start}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/adapter/task/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/adapter/task/{{task}}/{{start}}/seed{{seed}}.jsonl"
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
        settings=settings_beside("task"),
        shape=shape_beside("adapter", "task"),
        phase=phase_beside("adapter", "task"),
        labels=labels_of,
        start=start_option,
        seed="{seed}",
        code=code_of("deftx.finetuning.adapters"),
    message:
        "{wildcards.task} from {wildcards.start}: task adapter, seed {wildcards.seed}"
    shell:
        "deftx adapter --processes {resources.gpu} --settings {params.settings} --shape {params.shape} --phase {params.phase} --labels {params.labels}"
        " --base {input.base} --train {input.train} --valid {input.valid} {params.start}"
        " --seed {params.seed} --out {output.adapter} 2> {log}"
