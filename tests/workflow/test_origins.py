"""What a shared result is known by: files of a local base, and what computes. The rules' own functions, no jobs."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deftx.core import gpus, provenance
from deftx.core.hashing import fingerprint
from deftx.core.integrity import sha256_of
from deftx.models import local_files
from deftx.workflow.jobs import Origin, Place
from tests.helpers.project import REPOSITORY

SINGLE = ("config.json", "tokenizer.json", "model.safetensors")
SHARDED = ("config.json", "tokenizer.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
           "model.safetensors.index.json")  # fmt: skip
OLD = ("config.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "pytorch_model.bin")
SENTENCEPIECE = ("config.json", "sentencepiece.bpe.model", "model.safetensors")
AS_USUAL = ({}, 4, SimpleNamespace(gpu=0))
"""Wildcards, threads and resources of a job."""
Asked = dict[str, Any]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Asked]:
    """The names in the rules that ask of the base, for a folder of files and a configuration of it."""

    def asked(*files: str, **base: Any) -> Asked:
        for name in files:
            (tmp_path / name).write_text(name)
        said: Asked = {"logger": SimpleNamespace(warning=lambda text: warnings.append(text))}
        warnings: list[str] = []
        held = SimpleNamespace(**{"model": str(tmp_path), "revision": None, "pretrain": None} | base)
        said |= {
            "EXPERIMENT": SimpleNamespace(base=held), "Path": Path,
            "GRAPH": SimpleNamespace(pinned={}), "Origin": Origin, "Place": Place,
            "workflow": SimpleNamespace(workflow_settings=SimpleNamespace(cache="yes"), is_main_process=True),
        }  # fmt: skip
        source = (REPOSITORY / "rules/cache.smk").read_text()
        exec(compile(source.replace("from snakemake.logging import logger", ""), "cache", "exec"), said)
        said["fingerprint"] = local_files.fingerprint_of(held)
        return said | {"warnings": warnings}

    return asked


@pytest.mark.parametrize("files", [SINGLE, SHARDED, OLD, SENTENCEPIECE])
def test_whatever_file_changes_it_is_another_model(
    ask: Callable[..., Asked], tmp_path: Path, files: tuple[str, ...]
) -> None:
    said = ask(*files)
    before = said["fingerprint"], dict(said["base_origin"](*AS_USUAL))
    assert said["SHARES_LANGUAGES"] and not said["warnings"]
    for name in files:
        (tmp_path / name).write_text(f"another {name}")
        said = ask()
        after = said["fingerprint"], dict(said["base_origin"](*AS_USUAL))
        assert after[0] != before[0] and after[1] != before[1] and after[1][name] == sha256_of(tmp_path / name)
        before = after


def test_one_file_of_weights_is_known_as_it_always_was(ask: Callable[..., Asked], tmp_path: Path) -> None:
    """Other files beside it make no job run again; the cache, which is for others, counts them in."""
    said = ask(*SINGLE)
    known = fingerprint([tmp_path / name for name in SINGLE])
    assert said["fingerprint"] == known
    more = ask("pytorch_model.bin", "tokenizer_config.json")
    assert more["fingerprint"] == known and more["base_origin"](*AS_USUAL) != said["base_origin"](*AS_USUAL)


@pytest.mark.parametrize("revision", [None, 40 * "a"])
def test_nothing_is_shared_of_a_folder_without_weights(ask: Callable[..., Asked], revision: str | None) -> None:
    said = ask("config.json", "tokenizer.json", revision=revision)
    assert not said["SHARES_LANGUAGES"]
    assert len(said["warnings"]) == 1 and "it holds no weights" in said["warnings"][0]


def test_a_name_on_the_hub_needs_its_commit(ask: Callable[..., Asked]) -> None:
    assert ask(model="some/model", revision=40 * "a")["SHARES_LANGUAGES"]
    said = ask(model="some/model", revision="main")
    assert not said["SHARES_LANGUAGES"] and "Give base.revision" in said["warnings"][0]
    assert said["fingerprint"] == fingerprint([])


@pytest.mark.parametrize("origin", ["made_on", "base_origin"])
def test_what_computes_is_part_of_what_a_result_is_known_by(
    ask: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    """Threads, processes, GPU or processor, and which; on their kind depends whether there is bf16 as well."""

    def known(threads: int = 4, gpu: int = 0) -> str:
        return json.dumps(ask(*SINGLE)[origin]({}, threads, SimpleNamespace(gpu=gpu)), sort_keys=True)

    keys = [known(), known(threads=8), known(gpu=1), known(gpu=2)]
    monkeypatch.setattr(provenance, "processor", lambda: {"vectors": "avx512_bf16"})
    keys.append(known())
    for model in ("NVIDIA A100", "NVIDIA H200"):
        monkeypatch.setattr(gpus, "models", lambda model=model: [model])
        keys.append(known(gpu=1))
    assert len(set(keys)) == len(keys) and known(gpu=1) == keys[-1]
