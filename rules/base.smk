# The base model: described, and pretrained first where the workflow trains one.

BASE = EXPERIMENT.base
BASE_STEP = Step(GRAPH, kinds.Base())


rule base:
    input:
        unpack(BASE_STEP.needs),
    output:
        **({"model": directory(f"{ROOT}/{BASE_STEP.pattern.model}")} if BASE.pretrain else {}),
        description=BASE_STEP.file,
    log:
        BASE_STEP.log,
    benchmark:
        BASE_STEP.benchmark
    # One of the hub is fetched by its job, so every user runs it.
    cache: CACHE and BASE.pretrain is not None
    # A model of the hub is fetched here; training one is a job like any other.
    localrule: BASE.model is not None
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU if BASE.pretrain else 0,
        runtime=lasting(60),
    params:
        inputs=inputs_as_options,
        spec=as_json(BASE.model_dump(mode="json")),
        model=local_files.fingerprint_of(BASE),
        origin=base_origin,
        family=JOBS.family,
        code=code_of(
            "deftx.models.base_model",
            *(["deftx.finetuning.pretraining", "deftx.data.synthetic"] if BASE.pretrain else []),
        ),
    message:
        "base model: pretrain a tiny one" if BASE.pretrain else "base model: check and describe it"
    shell:
        "deftx base --settings {params.spec:q} {params.family} {params.inputs} --out {output.description:q} 2> {log:q}"
