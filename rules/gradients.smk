rule gradients_language:
    input:
        base=f"{ROOT}/base.json",
        train=f"{ROOT}/corpora/{{lang}}/train.txt.gz",
        valid=f"{ROOT}/corpora/{{lang}}/valid.txt.gz",
    output:
        sums=f"{ROOT}/gradients/language/{{lang}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/gradients/language/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/gradients/language/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/gradients/language/{{lang}}/seed{{seed}}.jsonl"
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
        phase=phase_of("language", "gradients"),
        seed="{seed}",
        code=code_of("deftx.finetuning.gradients"),
    message:
        "{wildcards.lang}: gradients on its text, seed {wildcards.seed}"
    shell:
        "deftx train --gradients --settings {params.settings} --phase {params.phase} --base {input.base} --train {input.train} --valid {input.valid}"
        " --seed {params.seed} --out {output.sums} 2> {log}"


rule gradients_task:
    input:
        unpack(task_data),
        unpack(module_at_start),
        base=f"{ROOT}/base.json",
    output:
        sums=f"{ROOT}/gradients/task/{{task}}/{{start}}/seed{{seed}}.safetensors",
        record=f"{ROOT}/gradients/task/{{task}}/{{start}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/gradients/task/{{task}}/{{start}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/gradients/task/{{task}}/{{start}}/seed{{seed}}.jsonl"
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
        phase=phase_of("task", "gradients"),
        labels=labels_of,
        start=start_option,
        seed="{seed}",
        code=code_of("deftx.finetuning.gradients"),
    message:
        "{wildcards.task}: gradients at {wildcards.start}, seed {wildcards.seed}"
    shell:
        "deftx train --gradients --settings {params.settings} --phase {params.phase} --labels {params.labels} --base {input.base}"
        " --train {input.train} --valid {input.valid} {params.start}"
        " --seed {params.seed} --out {output.sums} 2> {log}"
