rule overlap:
    input:
        unpack(overlapping),
    output:
        f"{ROOT}/tables/overlap-{{selection}}.csv",
    log:
        f"{ROOT}/logs/overlap/{{selection}}.log",
    benchmark:
        f"{ROOT}/benchmarks/overlap/{{selection}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=TRAIN_MB,
        runtime="30m",
    params:
        vectors=lambda wildcards, input: [f"{name}={path}" for name, path in input.items()],
        code=code_of("deftx.overlap"),
    message:
        "{wildcards.selection}: overlap of the vectors"
    shell:
        "deftx overlap {params.vectors} --out {output} 2> {log}"


rule tables:
    input:
        predictions=composed_cells("{root}/predictions/{method}/{task}/{lang}/seed{seed}.csv"),
        signatures=composed_cells("{root}/scores/{method}/{task}/{lang}/seed{seed}.json"),
        records=[f"{ROOT}/{vector}.json" for vector in trained()],
    output:
        scores=f"{ROOT}/tables/scores.csv",
        seeds=f"{ROOT}/tables/seeds.csv",
        comparisons=f"{ROOT}/tables/comparisons.csv",
        published=[f"{ROOT}/tables/published.csv", *([f"{ROOT}/tables/published.md"] if PUBLISHED else [])],
        gains=f"{ROOT}/tables/gains.csv",
        training=f"{ROOT}/tables/training.csv",
        tables=expand(
            f"{ROOT}/tables/{{task}}.{{form}}",
            task=EXPERIMENT.tasks,
            form=["md", "tex"],
        ),
    log:
        f"{ROOT}/logs/tables.log",
    benchmark:
        f"{ROOT}/benchmarks/tables.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        plan=as_json(plan()),
        out=subpath(output.scores, parent=True),
        code=code_of("deftx.tables"),
    message:
        "tables"
    shell:
        "deftx tables $(dirname {params.out}) --plan {params.plan} --out {params.out} 2> {log}"


rule costs:
    input:
        records=[f"{ROOT}/{vector}.json" for vector in trained()],
    output:
        costs=f"{ROOT}/tables/costs.csv",
        table=f"{ROOT}/tables/costs.md",
    log:
        f"{ROOT}/logs/costs.log",
    benchmark:
        f"{ROOT}/benchmarks/costs.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        plan=as_json(costs_plan()),
        out=subpath(output.costs, parent=True),
        code=code_of("deftx.costs"),
    message:
        "costs"
    # Benchmarks and vectors are read where they are, but are no inputs: times never make a job run again.
    shell:
        "deftx costs $(dirname {params.out}) --plan {params.plan} --out {params.out} 2> {log}"


rule figures:
    input:
        scores=rules.tables.output.scores,
        gains=rules.tables.output.gains,
        published=rules.tables.output.published,
        reports=list(mask_reports().values()),
        overlaps=expand(f"{ROOT}/tables/overlap-{{selection}}.csv", selection=WITH_LANGUAGES),
    output:
        expand(
            f"{ROOT}/figures/{{figure}}.{{form}}",
            figure=[
                "scores",
                *(["published"] if PUBLISHED else []),
                *(["gains", "spectra", "density", "overlap"] if WITH_LANGUAGES else []),
            ],
            form=["svg", "pdf", "png"],
        ),
    log:
        f"{ROOT}/logs/figures.log",
    benchmark:
        f"{ROOT}/benchmarks/figures.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        tables=subpath(input.scores, parent=True),
        out=subpath(output[0], parent=True),
        reports=[f"--reports {name}={path}" for name, path in mask_reports().items()],
        overlaps=[f"--overlaps {s}={ROOT}/tables/overlap-{s}.csv" for s in WITH_LANGUAGES],
        code=code_of("deftx.figures"),
    message:
        "figures"
    shell:
        "deftx figures {params.tables} {params.reports} {params.overlaps} --out {params.out} 2> {log}"
