# Trainings: whatever moves (deftx.finetuning), and whatever is learned. The rule is written once; there is one for each
# trained type of module, for languages and for tasks: full_language, full_task, sparse_language, ...

TRAININGS = [
    (entry, role, Step(GRAPH, kinds.module_pattern(entry.name, role)))
    for entry in MODULE_TYPES.values()
    for role in ("language", "task")
    if entry.trained
]


for entry, role, step in TRAININGS:

    rule:
        name:
            f"{entry.stage}_{role}"
        input:
            unpack(step.needs),
        output:
            module=step.file,
            record=step.record,
        log:
            step.log,
        benchmark:
            step.benchmark
        # What several experiments may share.
        cache: SHARES_LANGUAGES if entry.shared and role == "language" else False
        # A training that a time limit ends has saved its state and resumes there.
        retries: RETRIES
        conda:
            "../envs/deftx.yaml"
        threads: TRAIN_THREADS
        resources:
            mem_mb=train_mb,
            gpu=GPU,
            runtime="12h",
        params:
            spec=step.spec,
            options=JOBS.options(entry),
            origin=made_on if entry.shared and role == "language" else Origin(),
            code=JOBS.code_of_training(entry, role),
        message:
            jobs.describe(step.pattern)
        shell:
            "deftx train --spec {params.spec:q} --base {input.base:q} --train {input.train:q} --valid {input.valid:q}"
            " {params.options} --out {output.module:q} 2> {log:q}"
