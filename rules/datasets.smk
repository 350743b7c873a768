def dataset_raw(wildcards) -> dict[str, str]:
    files = files_of(EXPERIMENT.datasets[wildcards.dataset], wildcards.lang)
    if files and wildcards.split not in files:
        raise WorkflowError(f"dataset {wildcards.dataset} has no split {wildcards.split} in {wildcards.lang}")
    return {"raw": raw(files[wildcards.split])} if files else {}


def dataset_near(wildcards) -> list[str]:
    """The dataset whose near copies are dropped."""
    copies = EXPERIMENT.datasets[wildcards.dataset].drop_near_copies
    return [file for lang in copies.languages for file in splits_of(copies.dataset, lang)] if copies else []


def dataset_options(wildcards, input) -> str:
    """An artificial language brings its family, any other its raw file."""
    if "raw" in input.keys():
        return f"--raw {quote(str(input.raw))}"
    return f"{family()} --spoken {dumped(EXPERIMENT.languages[wildcards.lang].testbed)}"


def dataset_labels(wildcards) -> str:
    """The labels of the task that uses a dataset."""
    tasks = EXPERIMENT.tasks.values()
    return as_json(list(next(t.labels for t in tasks if wildcards.dataset in (t.train, t.test))))


rule dataset:
    message:
        "{wildcards.dataset}: {wildcards.split} split in {wildcards.lang}"
    input:
        unpack(dataset_raw),
        near=dataset_near,
    output:
        csv=f"{ROOT}/datasets/{{dataset}}/{{lang}}/{{split}}.csv",
        stats=f"{ROOT}/datasets/{{dataset}}/{{lang}}/{{split}}.json",
    params:
        settings=lambda wildcards: dumped(EXPERIMENT.datasets[wildcards.dataset], exclude={"languages", "files"}),
        options=dataset_options,
        labels=dataset_labels,
        near=lambda wildcards, input: [f"--near {path}" for path in input.near],
        code=code_of("deftx.datasets", "deftx.testbed"),
    log:
        f"{ROOT}/logs/dataset/{{dataset}}/{{lang}}/{{split}}.log",
    benchmark:
        f"{ROOT}/benchmarks/dataset/{{dataset}}/{{lang}}/{{split}}.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    shell:
        "deftx dataset {wildcards.lang} {wildcards.split} --settings {params.settings} --labels {params.labels}"
        " {params.options} {params.near} --out {output.csv} 2> {log}"
