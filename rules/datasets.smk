rule dataset:
    input:
        unpack(dataset_raw),
        unpack(dataset_held_out),
        near=dataset_near,
    output:
        csv=f"{ROOT}/datasets/{{dataset}}/{{lang}}/{{split}}.csv",
        stats=f"{ROOT}/datasets/{{dataset}}/{{lang}}/{{split}}.json",
    log:
        f"{ROOT}/logs/dataset/{{dataset}}/{{lang}}/{{split}}.log",
    benchmark:
        f"{ROOT}/benchmarks/dataset/{{dataset}}/{{lang}}/{{split}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000, PER_MB),
        runtime=growing(30, MINUTES_PER_MB),
    params:
        inputs=raw_as_options,
        settings=lambda wildcards: dumped(EXPERIMENT.datasets[wildcards.dataset], exclude={"languages", "files"}),
        origin=lambda wildcards: raw_origin(**dataset_raw(wildcards)),
        labels=dataset_labels,
        spoken=dataset_spoken,
        lang="{lang}",
        split="{split}",
        code=code_of("deftx.data.datasets", "deftx.data.synthetic"),
    message:
        "{wildcards.dataset}: {wildcards.split} split in {wildcards.lang}"
    shell:
        "deftx dataset {params.lang} {params.split} --settings {params.settings} --labels {params.labels}"
        " {params.spoken} {params.inputs} --out {output.csv} 2> {log}"
