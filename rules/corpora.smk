rule fetch:
    output:
        f"{ROOT}/raw/{{pin}}/{{name}}",
    log:
        f"{ROOT}/logs/fetch/{{pin}}/{{name}}.log",
    benchmark:
        f"{ROOT}/benchmarks/fetch/{{pin}}/{{name}}.jsonl"
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
        file=lambda wildcards: dumped(PINNED[wildcards.pin], include=set(File.model_fields)),
        place=lambda wildcards: Place(fetching.place(PINNED[wildcards.pin])),
        code=code_of("deftx.data.fetch"),
    message:
        "fetch {params.place}"
    shell:
        "deftx fetch --file {params.file} --out {output} 2> {log}"


rule corpus:
    input:
        raw=corpus_raw,
        evaluation=evaluation_sentences,
    output:
        train=f"{ROOT}/corpora/{{lang}}/train.txt.gz",
        valid=f"{ROOT}/corpora/{{lang}}/valid.txt.gz",
        stats=f"{ROOT}/corpora/{{lang}}/stats.json",
    log:
        f"{ROOT}/logs/corpus/{{lang}}.log",
    benchmark:
        f"{ROOT}/benchmarks/corpus/{{lang}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000, PER_MB),
        runtime=growing(60, MINUTES_PER_MB),
    params:
        inputs=raw_as_options,
        settings=corpus_settings,
        origin=lambda wildcards: raw_origin(raw=corpus_raw(wildcards)),
        lang="{lang}",
        code=code_of("deftx.data.corpora", "deftx.data.synthetic"),
    message:
        "{wildcards.lang}: clean the corpus"
    shell:
        "deftx corpus {params.lang} {params.settings} {params.inputs}" " --out $(dirname {output.stats}) 2> {log}"
