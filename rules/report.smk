rule overlap:
    input:
        unpack(overlapping),
    output:
        overlap=captioned(f"{REPORT}/tables/overlap-{{selection}}.csv", "overlap", "table"),
        check=f"{REPORT}/tables/overlap-{{selection}}.json",
    log:
        f"{REPORT}/logs/overlap/{{selection}}.log",
    benchmark:
        f"{REPORT}/benchmarks/overlap/{{selection}}.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=train_mb,
        runtime=lasting(30),
    params:
        vectors=lambda wildcards, input: [f"{name}={path}" for name, path in input.items()],
        code=code_of("deftx.merging.overlap"),
    message:
        "{wildcards.selection}: overlap of the vectors"
    shell:
        "deftx overlap {params.vectors} --out {output.overlap} 2> {log}"


rule tables:
    input:
        predictions=composed_cells("{root}/predictions/{method}/{task}/{lang}/seed{seed}.csv"),
        signatures=composed_cells("{root}/scores/{method}/{task}/{lang}/seed{seed}.json"),
        records=[f"{ROOT}/{vector}.json" for vector in trained()],
    output:
        scores=captioned(f"{REPORT}/tables/scores.csv", "scores", "table"),
        seeds=captioned(f"{REPORT}/tables/seeds.csv", "seeds", "table"),
        comparisons=captioned(f"{REPORT}/tables/comparisons.csv", "comparisons", "table"),
        published=[
            captioned(f"{REPORT}/tables/published.csv", "published", "table"),
            *([f"{REPORT}/tables/published.md"] if PUBLISHED else []),
        ],
        gains=captioned(f"{REPORT}/tables/gains.csv", "gains", "table"),
        training=captioned(f"{REPORT}/tables/training.csv", "training", "table"),
        tables=expand(
            f"{REPORT}/tables/{{task}}.{{form}}",
            task=EXPERIMENT.tasks,
            form=["md", "tex"],
        ),
        checks=expand(f"{REPORT}/tables/{{table}}.json", table=TABLES),
    log:
        f"{REPORT}/logs/tables.log",
    benchmark:
        f"{REPORT}/benchmarks/tables.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        results=lambda wildcards, input: str(Path(input.predictions[0]).parents[4]),
        plan=as_document(plan()),
        out=subpath(output.scores, parent=True),
        code=code_of("deftx.report.tables.build"),
    message:
        "tables"
    shell:
        "deftx tables {params.results} --plan {params.plan} --out {params.out} 2> {log}"


rule costs:
    input:
        scores=rules.tables.output.scores,
        records=[f"{ROOT}/{vector}.json" for vector in trained()],
    output:
        costs=captioned(f"{REPORT}/tables/costs.csv", "costs", "table"),
        table=f"{REPORT}/tables/costs.md",
        check=f"{REPORT}/tables/costs.json",
    log:
        f"{REPORT}/logs/costs.log",
    benchmark:
        f"{REPORT}/benchmarks/costs.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        plan=as_document(costs_plan()),
        results=lambda wildcards: ROOT,
        out=subpath(output.costs, parent=True),
        code=code_of("deftx.report.tables.costs"),
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
        [captioned(f"{REPORT}/figures/{figure}.svg", figure, "figure") for figure in FIGURES],
        expand(f"{REPORT}/figures/{{figure}}.{{form}}", figure=FIGURES, form=["pdf", "png"]),
    log:
        f"{REPORT}/logs/figures.log",
    benchmark:
        f"{REPORT}/benchmarks/figures.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        tables=subpath(input.scores, parent=True),
        out=subpath(output[0], parent=True),
        reports=[f"--reports {name}={path}" for name, path in mask_reports().items()],
        overlaps=[f"--overlaps {s}={REPORT}/tables/overlap-{s}.csv" for s in WITH_LANGUAGES],
        code=code_of("deftx.report.figures.build"),
    message:
        "figures"
    shell:
        "deftx figures {params.tables} {params.reports} {params.overlaps} --out {params.out} 2> {log}"


rule sweeps:
    input:
        rules.tables.output.scores,
    output:
        captioned(f"{REPORT}/figures/sweeps.svg", "sweeps", "figure"),
        expand(f"{REPORT}/figures/sweeps.{{form}}", form=["pdf", "png"]),
    log:
        f"{REPORT}/logs/sweeps.log",
    benchmark:
        f"{REPORT}/benchmarks/sweeps.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=as_json({name: sweep.model_dump(mode="json") for name, sweep in EXPERIMENT.sweeps.items()}),
        out=subpath(output[0], strip_suffix=".svg"),
        code=code_of("deftx.report.figures.sweeps"),
    message:
        "figures of scores against knobs"
    shell:
        "deftx sweeps {input} --settings {params.settings} --out {params.out} 2> {log}"


rule report:
    input:
        base=f"{ROOT}/base.json",
        scores=rules.tables.output.scores,
        tables=rules.tables.output,
        costs=rules.costs.output,
        figures=rules.sweeps.output if EXPERIMENT.sweeps else rules.figures.output,
        reports=[] if EXPERIMENT.sweeps else list(mask_reports().values()),
        captions=[workflow.source_path(f"../captions/{name}.rst") for name in SUBJECTS],
    output:
        report(
            f"{REPORT}/report.html",
            caption="../captions/page.rst",
            category="00 On one page",
            labels={"result": "page"},
        ),
    log:
        f"{REPORT}/logs/report.log",
    benchmark:
        f"{REPORT}/benchmarks/report.jsonl"
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        tables=subpath(input.scores, parent=True),
        figures=lambda wildcards, input: [f"--figures {path}" for path in input.figures if path.endswith(".svg")],
        captions=lambda wildcards, input: [f"--captions {quote(str(path))}" for path in input.captions],
        reports=[] if EXPERIMENT.sweeps else [f"--reports {name}={path}" for name, path in mask_reports().items()],
        benchmarks=" ".join(f"--benchmarks {root}/benchmarks" for root in dict.fromkeys([ROOT, REPORT])),
        config=lambda wildcards: as_document(EXPERIMENT.model_dump(mode="json", exclude_unset=True)),
        page=fingerprint(sorted(PAGE.iterdir())),
        code=code_of("deftx.report.page.build"),
    message:
        "report"
    # Benchmarks are read where they are, but are no inputs: times never make a job run again. Nothing has the page as
    # its input, and `all` does not ask for it.
    shell:
        "deftx report {params.tables} --config {params.config} {params.figures} {params.captions} {params.reports}"
        " {params.benchmarks} --base {input.base} --out {output} 2> {log}"
