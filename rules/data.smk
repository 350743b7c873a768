# Raw files, corpora of languages, labelled datasets.

from deftx.config.data import File
from deftx.data import fetch as fetching

RAW = Step(kinds.pattern(kinds.RawFile))
CORPUS = Step(kinds.pattern(kinds.Corpus))
DATASET = Step(kinds.pattern(kinds.Dataset))

if GRAPH.pinned and workflow.is_main_process:  # jobs elsewhere read these rules, too, but fetch nothing
    told(fetching.check_mirror, Path(os.environ["DEFTX_MIRROR"]) if "DEFTX_MIRROR" in os.environ else None)


def raw_of_dataset(wildcards) -> dict:
    """The raw files that rows of a split come from or are compared with."""
    return {name: paths for name, paths in DATASET.needs(wildcards).items() if name in ("raw", "sibling")}


def family_option() -> str:
    """The family of artificial languages as an option, or nothing."""
    return f"--family {quote(as_json(EXPERIMENT.testbed.model_dump(mode='json')))}" if EXPERIMENT.testbed else ""


def artificial(wildcards) -> str:
    """What the corpus of an artificial language is made with."""
    return family_option() if EXPERIMENT.languages[wildcards.lang].testbed else ""


def artificial_rows(wildcards) -> str:
    """What the rows of an artificial language are made with."""
    if EXPERIMENT.datasets[wildcards.dataset].layout != "testbed":
        return ""
    spoken = EXPERIMENT.languages[wildcards.lang].testbed.model_dump(mode="json")
    return f"{family_option()} --spoken {quote(as_json(spoken))}"


def code_of_corpus(wildcards) -> str:
    """The code that cleans text, and that of artificial languages where the language is one."""
    languages = ["deftx.data.synthetic"] if EXPERIMENT.languages[wildcards.lang].testbed else []
    return code_of("deftx.data.corpora", *languages)


def code_of_dataset(wildcards) -> str:
    """The same of labelled rows."""
    languages = ["deftx.data.synthetic"] if EXPERIMENT.datasets[wildcards.dataset].layout == "testbed" else []
    return code_of("deftx.data.datasets", "deftx.data.layouts", *languages)


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
        "deftx fetch --file {params.file:q} --out {output} 2> {log}"


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
        family=artificial,
        origin=lambda wildcards: raw_origin(raw=CORPUS.needs(wildcards)["raw"]),
        lang="{lang}",
        code=code_of_corpus,
    message:
        "{wildcards.lang}: clean the corpus"
    shell:
        "deftx corpus {params.lang} --settings {params.spec:q} {params.family} {params.inputs}"
        " --out $(dirname {output.stats}) 2> {log}"


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
        origin=lambda wildcards: raw_origin(**raw_of_dataset(wildcards)),
        labels=lambda wildcards: as_json(specs.labels_of_dataset(GRAPH, wildcards.dataset)),
        spoken=artificial_rows,
        lang="{lang}",
        split="{split}",
        code=code_of_dataset,
    message:
        "{wildcards.dataset}: {wildcards.split} split in {wildcards.lang}"
    shell:
        "deftx dataset {params.lang} {params.split} --settings {params.spec:q} --labels {params.labels:q}"
        " {params.spoken} {params.inputs} --out {output.csv} 2> {log}"
