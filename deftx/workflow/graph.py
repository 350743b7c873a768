"""The artifact graph of an experiment: which results there are, and what each is made from.

Rules, plans, costs, figures, the report and the removal of deltas ask it. It reads no file.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeVar

from deftx.config.data import File
from deftx.config.methods import LanguageTerm, Method
from deftx.config.tasks import Task
from deftx.core.errors import ConfigError
from deftx.data.layouts import files_of
from deftx.experiment.config import Experiment
from deftx.experiment.methods import adapts_source, language_terms, start_type
from deftx.masks.registry import MASK_SCORES
from deftx.modules.registry import MODULE_TYPES
from deftx.workflow.artifacts import (
    Artifact,
    Base,
    Cell,
    Composed,
    Corpus,
    Dataset,
    Mask,
    Module,
    Predictions,
    RawFile,
    View,
    parse,
)

Paths = dict[str, str | list[str]]
"""Files by what they are to a job: `base`, `train`, `mask`, ..."""


C = TypeVar("C", bound=Cell)


class Artifacts:
    """All artifacts of an experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.root = experiment.folder
        self.report = experiment.report_folder
        # Questions that every job asks: languages of each dataset, as sets.
        self._terms = {name: language_terms(method) for name, method in experiment.methods.items()}
        self.held = {name: frozenset(dataset.languages) for name, dataset in experiment.datasets.items()}
        self.held |= {name: self.held[view.dataset] for name, view in experiment.views.items()}

    def at(self, below: str) -> str:
        """Return the path of a result from its place below the experiment's folder."""
        return f"{self.root}/{below}"

    # Data

    def raw(self, file: File) -> str:
        """Return where a raw file lies: a local file where its user has it, a pinned one where it is fetched to."""
        return self.at(RawFile(file.pin, PurePosixPath(file.path).name).path) if file.pin else file.path

    @cached_property
    def pinned(self) -> Mapping[str, File]:
        """Files that are fetched, by their pins."""
        return {file.pin: file for file in self._raw_files() if file.pin}

    def _raw_files(self) -> Iterator[File]:
        for language in self.experiment.languages.values():
            yield from (language.corpus.files if language.corpus else ())
        for dataset in self.experiment.datasets.values():
            for lang in dataset.languages:
                for files in files_of(dataset, lang).values():
                    yield from files

    def splits(self, name: str, lang: str) -> list[Dataset]:
        """Return all splits of a dataset in a language, where it has them."""
        if lang not in self.held[name]:
            return []
        dataset = self.experiment.datasets[name]
        splits = ["test"] if dataset.layout == "testbed" else files_of(dataset, lang)
        return [Dataset(name, lang, split) for split in splits]

    def rows(self, name: str, lang: str, split: str) -> Dataset | View:
        """Return the rows of a split that a task names by a dataset or by a view of one."""
        dataset = self.experiment.dataset_of(name)
        return Dataset(name, lang, split) if name == dataset else View(name, dataset, lang, split)

    def test_set(self, task: Task, lang: str) -> Dataset | View:
        """Return the rows a task is scored on in a language."""
        return self.rows(task.test, lang, task.split)

    def scored(self, task: Task) -> list[str]:
        """Return the languages a task is scored in: the targets, and the source where the test set has it."""
        return [*([task.source] if task.source in self.held[task.test] else []), *task.targets]

    # Modules of a method

    def start_of(self, method: Method, task: Task, lang: str) -> str:
        """Return the name of the start of a method's task training, where `lang` is scored."""
        adapted = lang if method.target_adaptation else task.source if adapts_source(method) else None
        if adapted is None or not self.experiment.has_text(adapted):
            return "base"
        entry, selection = start_type(method)
        return entry.start.format(selection=selection, lang=adapted)

    @cached_property
    def _starts(self) -> Mapping[str, tuple[str, str, str]]:
        """Type, selection and language of the modules a task may be trained on top of, by the name of the start."""
        named = {}
        for lang in self.experiment.languages:
            for entry in MODULE_TYPES.values():
                selections = self.experiment.selections if entry.masked else [""]
                for selection in selections if entry.start else ():
                    named[entry.start.format(selection=selection, lang=lang)] = (entry.name, selection, lang)
        return named

    def start_module(self, start: str, seed: str) -> Module | None:
        """Return the language module a task is trained on top of, by the name of the start and the task's seed.

        Raises:
            ConfigError: no training starts there.
        """
        if start == "base":
            return None
        if start not in self._starts:
            forms = sorted(entry.start.upper() for entry in MODULE_TYPES.values() if entry.start)
            raise ConfigError(f"no training starts from {start}: a start is base, or one of {', '.join(forms)}")
        type, selection, lang = self._starts[start]
        return self.language_module(type, lang, selection, int(seed))

    def language_module(self, type: str, lang: str, selection: str | None, task_seed: int) -> Module:
        """Return the module of a language that is paired with a task's seed."""
        chosen = (selection or "") if MODULE_TYPES[type].masked else ""
        seed = self.experiment.seeds.language_seed(task_seed)
        return Module("language", lang=lang, selection=chosen, seed=str(seed), type=type)

    def task_module(self, method: Method, task: str, lang: str, seed: int) -> Module:
        """Return a method's task module, where `lang` is scored."""
        entry = MODULE_TYPES[method.task]
        selection = (method.selection or "") if entry.masked else ""
        start = self.start_of(method, self.experiment.tasks[task], lang)
        return Module("task", task=task, start=start, selection=selection, seed=str(seed), type=entry.name)

    def language_modules(self, method: str, task: str, lang: str, seed: int) -> list[tuple[Module, LanguageTerm]]:
        """Return the language modules a method adds where `lang` is scored; terms without text are left out."""
        found = []
        for term in self._terms[method]:
            added = {"target": lang, "source": self.experiment.tasks[task].source}.get(term.of, term.of)
            if self.experiment.has_text(added):
                found.append((self.language_module(term.type, added, term.selection, seed), term))
        return found

    def lacks_module(self, method: str, task: str, lang: str) -> bool:
        """Return whether a method adds fewer language modules than it names where `lang` is scored: text is missing."""
        seed = self.experiment.seeds.task[0]
        return len(self.language_modules(method, task, lang, seed)) < len(self._terms[method])

    # From cells to what they are made of

    def cells(self, kind: type[C]) -> Iterator[C]:
        """Yield what every method, task, scored language and seed has of a kind, in the order of tables."""
        for method in self.experiment.methods:
            for name, task in self.experiment.tasks.items():
                for lang in self.scored(task):
                    for seed in self.experiment.seeds.task:
                        yield kind(method, name, lang, str(seed))

    def modules_of(self, cell: Cell) -> list[tuple[Module, float]]:
        """Return the modules of a composed model with their weights, in the order they are added."""
        method, seed = self.experiment.methods[cell.method], int(cell.seed)
        task = self.task_module(method, cell.task, cell.lang, seed)
        languages = self.language_modules(cell.method, cell.task, cell.lang, seed)
        return [(task, method.weights.task), *((module, term.weight) for module, term in languages)]

    def mask_of(self, module: Module) -> Mask:
        """Return the mask of a module that moves the entries of one."""
        return Mask(**{name: value for name, value in vars(module).items() if name != "type"})

    def ranked_by(self, mask: Mask) -> Module:
        """Return what a mask was chosen from, such as a delta."""
        score = MASK_SCORES[self.experiment.selections[mask.selection].select]
        return Module(**vars(mask) | {"selection": "", "type": score.ranks})

    def made_from(self, artifact: Mask | Module) -> list[Mask | Module]:
        """Return the modules and masks that one was made from directly."""
        needs: list[Mask | Module] = []
        if isinstance(artifact, Mask):
            needs.append(self.ranked_by(artifact))
        elif artifact.entry.masked:
            needs.append(self.mask_of(artifact))
        if isinstance(artifact, Module) and artifact.type == "pruned":
            needs.append(self.ranked_by(self.mask_of(artifact)))
        start = self.start_module(artifact.start, artifact.seed) if artifact.role == "task" else None
        return [*needs, *([start] if start else [])]

    @cached_property
    def modules(self) -> Mapping[str, Module]:
        """All modules and starts that methods need, by their place below the results without ending, sorted."""
        found: dict[str, Module] = {}
        waiting: list[Mask | Module] = [module for cell in self.cells(Composed) for module, _ in self.modules_of(cell)]
        seen: set[Mask | Module] = set()
        while waiting:
            artifact = waiting.pop()
            if artifact not in seen:
                seen.add(artifact)
                waiting += self.made_from(artifact)
                if isinstance(artifact, Module):
                    found[artifact.path.removesuffix(".safetensors")] = artifact
        return dict(sorted(found.items()))

    @property
    def trained(self) -> list[str]:
        """Places of all that is trained, below the results and without ending, in a fixed order."""
        return [place for place, module in self.modules.items() if module.entry.trained]

    # What a job reads

    def needs(self, artifact: Artifact) -> Paths:
        """Return the files that the job of an artifact reads, by what they are to it."""
        match artifact:
            case Corpus():
                return self._of_corpus(artifact.lang)
            case Dataset():
                return self._of_dataset(artifact)
            case View():
                return {"rows": self.at(Dataset(artifact.dataset, artifact.lang, artifact.split).path)}
            case Base():
                pretrain = self.experiment.base.pretrain
                known = [Corpus(lang) for lang in (pretrain.languages if pretrain else ())]
                return {"train": [self.at(c.path) for c in known], "valid": [self.at(c.valid) for c in known]}
            case Mask():
                return {"ranked": self.at(self.ranked_by(artifact).path)}
            case Module(type="pruned"):
                mask = self.mask_of(artifact)
                return {"delta": self.at(self.ranked_by(mask).path), "mask": self.at(mask.path)}
            case Module():
                return self._of_training(artifact)
            case Predictions():
                recipe = Composed(artifact.method, artifact.task, artifact.lang, artifact.seed)
                dataset = self.test_set(self.experiment.tasks[artifact.task], artifact.lang)
                return self.needs(recipe) | {"recipe": self.at(recipe.path), "dataset": self.at(dataset.path)}
            case Composed():
                (task, _), *languages = self.modules_of(artifact)
                added = [self.at(module.path) for module, _ in languages]
                language: Paths = {"language": added[0] if len(added) == 1 else added} if added else {}
                return {"task": self.at(task.path)} | language | {"base": self.at(Base().path)}
        raise ConfigError(f"{artifact.path} is not made from named files")

    def _of_corpus(self, lang: str) -> Paths:
        """Return raw text, and the test sets in the language (all splits): nothing is trained on their sentences."""
        corpus = self.experiment.languages[lang].corpus
        tests = sorted({self.experiment.dataset_of(task.test) for task in self.experiment.tasks.values()})
        return {
            "raw": [self.raw(file) for file in corpus.files] if corpus else [],
            "evaluation": [self.at(split.path) for name in tests for split in self.splits(name, lang)],
        }

    def _of_dataset(self, artifact: Dataset) -> Paths:
        """Return raw files of the split; where the nearest row of any split goes, those of the others, too."""
        dataset = self.experiment.datasets[artifact.dataset]
        files = files_of(dataset, artifact.lang)
        if files and artifact.split not in files:
            raise ConfigError(f"dataset {artifact.dataset} has no split {artifact.split} in {artifact.lang}")
        needs: Paths = {"raw": [self.raw(file) for file in files[artifact.split]]} if files else {}
        copies = dataset.drop_near_copies
        if files and copies and copies.rule == "nearest":
            others = (file for split in files if split != artifact.split for file in files[split])
            needs["sibling"] = [self.raw(file) for file in others]
        if artifact.split == "train" and dataset.drop_held_out:
            needs["held_out"] = self.at(Dataset(artifact.dataset, artifact.lang, "valid").path)
        near = [split for lang in copies.languages for split in self.splits(copies.dataset, lang)] if copies else []
        needs["near"] = [self.at(split.path) for split in near if copies and split.split in copies.splits]
        return needs

    def _of_training(self, module: Module) -> Paths:
        """Return base, text or rows, the module the training starts on, and the mask of what may move."""
        needs: Paths = {"base": self.at(Base().path)}
        if module.role == "language":
            corpus = Corpus(module.lang)
            needs |= {"train": self.at(corpus.path), "valid": self.at(corpus.valid)}
        else:
            task = self.experiment.tasks[module.task]
            needs |= {s: self.at(self.rows(task.train, task.source, s).path) for s in ("train", "valid")}
            start = self.start_module(module.start, module.seed)
            needs |= {"start": self.at(start.path)} if start else {}
        return needs | ({"mask": self.at(self.mask_of(module).path)} if module.entry.masked else {})

    def parse(self, path: str) -> Artifact:
        """Return the artifact whose main file lies at a path.

        Raises:
            ConfigError: the path is that of no artifact.
        """
        return parse(path.removeprefix(f"{self.root}/"))
