rule fetch:
    message:
        "fetch {wildcards.name}"
    output:
        f"{ROOT}/raw/{{sha256}}/{{name}}",
    params:
        file=lambda wildcards: dumped(PINNED[wildcards.sha256]),
        code=code_of("deftx.sources"),
    log:
        f"{ROOT}/logs/fetch/{{sha256}}/{{name}}.log",
    benchmark:
        f"{ROOT}/benchmarks/fetch/{{sha256}}/{{name}}.jsonl"
    threads: 1
    resources:
        mem_mb=500,
        runtime="60m",
    retries: 2
    shell:
        "deftx fetch --file {params.file} --out {output} 2> {log}"


def corpus_raw(wildcards) -> list[str]:
    language = EXPERIMENT.languages[wildcards.lang]
    return [raw(file) for file in language.corpus.files] if language.corpus else []


def corpus_settings(wildcards) -> str:
    """A language's text source and cleaning; an artificial language brings its family."""
    language = EXPERIMENT.languages[wildcards.lang]
    if language.testbed:
        return f"--settings {dumped(language.testbed)} {family()}"
    return f"--settings {dumped(language.corpus)}"


def evaluation_sentences(wildcards) -> list[str]:
    """Test sets (all their splits) in this language: their sentences must not be trained on."""
    tests = sorted({task.test for task in EXPERIMENT.tasks.values()})
    return [file for name in tests for file in splits_of(name, wildcards.lang)]


rule corpus:
    message:
        "{wildcards.lang}: clean the corpus"
    input:
        raw=corpus_raw,
        evaluation=evaluation_sentences,
    output:
        train=f"{ROOT}/corpora/{{lang}}/train.txt.gz",
        valid=f"{ROOT}/corpora/{{lang}}/valid.txt.gz",
        stats=f"{ROOT}/corpora/{{lang}}/stats.json",
    params:
        settings=corpus_settings,
        raw=lambda wildcards, input: [f"--raw {quote(path)}" for path in input.raw],
        evaluation=lambda wildcards, input: [f"--evaluation {path}" for path in input.evaluation],
        code=code_of("deftx.corpora", "deftx.testbed"),
    log:
        f"{ROOT}/logs/corpus/{{lang}}.log",
    benchmark:
        f"{ROOT}/benchmarks/corpus/{{lang}}.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    shell:
        "deftx corpus {wildcards.lang} {params.settings} {params.raw} {params.evaluation}"
        " --out $(dirname {output.stats}) 2> {log}"
