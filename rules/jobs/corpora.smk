# What the rules of corpora.smk ask of the experiment: raw texts, and how they are cleaned.


def corpus_raw(wildcards) -> list[str]:
    language = EXPERIMENT.languages[wildcards.lang]
    return [raw(file) for file in language.corpus.files] if language.corpus else []


def corpus_settings(wildcards) -> str:
    """A language's text source and cleaning; an artificial language brings its family."""
    language = EXPERIMENT.languages[wildcards.lang]
    if language.testbed:
        return f"--settings {dumped(language.testbed)} {family()}"
    return f"--settings {dumped(language.corpus)}"


def evaluation_sentences(wildcards) -> list[str]:
    """Test sets (all their splits) in this language: their sentences must not be trained on."""
    tests = sorted({task.test for task in EXPERIMENT.tasks.values()})
    return [file for name in tests for file in splits_of(name, wildcards.lang)]
