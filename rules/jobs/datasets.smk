# What the rules of datasets.smk ask of the experiment: raw files, and what is dropped from them.


def dataset_raw(wildcards) -> dict[str, list[str]]:
    """The raw files of a split; those of the others, too, where the nearest row of any split is dropped."""
    dataset = EXPERIMENT.datasets[wildcards.dataset]
    files = files_of(dataset, wildcards.lang)
    if not files:
        return {}
    if wildcards.split not in files:
        raise WorkflowError(f"dataset {wildcards.dataset} has no split {wildcards.split} in {wildcards.lang}")
    own = {"raw": [raw(file) for file in files[wildcards.split]]}
    others = [raw(file) for split in files if split != wildcards.split for file in files[split]]
    compares_splits = dataset.drop_near_copies and dataset.drop_near_copies.rule == "nearest"
    return own | ({"sibling": others} if compares_splits else {})


def dataset_held_out(wildcards) -> dict[str, str]:
    """The validation split, where its rows are dropped from training."""
    if wildcards.split != "train" or not EXPERIMENT.datasets[wildcards.dataset].drop_held_out:
        return {}
    return {"held_out": f"{ROOT}/datasets/{wildcards.dataset}/{wildcards.lang}/valid.csv"}


def dataset_near(wildcards) -> list[str]:
    """The dataset whose near copies are dropped."""
    copies = EXPERIMENT.datasets[wildcards.dataset].drop_near_copies
    files = [file for lang in copies.languages for file in splits_of(copies.dataset, lang)] if copies else []
    return [file for file in files if Path(file).stem in copies.splits]


def dataset_spoken(wildcards) -> str:
    """An artificial language brings its family."""
    if EXPERIMENT.datasets[wildcards.dataset].layout != "testbed":
        return ""
    return f"{family()} --spoken {dumped(EXPERIMENT.languages[wildcards.lang].testbed)}"


def dataset_labels(wildcards) -> str:
    """The labels of the task that uses a dataset, or, if none does, of one whose rows are compared with its rows."""
    used = [(name, task.labels) for task in EXPERIMENT.tasks.values() for name in (task.train, task.test)]
    copies = [(EXPERIMENT.datasets[name].drop_near_copies, labels) for name, labels in used]
    compared = [(copied.dataset, labels) for copied, labels in copies if copied]
    return as_json(list(next(labels for name, labels in used + compared if name == wildcards.dataset)))
