# What `costs` in report.smk asks of the experiment: the modules of each method, and what these were made from.

# What makes each kind of file, by its folder: the name of the rule's benchmarks.
STAGES = {
    "deltas": "full",
    "gradients": "gradients",
    "masks": "mask",
    "sfts": "sparse",
    "pruned": "prune",
    "adapters": "adapter",
    "loras": "lora",
}


def made_from(name: str) -> list[str]:
    """What a module or mask was made from, beside data: its mask, what that ranks, its task's start."""
    family, kind, *rest = Path(name).parts
    needs = []
    if family in ("sfts", "pruned"):
        needs.append(str(Path("masks", kind, *rest)))
    if family == "masks":
        selection, *rest = rest
        needs.append(str(Path(ranked_by(selection), kind, *rest)))
    if kind == "task":
        task, start, seed = rest[-3:]
        wildcards = SimpleNamespace(task=task, start=start, seed=seed.removeprefix("seed"))
        needs += map(below_root, module_at_start(wildcards).values())
    return needs


def below_root(file: str) -> str:
    """A vector's name: its place below the results, without ending."""
    return str(Path(file).relative_to(ROOT).with_suffix(""))


def costs_plan() -> dict:
    """The modules each method has for one language, those of the first seed, and what each was made from."""
    modules, made = {}, {}
    for name, task in EXPERIMENT.tasks.items():
        for method in EXPERIMENT.methods:
            for lang in task.targets:
                wildcards = SimpleNamespace(method=method, task=name, lang=lang, seed=SEED)
                found = [below_root(file) for file in vectors_of(wildcards).values()]
                modules.setdefault(name, {}).setdefault(method, {})[lang] = found
    waiting = [m for methods in modules.values() for langs in methods.values() for some in langs.values() for m in some]
    while waiting:
        name = waiting.pop()
        if name not in made:
            made[name] = made_from(name)
            waiting += made[name]
    return {
        "methods": {name: method.title or name for name, method in EXPERIMENT.methods.items()},
        "languages": {code: language.name or code for code, language in EXPERIMENT.languages.items()},
        "modules": modules,
        "made": {name: needs for name, needs in sorted(made.items()) if needs},
        "stages": STAGES,
    }
