# What the rules of evaluate.smk ask of the experiment.


def test_set(wildcards) -> str:
    task = EXPERIMENT.tasks[wildcards.task]
    return f"{ROOT}/datasets/{task.test}/{wildcards.lang}/{task.split}.csv"
