BASE = EXPERIMENT.base
KNOWN = BASE.pretrain.languages if BASE.pretrain else ()


def base_files() -> list[str]:
    """The files of a local base model: another model there means another base."""
    place = Path(os.environ.get("DEFTX_BASE") or BASE.model or "")
    names = ("config.json", "tokenizer.json", "model.safetensors")
    return [str(place / name) for name in names if (place / name).is_file()] if not BASE.pretrain else []


rule base:
    message:
        "base model: pretrain a tiny one" if BASE.pretrain else "base model: check and describe it"
    input:
        model=base_files(),
        train=expand(f"{ROOT}/corpora/{{lang}}/train.txt.gz", lang=KNOWN),
        valid=expand(f"{ROOT}/corpora/{{lang}}/valid.txt.gz", lang=KNOWN),
    output:
        description=f"{ROOT}/base.json",
        model=[directory(f"{ROOT}/base")] if BASE.pretrain else [],
    params:
        settings=dumped(BASE),
        family=family(),
        train=lambda wildcards, input: [f"--train {path}" for path in input.train],
        valid=lambda wildcards, input: [f"--valid {path}" for path in input.valid],
        code=code_of("deftx.base", *(["deftx.pretraining", "deftx.testbed"] if BASE.pretrain else [])),
    log:
        f"{ROOT}/logs/base.log",
    benchmark:
        f"{ROOT}/benchmarks/base.jsonl"
    threads: workflow.cores or 1
    resources:
        mem_mb=TRAIN_MB,
        runtime="60m",
    shell:
        "deftx base --settings {params.settings} {params.family} {params.train} {params.valid}"
        " --out {output.description} 2> {log}"
