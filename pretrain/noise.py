"""Choosing tokens and spans of documents to hide, a row at a time, each from a keyed stream of its own."""

from __future__ import annotations

import numba
import numpy as np

from pretrain.data import Int64
from shards.order import mix


@numba.njit(cache=True, nogil=True)
def noise_counts(length: int, density: float, span: float) -> tuple[int, int]:
    """Noise tokens and noise spans of a text of `length` tokens, as T5's `random_spans_noise_mask` counts them.

    round(length * density), at least one and not all; round(noise / span), at least one and no more than either the
    noise or the rest has tokens. None of either below two tokens.
    """
    if length < 2:
        return 0, 0
    noise = min(max(round(length * density), 1), length - 1)
    spans = 1 if span == 0 else max(round(noise / span), 1)
    return noise, min(spans, noise, length - noise)


@numba.njit(cache=True, nogil=True)
def noise_mask(length: int, density: float, span: float, key: np.uint64) -> np.ndarray:
    """Which tokens of a text are noise, bool [length]: spans of text and of noise in turn, text first.

    All ways to cut the noise and the text into the spans counted are as likely; with `span` 0 the noise is the end.
    """
    mask = np.zeros(length, np.bool_)
    noise, spans = noise_counts(length, density, span)
    if not noise:
        return mask
    kept_spans = _segments(length - noise, spans, mix(key, np.uint64(1)))
    noise_spans = _segments(noise, spans, mix(key, np.uint64(2)))
    at = 0
    for i in range(spans):
        at += kept_spans[i]
        mask[at : at + noise_spans[i]] = True
        at += noise_spans[i]
    return mask


@numba.njit(cache=True, nogil=True)
def _below(key: np.uint64, counter: int, bound: int) -> int:
    """A keyed number in [0, bound), bound < 2^32."""
    return int(((mix(key, np.uint64(counter)) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def _segments(items: int, count: int, key: np.uint64) -> Int64:
    """`items` cut into `count` parts of at least one, int64 [count], all ways as likely (Knuth's algorithm S)."""
    lengths = np.ones(count, np.int64)
    part = 0
    for i in range(items - 1):
        if _below(key, i, items - 1 - i) < count - 1 - part:
            part += 1
        else:
            lengths[part] += 1
    return lengths


@numba.njit(cache=True, nogil=True)
def _document_end(documents: Int64, begin: int) -> int:
    """Where the document that begins at a place of a row ends."""
    end = begin + 1
    while end < len(documents) and documents[end] == documents[begin]:
        end += 1
    return end


@numba.njit(cache=True, nogil=True)
def mask_tokens(
    inputs: Int64,
    targets: Int64,
    documents: Int64,
    is_text: np.ndarray,
    texts: Int64,
    mask_id: int,
    share: float,
    keys: np.ndarray,
) -> None:
    """Choose round(share * n) of the n text tokens of each document, at least one, and replace them 80/10/10."""
    for row in range(len(inputs)):
        begin = 0
        while begin < inputs.shape[1]:
            end = _document_end(documents[row], begin)
            left = 0
            for i in range(begin, end):
                left += documents[row, i] > 0 and is_text[inputs[row, i]]
            wanted = max(1, round(share * left))
            for i in range(begin, end):
                if documents[row, i] > 0 and is_text[inputs[row, i]]:
                    if _below(keys[row], 3 * i, left) < wanted:
                        targets[row, i] = inputs[row, i]
                        wanted -= 1
                        kind = _below(keys[row], 3 * i + 1, 10)
                        if kind < 8:
                            inputs[row, i] = mask_id
                        elif kind == 8:
                            inputs[row, i] = texts[_below(keys[row], 3 * i + 2, len(texts))]
                    left -= 1
            begin = end


@numba.njit(cache=True, nogil=True)
def corrupt_spans(
    inputs: Int64,
    documents: Int64,
    is_text: np.ndarray,
    choices: tuple[np.ndarray, np.ndarray, Int64, Int64, Int64],
    keys: np.ndarray,
    encoder_sides: tuple[Int64, Int64, Int64],
    decoder_sides: tuple[Int64, Int64, Int64, Int64],
) -> tuple[int, int]:
    """Fill both sides, each document after the one before; the widths that the longest rows need, at least 1."""
    densities, spans, modes, sentinels, ends = choices
    encoder, encoder_documents, encoder_positions = encoder_sides
    decoder, targets, decoder_documents, decoder_positions = decoder_sides
    widest_encoder, widest_decoder = 1, 1
    for row in range(len(inputs)):
        begin, e, d = 0, 0, 0
        while begin < inputs.shape[1]:
            end = _document_end(documents[row], begin)
            number = documents[row, begin]
            if number == 0:
                begin = end
                continue
            key = mix(keys[row], np.uint64(begin))
            chosen = _below(key, 0, len(modes))
            text = 0
            for i in range(begin, end):
                text += is_text[inputs[row, i]]
            mask = noise_mask(text, densities[chosen], spans[chosen], key)
            first_e, first_d = e, d
            if modes[chosen] >= 0:
                encoder[row, e] = modes[chosen]
                e += 1
            seen, span, noisy = 0, 0, False
            for i in range(begin, end):
                token = inputs[row, i]
                hidden = is_text[token] and mask[seen]
                seen += is_text[token]
                if hidden and not noisy:
                    encoder[row, e] = targets[row, d] = sentinels[span]
                    e, d, span = e + 1, d + 1, span + 1
                if hidden:
                    targets[row, d] = token
                    d += 1
                else:
                    encoder[row, e] = token
                    e += 1
                noisy = hidden
            if d > first_d and len(ends):
                targets[row, d] = ends[0]
                d += 1
            for i in range(first_e, e):
                encoder_documents[row, i], encoder_positions[row, i] = number, i - first_e
            for i in range(first_d, d):
                decoder_documents[row, i], decoder_positions[row, i] = number, i - first_d
                if i > first_d:
                    decoder[row, i] = targets[row, i - 1]
            begin = end
        widest_encoder, widest_decoder = max(widest_encoder, e), max(widest_decoder, d)
    return widest_encoder, widest_decoder
