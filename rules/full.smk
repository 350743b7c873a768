rule full_language:
    input:
        base=f"{ROOT}/base.json",
        train=f"{ROOT}/corpora/{{lang}}/train.txt.gz",
        valid=f"{ROOT}/corpora/{{lang}}/valid.txt.gz",
    output:
        delta=f"{ROOT}/deltas/language/{{lang}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/deltas/language/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/full/language/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/full/language/{{lang}}/seed{{seed}}.jsonl"
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
        phase=phase_of("language", "full"),
        seed="{seed}",
        origin=made_on,
        code=code_of("deftx.finetuning.full"),
    message:
        "{wildcards.lang}: full fine-tuning on its text, seed {wildcards.seed}"
    shell:
        "deftx train --processes {resources.gpu} --settings {params.settings} --phase {params.phase} --base {input.base} --train {input.train} --valid {input.valid}"
        " --seed {params.seed} --out {output.delta} 2> {log}"


rule full_task:
    input:
        unpack(task_data),
        unpack(module_at_start),
        base=f"{ROOT}/base.json",
    output:
        delta=f"{ROOT}/deltas/task/{{task}}/{{start}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/deltas/task/{{task}}/{{start}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/full/task/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/full/task/{{task}}/{{start}}/seed{{seed}}.jsonl"
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
        phase=phase_of("task", "full"),
        labels=labels_of,
        start=start_option,
        seed="{seed}",
        code=code_of("deftx.finetuning.full"),
    message:
        "{wildcards.task}: full fine-tuning from {wildcards.start}, seed {wildcards.seed}"
    shell:
        "deftx train --processes {resources.gpu} --settings {params.settings} --phase {params.phase} --labels {params.labels} --base {input.base}"
        " --train {input.train} --valid {input.valid} {params.start}"
        " --seed {params.seed} --out {output.delta} 2> {log}"
