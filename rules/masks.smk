# Masks: chosen from deltas or accumulated gradients, or drawn at random; and deltas pruned to them.

import re

from deftx.masks.registry import MASK_SCORES

MASK = {role: Step(GRAPH, kinds.mask_pattern(role)) for role in ("language", "task")}
PRUNED = {role: Step(GRAPH, kinds.module_pattern("pruned", role)) for role in ("language", "task")}

# Selections whose masks are drawn at random, as a pattern of their names; where there are none it matches nothing.
RANDOM = "|".join(re.escape(n) for n, s in EXPERIMENT.selections.items() if MASK_SCORES[s.select].drawn) or "(?!)"


rule mask_language:
    input:
        unpack(MASK["language"].needs),
    output:
        mask=MASK["language"].file,
        report=MASK["language"].record,
    log:
        MASK["language"].log,
    benchmark:
        MASK["language"].benchmark
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(60),
    params:
        spec=MASK["language"].spec,
        k=JOBS.budget(MASK["language"]),
        score=JOBS.score,
        code=JOBS.code_of_score,
    message:
        "{wildcards.lang}: mask by {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx mask {input.ranked:q} --select {params.score} --selection {params.spec:q} --k {params.k}"
        " --out {output.mask:q} --report {output.report:q} 2> {log:q}"


use rule mask_language as mask_task with:
    input:
        unpack(MASK["task"].needs),
    output:
        mask=MASK["task"].file,
        report=MASK["task"].record,
    log:
        MASK["task"].log,
    benchmark:
        MASK["task"].benchmark
    params:
        spec=MASK["task"].spec,
        k=JOBS.budget(MASK["task"]),
        score=JOBS.score,
        code=JOBS.code_of_score,
    message:
        "{wildcards.task} from {wildcards.start}: mask by {wildcards.selection}, seed {wildcards.seed}"


# Where the selection ranks nothing: entries drawn at random, as many as others choose.
ruleorder: random_mask_language > mask_language
ruleorder: random_mask_task > mask_task


rule random_mask_language:
    input:
        delta=lambda wildcards: MASK["language"].needs(wildcards)["ranked"],
    output:
        mask=MASK["language"].file,
        report=MASK["language"].record,
    log:
        MASK["language"].log,
    benchmark:
        MASK["language"].benchmark
    wildcard_constraints:
        selection=RANDOM,
    conda:
        "../envs/deftx.yaml"
    threads: 1
    resources:
        mem_mb=train_mb,
        runtime=lasting(60),
    params:
        k=JOBS.budget(MASK["language"]),
        code=JOBS.code_of_score,
    message:
        "{wildcards.lang}: mask at random, seed {wildcards.seed}"
    shell:
        "deftx random-mask {input.delta:q} --k {params.k} --out {output.mask:q} --report {output.report:q} 2> {log:q}"


use rule random_mask_language as random_mask_task with:
    input:
        delta=lambda wildcards: MASK["task"].needs(wildcards)["ranked"],
    output:
        mask=MASK["task"].file,
        report=MASK["task"].record,
    log:
        MASK["task"].log,
    benchmark:
        MASK["task"].benchmark
    params:
        k=JOBS.budget(MASK["task"]),
        code=JOBS.code_of_score,
    message:
        "{wildcards.task} from {wildcards.start}: mask at random, seed {wildcards.seed}"


rule prune_language:
    input:
        unpack(PRUNED["language"].needs),
    output:
        PRUNED["language"].file,
    log:
        PRUNED["language"].log,
    benchmark:
        PRUNED["language"].benchmark
    conda:
        "../envs/deftx.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=train_mb,
        gpu=GPU,
        runtime=lasting(60),
    params:
        code=JOBS.code_of_pruning,
    message:
        "{wildcards.lang}: delta pruned to its mask, {wildcards.selection}, seed {wildcards.seed}"
    shell:
        "deftx prune {input.delta:q} --mask {input.mask:q} --out {output:q} 2> {log:q}"


use rule prune_language as prune_task with:
    input:
        unpack(PRUNED["task"].needs),
    output:
        PRUNED["task"].file,
    log:
        PRUNED["task"].log,
    benchmark:
        PRUNED["task"].benchmark
    message:
        "{wildcards.task} from {wildcards.start}: delta pruned to its mask, {wildcards.selection}, seed {wildcards.seed}"
