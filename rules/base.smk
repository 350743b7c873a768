rule base:
    input:
        train=expand(f"{ROOT}/corpora/{{lang}}/train.txt.gz", lang=KNOWN),
        valid=expand(f"{ROOT}/corpora/{{lang}}/valid.txt.gz", lang=KNOWN),
    output:
        **({"model": directory(f"{ROOT}/base")} if BASE.pretrain else {}),
        description=f"{ROOT}/base.json",
    log:
        f"{ROOT}/logs/base.log",
    benchmark:
        f"{ROOT}/benchmarks/base.jsonl"
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
        settings=dumped(BASE),
        model=base_fingerprint(),
        origin=base_origin,
        family=family(),
        code=code_of(
            "deftx.models.base_model",
            *(["deftx.finetuning.pretraining", "deftx.data.synthetic"] if BASE.pretrain else []),
        ),
    message:
        "base model: pretrain a tiny one" if BASE.pretrain else "base model: check and describe it"
    shell:
        "deftx base --settings {params.settings} {params.family} {params.inputs}" " --out {output.description} 2> {log}"
