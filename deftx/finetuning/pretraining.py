"""Pretraining a tiny encoder on a few synthetic languages, so that all others are truly unseen."""

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from deftx.config.base import Pretraining
from deftx.config.training import Training
from deftx.core.files import publish
from deftx.core.hashing import code_of
from deftx.core.integrity import sha256_of
from deftx.core.provenance import threads, versions
from deftx.data.tokenization import examples, lines_of
from deftx.tasks.masked_lm import MaskedLM
from deftx.training import checkpoints
from deftx.training.distributed import processes
from deftx.training.loop import fit
from deftx.training.trainable import AllEntries

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")


def pretrain(settings: Pretraining, tokens: Sequence[str], train: list[Path], valid: list[Path], out: Path) -> None:
    """Train a small BERT from scratch with masked-LM, and store it with its tokenizer in the folder `out`.

    Args:
        settings: shape of the model, length and speed of the training.
        tokens: the vocabulary, one whole word each; every language of the family is written with it.
        train, valid: corpora of the known languages (text, gzipped or not).
    Raises:
        StoppedError: SIGTERM came; the checkpoint is saved.
    """
    from transformers import BertConfig, BertForMaskedLM

    torch.set_num_threads(threads())
    tokenizer = word_tokenizer(tokens)
    training, held_out = (
        examples(tokenizer, chain.from_iterable(map(lines_of, paths)), settings.block, settings.packed)
        for paths in (train, valid)
    )
    objective = MaskedLM(tokenizer, training, held_out, settings.mask_probability)
    torch.manual_seed(settings.seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate or 4 * settings.hidden,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        initializer_range=settings.initializer_range,
        max_position_embeddings=max(128, settings.block),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = BertForMaskedLM(config).to(processes().device)
    recipe = Training(freeze_layer_norm=False, precision="fp32")
    entries = AllEntries({}, dict(model.named_parameters()))
    job = {
        "settings": settings.model_dump(mode="json"),
        "pieces": list(tokens),
        "data": {"train": [sha256_of(path) for path in train], "valid": [sha256_of(path) for path in valid]},
        "versions": versions(),
        "code": code_of("deftx.finetuning.pretraining"),
    }
    checkpoint = checkpoints.path_for(out, job)
    record = fit(model, entries, objective, settings.phase, settings.seed, recipe, checkpoint=checkpoint)
    evaluated = [measures for measures in record.history if "masked_lm_loss" in measures]
    losses = ", ".join(f"{measures['masked_lm_loss']:.3f} at step {measures['step']}" for measures in evaluated)
    log.info(f"masked-LM loss on held-out text: {losses or 'not computed, as there is none'}")
    with publish(out) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    checkpoints.remove(out, sorted(out.iterdir()))


def word_tokenizer(tokens: Sequence[str]) -> "PreTrainedTokenizerFast":
    """Return a tokenizer that splits at white space and has exactly the vocabulary `tokens`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece: n for n, piece in enumerate([*SPECIAL, *tokens])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        model_max_length=128,
    )
