rule overlap:
    input:
        unpack(overlapping),
    output:
        f"{REPORT}/tables/overlap-{{selection}}.csv",
    log:
        f"{REPORT}/logs/overlap/{{selection}}.log",
    benchmark:
        f"{REPORT}/benchmarks/overlap/{{selection}}.jsonl"
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
        scores=f"{REPORT}/tables/scores.csv",
        seeds=f"{REPORT}/tables/seeds.csv",
        comparisons=f"{REPORT}/tables/comparisons.csv",
        published=[f"{REPORT}/tables/published.csv", *([f"{REPORT}/tables/published.md"] if PUBLISHED else [])],
        gains=f"{REPORT}/tables/gains.csv",
        training=f"{REPORT}/tables/training.csv",
        tables=expand(
            f"{REPORT}/tables/{{task}}.{{form}}",
            task=EXPERIMENT.tasks,
            form=["md", "tex"],
        ),
    log:
        f"{REPORT}/logs/tables.log",
    benchmark:
        f"{REPORT}/benchmarks/tables.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        results=lambda wildcards, input: str(Path(input.predictions[0]).parents[4]),
        plan=as_document(plan()),
        out=subpath(output.scores, parent=True),
        code=code_of("deftx.tables"),
    message:
        "tables"
    shell:
        "deftx tables {params.results} --plan {params.plan} --out {params.out} 2> {log}"


rule costs:
    input:
        scores=rules.tables.output.scores,
        records=[f"{ROOT}/{vector}.json" for vector in trained()],
    output:
        costs=f"{REPORT}/tables/costs.csv",
        table=f"{REPORT}/tables/costs.md",
    log:
        f"{REPORT}/logs/costs.log",
    benchmark:
        f"{REPORT}/benchmarks/costs.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        plan=as_document(costs_plan()),
        results=lambda wildcards: ROOT,
        out=subpath(output.costs, parent=True),
        code=code_of("deftx.costs"),
    message:
        "costs"
    # Benchmarks and vectors are read where they are, but are no inputs: times never make a job run again.
    shell:
        "deftx costs {params.results} --plan {params.plan} --scores {input.scores} --out {params.out} 2> {log}"


rule figures:
    input:
        scores=rules.tables.output.scores,
        gains=rules.tables.output.gains,
        published=rules.tables.output.published,
        reports=list(mask_reports().values()),
        overlaps=expand(f"{REPORT}/tables/overlap-{{selection}}.csv", selection=WITH_LANGUAGES),
    output:
        expand(
            f"{REPORT}/figures/{{figure}}.{{form}}",
            figure=[
                "scores",
                *(["published"] if PUBLISHED else []),
                *(["gains"] if GAINS else []),
                *(["spectra", "density", "overlap"] if WITH_LANGUAGES else []),
            ],
            form=["svg", "pdf", "png"],
        ),
    log:
        f"{REPORT}/logs/figures.log",
    benchmark:
        f"{REPORT}/benchmarks/figures.jsonl"
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
        overlaps=[f"--overlaps {s}={REPORT}/tables/overlap-{s}.csv" for s in WITH_LANGUAGES],
        code=code_of("deftx.figures"),
    message:
        "figures"
    shell:
        "deftx figures {params.tables} {params.reports} {params.overlaps} --out {params.out} 2> {log}"


rule sweeps:
    input:
        rules.tables.output.scores,
    output:
        expand(f"{REPORT}/figures/sweeps.{{form}}", form=["svg", "pdf", "png"]),
    log:
        f"{REPORT}/logs/sweeps.log",
    benchmark:
        f"{REPORT}/benchmarks/sweeps.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        settings=as_json({name: sweep.model_dump(mode="json") for name, sweep in EXPERIMENT.sweeps.items()}),
        out=subpath(output[0], strip_suffix=".svg"),
        code=code_of("deftx.sweeps"),
    message:
        "figures of scores against knobs"
    shell:
        "deftx sweeps {input} --settings {params.settings} --out {params.out} 2> {log}"
