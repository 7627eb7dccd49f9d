"""The attention kernel, hidden behind two functions: what may see what, and attending under it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def visibility(documents: Tensor) -> Tensor:
    """Which token may look at which: bool [B, 1, L, L], True at (query, key) of one document, key not after query.

    `documents` is an int tensor [B, L] of document numbers; equal numbers mean one document. Every token sees itself,
    padding included, so that no row of the softmax is empty.
    """
    same = documents[:, None, :, None] == documents[:, None, None, :]
    return same.tril()


def attend(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V per head, float [B, heads, L, D].

    `query` is [B, heads, L, D]; `key` and `value` are [B, kv_heads, L, D], each shared by heads / kv_heads consecutive
    query heads (grouped-query attention, Ainslie et al. 2023). `visible` comes from `visibility`; None is plain causal
    attention over the whole row.
    """
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=visible, is_causal=visible is None)
