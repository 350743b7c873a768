rule fetch:
    output:
        f"{ROOT}/raw/{{pin}}/{{name}}",
    log:
        f"{ROOT}/logs/fetch/{{pin}}/{{name}}.log",
    benchmark:
        f"{ROOT}/benchmarks/fetch/{{pin}}/{{name}}.jsonl"
    cache: CACHE
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="60m",
    params:
        # For the message: a path makes nothing run again, and without a name it is no part of the cache's hash.
        lambda wildcards: Path(fetching.place(PINNED[wildcards.pin])),
        file=lambda wildcards: dumped(PINNED[wildcards.pin], include=set(File.model_fields)),
        code=code_of("deftx.fetching"),
    message:
        "fetch {params[0]}"
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
        mem_mb=corpus_mb,
        runtime="60m",
    params:
        settings=corpus_settings,
        raw=lambda wildcards, input: [f"--raw {quote(path)}" for path in input.raw],
        evaluation=lambda wildcards, input: [f"--evaluation {path}" for path in input.evaluation],
        lang="{lang}",
        code=code_of("deftx.corpora", "deftx.testbed"),
    message:
        "{wildcards.lang}: clean the corpus"
    shell:
        "deftx corpus {params.lang} {params.settings} {params.raw} {params.evaluation}"
        " --out $(dirname {output.stats}) 2> {log}"
