# Tables, figures and the page that are made of scores.


rule overlap:
    input:
        unpack(lambda wildcards: REPORT_PLAN.overlapping(wildcards.selection)),
    output:
        overlap=captioned(OVERLAP.file, "overlap", "table"),
        check=OVERLAP.record,
    log:
        OVERLAP.log,
    benchmark:
        OVERLAP.benchmark
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
        "deftx overlap {params.vectors:q} --out {output.overlap:q} 2> {log:q}"


rule tables:
    input:
        predictions=[GRAPH.at(cell.path) for cell in GRAPH.cells(kinds.Predictions)],
        signatures=[GRAPH.at(cell.path) for cell in GRAPH.cells(kinds.Scores)],
        records=RECORDS,
    output:
        scores=captioned(table("scores"), "scores", "table"),
        seeds=captioned(table("seeds"), "seeds", "table"),
        comparisons=captioned(table("comparisons"), "comparisons", "table"),
        published=[
            captioned(table("published"), "published", "table"),
            *([table("published", "md")] if REPORT_PLAN.has_published else []),
        ],
        gains=captioned(table("gains"), "gains", "table"),
        training=captioned(table("training"), "training", "table"),
        tables=[table(task, ending) for task in EXPERIMENT.tasks for ending in ("md", "tex")],
        checks=[table(name, "json") for name in TABLES],
    log:
        log_of("tables"),
    benchmark:
        benchmark_of("tables")
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        results=lambda wildcards, input: str(Path(input.predictions[0]).parents[4]),
        plan=as_document(REPORT_PLAN.tables()),
        out=subpath(output.scores, parent=True),
        code=code_of("deftx.report.tables.build"),
    message:
        "tables"
    shell:
        "deftx tables {params.results:q} --plan {params.plan} --out {params.out:q} 2> {log:q}"


rule costs:
    input:
        scores=rules.tables.output.scores,
        records=RECORDS,
    output:
        costs=captioned(table("costs"), "costs", "table"),
        table=table("costs", "md"),
        check=table("costs", "json"),
    log:
        log_of("costs"),
    benchmark:
        benchmark_of("costs")
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        plan=as_document(REPORT_PLAN.costs()),
        results=lambda wildcards: ROOT,
        out=subpath(output.costs, parent=True),
        code=code_of("deftx.report.tables.costs"),
    message:
        "costs"
    # Benchmarks and vectors are read where they are, but are no inputs: times never make a job run again.
    shell:
        "deftx costs {params.results:q} --plan {params.plan} --scores {input.scores:q} --out {params.out:q} 2> {log:q}"


rule figures:
    input:
        scores=rules.tables.output.scores,
        gains=rules.tables.output.gains,
        published=rules.tables.output.published,
        reports=list(MASK_REPORTS.values()),
        overlaps=expand(OVERLAP.file, selection=REPORT_PLAN.selections),
    output:
        [captioned(figure(name), name, "figure") for name in REPORT_PLAN.figures],
        [figure(name, ending) for name in REPORT_PLAN.figures for ending in ("pdf", "png")],
    log:
        log_of("figures"),
    benchmark:
        benchmark_of("figures")
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        tables=subpath(input.scores, parent=True),
        out=subpath(output[0], parent=True),
        reports=REPORTS,
        overlaps=[f"--overlaps {quote(f'{s}={REPORT}/{kinds.Overlap(s).path}')}" for s in REPORT_PLAN.selections],
        code=code_of("deftx.report.figures.build"),
    message:
        "figures"
    shell:
        "deftx figures {params.tables:q} {params.reports} {params.overlaps} --out {params.out:q} 2> {log:q}"


rule sweeps:
    input:
        rules.tables.output.scores,
    output:
        captioned(figure("sweeps"), "sweeps", "figure"),
        [figure("sweeps", ending) for ending in ("pdf", "png")],
    log:
        log_of("sweeps"),
    benchmark:
        benchmark_of("sweeps")
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=quote(as_json({name: sweep.model_dump(mode="json") for name, sweep in EXPERIMENT.sweeps.items()})),
        out=subpath(output[0], strip_suffix=".svg"),
        code=code_of("deftx.report.figures.sweeps"),
    message:
        "figures of scores against knobs"
    shell:
        "deftx sweeps {input:q} --settings {params.settings} --out {params.out:q} 2> {log:q}"


rule report:
    input:
        base=BASE_STEP.file,
        scores=rules.tables.output.scores,
        tables=rules.tables.output,
        costs=rules.costs.output,
        figures=rules.sweeps.output if EXPERIMENT.sweeps else rules.figures.output,
        reports=[] if EXPERIMENT.sweeps else list(MASK_REPORTS.values()),
        captions=[workflow.source_path(f"../captions/{name}.rst") for name in SECTIONS],
    output:
        report(
            f"{REPORT}/{kinds.Page().path}",
            caption="../captions/page.rst",
            category="00 On one page",
            labels={"result": "page"},
        ),
    log:
        log_of("report"),
    benchmark:
        benchmark_of("report")
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        tables=subpath(input.scores, parent=True),
        figures=lambda wildcards, input: [f"--figures {quote(path)}" for path in input.figures if path.endswith(".svg")],
        captions=lambda wildcards, input: [f"--captions {quote(str(path))}" for path in input.captions],
        reports=[] if EXPERIMENT.sweeps else REPORTS,
        benchmarks=" ".join(
            f"--benchmarks {quote(f'{root}/{kinds.BENCHMARKS}')}" for root in dict.fromkeys([ROOT, REPORT])
        ),
        config=lambda wildcards: as_document(EXPERIMENT.model_dump(mode="json", exclude_unset=True)),
        page=fingerprint(sorted(PAGE.iterdir())),
        code=code_of("deftx.report.page.build"),
    message:
        "report"
    # Benchmarks are read where they are, but are no inputs: times never make a job run again. Nothing has the page as
    # its input, and `all` does not ask for it.
    shell:
        "deftx report {params.tables:q} --config {params.config} {params.figures} {params.captions} {params.reports}"
        " {params.benchmarks} --base {input.base:q} --out {output:q} 2> {log:q}"
