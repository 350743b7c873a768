# DeFT-X: from per-language corpora to tables and figures. What each result is called, under results/{experiment}/:
#
#   corpora/{lang}/train.txt.gz, valid.txt.gz           clean unlabelled text
#   datasets/{dataset}/{lang}/{split}.csv               labelled data: id, text[, pair], label
#   base.json                                           the base model's identity (base/: the model, where trained here)
#   deltas/language/{lang}/seed{n}.safetensors          full fine-tuning on text, minus the base
#   deltas/task/{task}/{start}/seed{n}.safetensors      full fine-tuning on a task, minus its start
#   gradients/…                                         as deltas: summed gradients, for selections by them
#   masks/…, sfts/…                                     the same names below {kind}/{selection}: masks, sparse vectors
#   pruned/…                                            as sfts: the denoised delta at the mask, not trained again
#   adapters/language/{lang}/seed{n}.safetensors        language adapter
#   adapters/task/{task}/{start}/seed{n}.safetensors    task adapter, trained on that of a language
#   loras/language/{lang}/seed{n}.safetensors           LoRA of a language
#   loras/task/{task}/{start}/seed{n}.safetensors       LoRA of a task
#   composed/{method}/{task}/{lang}/seed{n}.json        recipe of base + task module + language module
#   scores/…, predictions/…                             the same names: measures (json), every prediction (csv)
#   tables/, figures/                                   what goes into a paper; always under results/{experiment}/, also
#                                                       where the rest is shared with another experiment (`root`)
#   report.html                                         the same on one page, with times, configuration, versions
#
# {selection}  how a mask is chosen, by its name in the configuration
# {start}      where a task's training starts: `base`; {selection}-{lang}, the base plus that language's vector;
#              mlm-{lang}, the base plus that language's dense delta; lora-{lang}, the base plus that language's LoRA;
#              or {lang}, on that language's adapter
# {n}          the seed; a task's vectors pair with the language seed at the same position
#
# Other experiments: snakemake --cores all --configfile config/nusax-cpu.yaml

from snakemake.utils import min_version

min_version("9.20")


report: "captions/workflow.rst"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/cache.smk"
include: "rules/data.smk"
include: "rules/base.smk"
include: "rules/train.smk"
include: "rules/masks.smk"
include: "rules/evaluate.smk"
include: "rules/captions.smk"
include: "rules/report.smk"


forget_benchmarks()


# In a run; plans and summaries can be had of results that belong to somebody else.
onstart:
    check_folders(ROOT, REPORT)


rule all:
    # As a module, it leaves the target to the workflow that uses it.
    default_target: workflow.modifier.is_main_snakefile()
    input:
        rules.tables.output,
        rules.costs.output,
        rules.sweeps.output if EXPERIMENT.sweeps else rules.figures.output,
    localrule: True
    message:
        f"{EXPERIMENT.name} is complete: {REPORT}/tables and {REPORT}/figures"
