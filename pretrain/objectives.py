"""Other objectives than the next token, made of the same batches: masked language model, span corruption, denoisers.

Each is a pure function of (batch, seed, position): row i of the batch draws from a stream of its own, keyed by seed and
`position` + i, the rows that the run had read before it. So the masks of a row differ from epoch to epoch (the dynamic
masking of RoBERTa, Liu et al. 2019), and are the same however the rows are shared by processes. Documents in a row stay
apart, and special tokens are never masked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
import xxhash
from torch import Tensor

from pretrain.data import IGNORE, Batch
from pretrain.noise import corrupt_spans, mask_tokens, noise_counts
from shards.format import SetHeader
from shards.order import mix


class Denoiser(NamedTuple):
    """`density`: share of a document's text tokens that are noise; `span`: their mean length, 0: one span, at the end.

    `mode`: a special token put before the document, which says what kind of task it is.
    """

    density: float
    span: float
    mode: str | None = None


T5: Final = (Denoiser(0.15, 3),)  # Raffel et al. 2020, section 3.3.4


def ul2(regular: str | None = None, extreme: str | None = None, sequential: str | None = None) -> tuple[Denoiser, ...]:
    """The seven denoisers of UL2, each as likely (Tay et al. 2022, table 1), with the names of their mode tokens."""
    return (
        Denoiser(0.15, 3, regular),
        Denoiser(0.15, 8, regular),
        Denoiser(0.5, 3, extreme),
        Denoiser(0.5, 8, extreme),
        Denoiser(0.15, 64, extreme),
        Denoiser(0.5, 64, extreme),
        Denoiser(0.25, 0, sequential),
    )


class MaskedLanguageModel:
    """BERT's masked tokens (Devlin et al. 2019, section 3.1): 15% are targets, of each document as many, at least one.

    Of the targets 80% are replaced by the mask, 10% by any text token, 10% stay. The model sees a document in both
    directions; `targets` are the tokens of the same places, not of the next.
    """

    def __init__(self, header: SetHeader, mask: str, share: float = 0.15):
        """Raises ValueError for a share outside (0, 1], or where `mask` is no special token of the tokenizer."""
        if not 0 < share <= 1:
            raise ValueError(f"share: {share} is not above 0 and at most 1")
        self.share = share
        self.mask_id = _special(header, mask)
        self.is_text = _is_text(header)

    def __call__(self, batch: Batch, seed: int, position: int) -> Batch:
        """The batch with masked `inputs` and other `targets`; the rest is the same."""
        inputs, targets = batch.inputs.clone(), torch.full_like(batch.targets, IGNORE)
        documents, texts = batch.documents.numpy(), np.flatnonzero(self.is_text)
        keys = _keys("masked language model", seed, position, len(documents))
        mask_tokens(inputs.numpy(), targets.numpy(), documents, self.is_text, texts, self.mask_id, self.share, keys)
        return batch._replace(inputs=inputs, targets=targets)


class PairBatch(NamedTuple):
    """B rows for an encoder and a decoder, all int64: [B, E] and [B, D], no wider than the longest row.

    Documents have the same numbers on both sides, so that one attends to itself alone; 0 is padding.
    """

    encoder_inputs: Tensor
    encoder_documents: Tensor
    encoder_positions: Tensor
    decoder_inputs: Tensor  # the target before each target; padding at a document's beginning, as in T5
    targets: Tensor  # IGNORE where there is none
    decoder_documents: Tensor
    decoder_positions: Tensor


class SpanCorruption:
    """T5's span corruption: spans of a document's text are noise, each replaced by a sentinel; the targets are the
    sentinels, each followed by its span, and the end of the document.

    Sentinels are the tokenizer's reserved special tokens in descending ids, the first of each document the highest.
    """

    def __init__(self, header: SetHeader, denoisers: Sequence[Denoiser] = T5):
        """One of `denoisers` is drawn for each document.

        Raises ValueError for shards with fill-in-the-middle, no denoisers, a density outside (0, 1), a span that is
        negative or not finite, a mode that is no special token, or where there are fewer reserved tokens than the
        spans of a document as long as a row.
        """
        if header.fill_in_the_middle is not None:
            raise ValueError("fill_in_the_middle: span corruption wants documents in the order of their text")
        if not denoisers:
            raise ValueError("denoisers: there is none")
        for denoiser in denoisers:
            if not 0 < denoiser.density < 1:
                raise ValueError(f"density: {denoiser.density} is not between 0 and 1")
            if not 0 <= denoiser.span < math.inf:
                raise ValueError(f"span: {denoiser.span} is no number of tokens")
        modes = [-1 if d.mode is None else _special(header, d.mode) for d in denoisers]
        used = {header.bos_id, header.eos_id, header.padding_id, *modes}
        reserved = sorted(set(header.special_ids.values()) - used, reverse=True)
        length = header.context_length
        needed = max(noise_counts(length, d.density, d.span)[1] for d in denoisers)
        if len(reserved) < needed:
            raise ValueError(
                f"a document of {length} tokens has {needed} spans, the tokenizer has {len(reserved)} reserved special "
                "tokens to stand for them: train it with more, or choose longer spans"
            )
        self.sentinels, self.modes = np.array(reserved, np.int64), np.array(modes, np.int64)
        self.densities, self.spans = (np.array(values, np.float64) for values in list(zip(*denoisers))[:2])
        self.ends = np.array([] if header.eos_id is None else [header.eos_id], np.int64)
        self.padding_id = header.padding_id
        self.is_text = _is_text(header)

    def __call__(self, batch: Batch, seed: int, position: int) -> PairBatch:
        """What encoder and decoder read of the batch. A document of fewer than two text tokens has no targets."""
        inputs, documents = batch.inputs.numpy(), batch.documents.numpy()
        rows, context = inputs.shape
        shape = (rows, 2 * context)  # of one token and its mode, and of two tokens three targets: no document doubles
        encoder, decoder, targets = np.full((3, *shape), self.padding_id, np.int64)
        targets[:] = IGNORE
        encoder_documents, encoder_positions, decoder_documents, decoder_positions = np.zeros((4, *shape), np.int64)
        keys = _keys("span corruption", seed, position, rows)
        choices = (self.densities, self.spans, self.modes, self.sentinels, self.ends)
        encoder_sides = (encoder, encoder_documents, encoder_positions)
        decoder_sides = (decoder, targets, decoder_documents, decoder_positions)
        e, d = corrupt_spans(inputs, documents, self.is_text, choices, keys, encoder_sides, decoder_sides)
        arrays = (*(side[:, :e] for side in encoder_sides), *(side[:, :d] for side in decoder_sides))
        return PairBatch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def _keys(name: str, seed: int, position: int, rows: int) -> np.ndarray:
    """The stream of each row, uint64 [rows]."""
    key = np.uint64(xxhash.xxh3_64_intdigest(f"gristmill {name} 1\0{seed}".encode()))
    return np.array([mix(key, np.uint64(position + i)) for i in range(rows)], np.uint64)


def _special(header: SetHeader, name: str) -> int:
    if name not in header.special_ids:
        known = ", ".join(sorted(header.special_ids))
        raise ValueError(f"{name!r} is no special token of the tokenizer; there are: {known}")
    return header.special_ids[name]


def _is_text(header: SetHeader) -> np.ndarray:
    """Which ids stand for text, bool [V]: all but special tokens."""
    table = np.ones(header.vocabulary_size, np.bool_)
    table[list(header.special_ids.values())] = False
    return table
