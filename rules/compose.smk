def vectors_of(wildcards) -> dict[str, str]:
    """The task vector and, where the method has one, the language vector of a composed model."""
    method, task = EXPERIMENT.methods[wildcards.method], EXPERIMENT.tasks[wildcards.task]
    where = f"{wildcards.task}/{start_of(method, task)}/seed{wildcards.seed}.safetensors"
    kind = "deltas/task" if method.task == "dense" else f"sfts/task/{method.selection}"
    vectors = {"task": f"{ROOT}/{kind}/{where}"}
    if method.language == "sft":
        seed = EXPERIMENT.seeds.language_seed(int(wildcards.seed))
        vectors["language"] = f"{ROOT}/sfts/language/{method.selection}/{wildcards.lang}/seed{seed}.safetensors"
    return vectors


def weighted(wildcards, input) -> list[str]:
    """The vectors with their weights, in the order they are added."""
    weights = EXPERIMENT.methods[wildcards.method].weights
    terms = [f"{input.task}:{weights.task}"]
    return [*terms, f"{input.language}:{weights.language}"] if "language" in input.keys() else terms


rule compose:
    message:
        "{wildcards.method}: compose {wildcards.task} with {wildcards.lang}, seed {wildcards.seed}"
    input:
        unpack(vectors_of),
        base=f"{ROOT}/base.json",
    output:
        f"{ROOT}/composed/{{method}}/{{task}}/{{lang}}/seed{{seed}}.json",
    params:
        vectors=weighted,
        code=code_of("deftx.composition"),
    log:
        f"{ROOT}/logs/compose/{{method}}/{{task}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/compose/{{method}}/{{task}}/{{lang}}/seed{{seed}}.jsonl"
    threads: 1
    resources:
        mem_mb=TRAIN_MB,
        runtime="10m",
    shell:
        "deftx compose {params.vectors} --base {input.base} --out {output} 2> {log}"
