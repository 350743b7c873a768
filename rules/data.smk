# Raw files, corpora of languages, labelled datasets.

from deftx.config.data import File

RAW = Step(GRAPH, kinds.pattern(kinds.RawFile))
CORPUS = Step(GRAPH, kinds.pattern(kinds.Corpus))
DATASET = Step(GRAPH, kinds.pattern(kinds.Dataset))
VIEW = Step(GRAPH, kinds.pattern(kinds.View))


rule fetch:
    output:
        RAW.file,
    log:
        RAW.log,
    benchmark:
        RAW.benchmark
    cache: CACHE
    # Where Snakemake runs there is a network; compute nodes often have none.
    localrule: True
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(60),
    params:
        file=lambda wildcards: as_json(
            GRAPH.pinned[wildcards.pin].model_dump(mode="json", include=set(File.model_fields))
        ),
        place=lambda wildcards: Place(fetching.place(GRAPH.pinned[wildcards.pin])),
        code=code_of("deftx.data.fetch"),
    message:
        "fetch {params.place}"
    shell:
        "deftx fetch --file {params.file:q} --out {output:q} 2> {log:q}"


rule corpus:
    input:
        unpack(CORPUS.needs),
    output:
        train=CORPUS.file,
        valid=f"{ROOT}/{CORPUS.pattern.valid}",
        stats=CORPUS.record,
    log:
        CORPUS.log,
    benchmark:
        CORPUS.benchmark
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000, PER_MB),
        runtime=growing(60, MINUTES_PER_MB),
    params:
        inputs=raw_as_options,
        spec=CORPUS.spec,
        family=JOBS.family_of_text,
        origin=lambda wildcards: raw_origin(raw=CORPUS.needs(wildcards)["raw"]),
        lang="{lang}",
        code=JOBS.code_of_text,
    message:
        "{wildcards.lang}: clean the corpus"
    shell:
        "deftx corpus {params.lang:q} --settings {params.spec:q} {params.family} {params.inputs}"
        ' --out "$(dirname {output.stats:q})" 2> {log:q}'


rule dataset:
    input:
        unpack(DATASET.needs),
    output:
        csv=DATASET.file,
        stats=DATASET.record,
    log:
        DATASET.log,
    benchmark:
        DATASET.benchmark
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000, PER_MB),
        runtime=growing(30, MINUTES_PER_MB),
    params:
        inputs=raw_as_options,
        spec=DATASET.spec,
        origin=lambda wildcards: raw_origin(**JOBS.raw_of_rows(wildcards)),
        labels=JOBS.labels_of_rows,
        spoken=JOBS.family_of_rows,
        lang="{lang}",
        split="{split}",
        code=JOBS.code_of_rows,
    message:
        "{wildcards.dataset}: {wildcards.split} split in {wildcards.lang}"
    shell:
        "deftx dataset {params.lang:q} {params.split:q} --settings {params.spec:q} --labels {params.labels:q}"
        " {params.spoken} {params.inputs} --out {output.csv:q} 2> {log:q}"


# Rows of a dataset, changed by transforms.
rule view:
    input:
        unpack(VIEW.needs),
    output:
        csv=VIEW.file,
        stats=VIEW.record,
    log:
        VIEW.log,
    benchmark:
        VIEW.benchmark
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000, PER_MB),
        runtime=growing(30, MINUTES_PER_MB),
    params:
        spec=VIEW.spec,
        code=JOBS.code_of_view,
    message:
        "{wildcards.view}: {wildcards.split} split in {wildcards.lang}"
    shell:
        "deftx view {input.rows:q} --settings {params.spec:q} --out {output.csv:q} 2> {log:q}"
