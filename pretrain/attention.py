"""Attention over packed rows: one function, `attend`, behind which the kernels hide.

Rows hold several documents, which do not see each other. On a GPU in half precision that is PyTorch's variable-length
FlashAttention (`torch.nn.attention.varlen`); anywhere else each document is attended to by itself, with a causal
`scaled_dot_product_attention`. A mask over the whole row is the slower way: forward and backward on a CPU it takes 0.9
(rows of 256 tokens, one document each) to 7 times as long (1,024 tokens, documents of 30).
"""

from __future__ import annotations

from itertools import groupby
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

HALF = (torch.bfloat16, torch.float16)


@torch.compiler.disable  # the number of documents is in the data
def document_offsets(documents: Tensor) -> Tensor:
    """Where each document begins, rows laid end to end, and after the last one their end: int32 [N + 1].

    `documents` is an int tensor [B, L]; a run of equal numbers in a row is one document, padding is one like any other.
    """
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return F.pad(begins.flatten().nonzero().flatten(), (0, 1), value=documents.numel()).int()


def attend(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor | None, window: int | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V per head over what a token sees, float [B, L, heads, D] in the dtype of `value`.

    `query` is [B, L, heads, D]; `key` and `value` are [B, L, kv_heads, D], each shared by heads / kv_heads consecutive
    query heads (grouped-query attention, Ainslie et al. 2023). A token sees itself and what precedes it in its own
    document: `offsets` are those of `document_offsets`, None makes every row one document. `window`, as Mistral counts
    it (Jiang et al. 2023; `sliding_window` in transformers), leaves it the last `window` tokens, itself among them.
    """
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast rotary positions make them float32
    if offsets is None:
        return _causal(query, key, value, window)
    flat = (query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1))
    if _has_flash(value):
        mixed = _varlen(*flat, offsets, query.shape[1], window)
    else:
        mixed = _by_document(*flat, offsets, window)
    return mixed.view_as(query)


def _has_flash(value: Tensor) -> bool:
    """FlashAttention 2 takes half precision and heads of 8, 16 ... 256 dimensions, on NVIDIA's GPUs from Ampere on."""
    return value.is_cuda and value.dtype in HALF and value.shape[-1] % 8 == 0 and value.shape[-1] <= 256


def _varlen(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, window: int | None) -> Tensor:
    """[T, heads, D]. `longest` bounds the documents; a row's length does, and makes no shape depend on the data."""
    before = -1 if window is None else window - 1  # the kernel counts what precedes a token, without it
    grouped = query.shape[1] != key.shape[1]
    mixed = varlen_attn(
        query, key, value, offsets, offsets, longest, longest, window_size=(before, 0), enable_gqa=grouped
    )
    return cast(Tensor, mixed)


@torch.compiler.disable  # shapes are in the data
def _by_document(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, window: int | None) -> Tensor:
    """[T, heads, D], where T counts the tokens of all rows."""
    # One call for neighbours of one length: backward, a core takes whole heads of whole rows, and few leave cores idle.
    mixed, begin = [], 0
    for length, run in groupby(offsets.diff().tolist()):
        end = begin + length * len(list(run))
        q, k, v = (tensor[begin:end].unflatten(0, (-1, length)) for tensor in (query, key, value))
        mixed.append(_causal(q, k, v, window).flatten(0, 1))
        begin = end
    return torch.cat(mixed)


def _causal(query: Tensor, key: Tensor, value: Tensor, window: int | None) -> Tensor:
    """[B, L, heads, D]: every row by itself."""
    length = query.shape[1]
    visible = None
    if window is not None and window < length:
        visible = query.new_ones(length, length, dtype=torch.bool).tril().triu(1 - window)
    query, key, value = (tensor.transpose(1, 2) for tensor in (query, key, value))
    mixed = F.scaled_dot_product_attention(
        query, key, value, attn_mask=visible, is_causal=visible is None, enable_gqa=query.shape[1] != key.shape[1]
    )
    return mixed.transpose(1, 2)
