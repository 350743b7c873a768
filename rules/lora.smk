rule lora_language:
    input:
        base=f"{ROOT}/base.json",
        train=f"{ROOT}/corpora/{{lang}}/train.txt.gz",
        valid=f"{ROOT}/corpora/{{lang}}/valid.txt.gz",
    output:
        lora=f"{ROOT}/loras/language/{{lang}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/loras/language/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/lora/language/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/lora/language/{{lang}}/seed{{seed}}.jsonl"
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
        shape=shape_beside("lora", "language"),
        phase=phase_beside("lora", "language"),
        seed="{seed}",
        code=code_of("deftx.finetuning.lora"),
    message:
        "{wildcards.lang}: LoRA of the language, seed {wildcards.seed}"
    shell:
        "deftx lora --processes {resources.gpu} --settings {params.settings} --shape {params.shape} --phase {params.phase} --base {input.base}"
        " --train {input.train} --valid {input.valid} --seed {params.seed} --out {output.lora} 2> {log}"


rule lora_task:
    input:
        unpack(task_data),
        unpack(module_at_start),
        base=f"{ROOT}/base.json",
    output:
        lora=f"{ROOT}/loras/task/{{task}}/{{start}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/loras/task/{{task}}/{{start}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/lora/task/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/lora/task/{{task}}/{{start}}/seed{{seed}}.jsonl"
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
        shape=shape_beside("lora", "task"),
        phase=phase_beside("lora", "task"),
        labels=labels_of,
        start=start_option,
        seed="{seed}",
        code=code_of("deftx.finetuning.lora"),
    message:
        "{wildcards.task} from {wildcards.start}: LoRA of the task, seed {wildcards.seed}"
    shell:
        "deftx lora --processes {resources.gpu} --settings {params.settings} --shape {params.shape} --phase {params.phase} --labels {params.labels}"
        " --base {input.base} --train {input.train} --valid {input.valid} {params.start}"
        " --seed {params.seed} --out {output.lora} 2> {log}"
