rule compose:
    input:
        unpack(vectors_of),
        base=f"{ROOT}/base.json",
    output:
        f"{ROOT}/composed/{{method}}/{{task}}/{{lang}}/seed{{seed}}.json",
    log:
        f"{ROOT}/logs/compose/{{method}}/{{task}}/{{lang}}/seed{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/compose/{{method}}/{{task}}/{{lang}}/seed{{seed}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=train_mb,
        runtime=lasting(5),
    params:
        vectors=weighted,
        options=composition_options,
        code=code_with_modules("deftx.merging.recipe"),
    message:
        "{wildcards.method}: compose {wildcards.task} with {wildcards.lang}, seed {wildcards.seed}"
    shell:
        "deftx compose {params.vectors} {params.options} --base {input.base} --out {output} 2> {log}"
