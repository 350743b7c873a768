# What the rules of compose.smk ask of the experiment: the modules of a model, and how they are added.


def language_of(method, task, lang):
    """The language whose module a method adds where `lang` is scored; none where there is none, or no text for it."""
    added = lang if method.swap else task.source
    return added if method.language != "none" and EXPERIMENT.has_text(added) else None


def vectors_of(wildcards) -> dict[str, str]:
    """The task module and, where the method has one, the language module of a composed model."""
    method, task = (
        EXPERIMENT.methods[wildcards.method],
        EXPERIMENT.tasks[wildcards.task],
    )
    start = start_of(method, task, wildcards.lang)
    where = {"task": f"{wildcards.task}/{start}/seed{wildcards.seed}"}
    added = language_of(method, task, wildcards.lang)
    if added:
        where["language"] = f"{added}/seed{EXPERIMENT.seeds.language_seed(int(wildcards.seed))}"
    forms = {"task": method.task, "language": method.language}
    named = {kind: module_of(kind, forms[kind], method.selection, where[kind]) for kind in where}
    return {kind: f"{ROOT}/{name}.safetensors" for kind, name in named.items()}


def weighted(wildcards, input) -> list[str]:
    """The modules with their weights, in the order they are added."""
    weights = EXPERIMENT.methods[wildcards.method].weights
    terms = [f"{input.task}:{weights.task}"]
    return [*terms, f"{input.language}:{weights.language}"] if "language" in input.keys() else terms


def lacking(method, task, lang) -> bool:
    """Whether a method that adds language vectors has none where `lang` is scored."""
    return method.language != "none" and language_of(method, task, lang) is None


def composition_options(wildcards) -> str:
    """What a recipe says beside its vectors, where it says anything."""
    method, task = (
        EXPERIMENT.methods[wildcards.method],
        EXPERIMENT.tasks[wildcards.task],
    )
    resolved = f"--conflicts {method.conflicts}" if method.conflicts != "sum" else ""
    return f"{resolved} --note 'no language vector'" if lacking(method, task, wildcards.lang) else resolved
