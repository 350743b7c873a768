# Trainings: whatever moves (deftx.finetuning), and whatever is learned. The rule is written once, for full fine-tuning of
# languages; the others are the same with another type of module, or for tasks. What may come out of the cache says so.

STEPS = {
    (type, role): Step(GRAPH, kinds.module_pattern(type, role))
    for type in MODULE_TYPES
    for role in ("language", "task")
}


rule full_language:
    input:
        unpack(STEPS["dense", "language"].needs),
    output:
        module=STEPS["dense", "language"].file,
        record=STEPS["dense", "language"].record,
    log:
        STEPS["dense", "language"].log,
    benchmark:
        STEPS["dense", "language"].benchmark
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
        spec=STEPS["dense", "language"].spec,
        options=JOBS.options("dense"),
        origin=made_on,
        code=JOBS.code_of_type("dense"),
    message:
        "{wildcards.lang}: full fine-tuning on its text, seed {wildcards.seed}"
    shell:
        "deftx train --spec {params.spec:q} --base {input.base} --train {input.train} --valid {input.valid} {params.options}"
        " --out {output.module} 2> {log}"


use rule full_language as full_task with:
    input:
        unpack(STEPS["dense", "task"].needs),
    output:
        module=STEPS["dense", "task"].file,
        record=STEPS["dense", "task"].record,
    log:
        STEPS["dense", "task"].log,
    benchmark:
        STEPS["dense", "task"].benchmark
    params:
        spec=STEPS["dense", "task"].spec,
        options=JOBS.options("dense"),
        code=JOBS.code_of_type("dense"),
    message:
        "{wildcards.task}: full fine-tuning from {wildcards.start}, seed {wildcards.seed}"


use rule full_language as sparse_language with:
    input:
        unpack(STEPS["sft", "language"].needs),
    output:
        module=STEPS["sft", "language"].file,
        record=STEPS["sft", "language"].record,
    log:
        STEPS["sft", "language"].log,
    benchmark:
        STEPS["sft", "language"].benchmark
    cache: SHARES_LANGUAGES
    params:
        spec=STEPS["sft", "language"].spec,
        options=JOBS.options("sft"),
        origin=made_on,
        code=JOBS.code_of_type("sft"),
    message:
        "{wildcards.lang}: sparse fine-tuning, {wildcards.selection}, seed {wildcards.seed}"


use rule full_language as sparse_task with:
    input:
        unpack(STEPS["sft", "task"].needs),
    output:
        module=STEPS["sft", "task"].file,
        record=STEPS["sft", "task"].record,
    log:
        STEPS["sft", "task"].log,
    benchmark:
        STEPS["sft", "task"].benchmark
    params:
        spec=STEPS["sft", "task"].spec,
        options=JOBS.options("sft"),
        code=JOBS.code_of_type("sft"),
    message:
        "{wildcards.task} from {wildcards.start}: sparse fine-tuning, {wildcards.selection}, seed {wildcards.seed}"


use rule full_language as gradients_language with:
    input:
        unpack(STEPS["gradients", "language"].needs),
    output:
        module=STEPS["gradients", "language"].file,
        record=STEPS["gradients", "language"].record,
    log:
        STEPS["gradients", "language"].log,
    benchmark:
        STEPS["gradients", "language"].benchmark
    params:
        spec=STEPS["gradients", "language"].spec,
        options=JOBS.options("gradients"),
        code=JOBS.code_of_type("gradients"),
    message:
        "{wildcards.lang}: gradients on its text, seed {wildcards.seed}"


use rule full_language as gradients_task with:
    input:
        unpack(STEPS["gradients", "task"].needs),
    output:
        module=STEPS["gradients", "task"].file,
        record=STEPS["gradients", "task"].record,
    log:
        STEPS["gradients", "task"].log,
    benchmark:
        STEPS["gradients", "task"].benchmark
    params:
        spec=STEPS["gradients", "task"].spec,
        options=JOBS.options("gradients"),
        code=JOBS.code_of_type("gradients"),
    message:
        "{wildcards.task}: gradients at {wildcards.start}, seed {wildcards.seed}"


use rule full_language as adapter_language with:
    input:
        unpack(STEPS["adapter", "language"].needs),
    output:
        module=STEPS["adapter", "language"].file,
        record=STEPS["adapter", "language"].record,
    log:
        STEPS["adapter", "language"].log,
    benchmark:
        STEPS["adapter", "language"].benchmark
    params:
        spec=STEPS["adapter", "language"].spec,
        options=JOBS.options("adapter"),
        code=JOBS.code_of_type("adapter"),
    message:
        "{wildcards.lang}: language adapter, seed {wildcards.seed}"


use rule full_language as adapter_task with:
    input:
        unpack(STEPS["adapter", "task"].needs),
    output:
        module=STEPS["adapter", "task"].file,
        record=STEPS["adapter", "task"].record,
    log:
        STEPS["adapter", "task"].log,
    benchmark:
        STEPS["adapter", "task"].benchmark
    params:
        spec=STEPS["adapter", "task"].spec,
        options=JOBS.options("adapter"),
        code=JOBS.code_of_type("adapter"),
    message:
        "{wildcards.task} from {wildcards.start}: task adapter, seed {wildcards.seed}"


use rule full_language as lora_language with:
    input:
        unpack(STEPS["lora", "language"].needs),
    output:
        module=STEPS["lora", "language"].file,
        record=STEPS["lora", "language"].record,
    log:
        STEPS["lora", "language"].log,
    benchmark:
        STEPS["lora", "language"].benchmark
    params:
        spec=STEPS["lora", "language"].spec,
        options=JOBS.options("lora"),
        code=JOBS.code_of_type("lora"),
    message:
        "{wildcards.lang}: LoRA of the language, seed {wildcards.seed}"


use rule full_language as lora_task with:
    input:
        unpack(STEPS["lora", "task"].needs),
    output:
        module=STEPS["lora", "task"].file,
        record=STEPS["lora", "task"].record,
    log:
        STEPS["lora", "task"].log,
    benchmark:
        STEPS["lora", "task"].benchmark
    params:
        spec=STEPS["lora", "task"].spec,
        options=JOBS.options("lora"),
        code=JOBS.code_of_type("lora"),
    message:
        "{wildcards.task} from {wildcards.start}: LoRA of the task, seed {wildcards.seed}"
