"""Attention whose memory grows with the number of tokens, not with its square: Rabe and Staats 2021, arXiv:2112.05682, §2–3.

Queries are taken a chunk at a time; for each, the keys a chunk at a time, with the running maximum that keeps the
exponentials in range. The result is that of ordinary attention but for rounding.
"""

import math

import torch
from torch import Tensor

QUERIES = KEYS = 1024  # at a time; fewer cost time in the loop, more cost memory


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """q (b, heads, n, d), k and v (b, heads, m, d), mask (…, n or 1, m) added to the scores -> (b, heads, n, d)."""
    parts = [_chunk(rows, k, v, _rows(mask, start)) for start, rows in _chunks(q, QUERIES)]
    return torch.cat(parts, dim=2)


def _chunks(x: Tensor, size: int) -> list[tuple[int, Tensor]]:
    return [(start, x[:, :, start : start + size]) for start in range(0, x.shape[2], size)]


def _rows(mask: Tensor | None, start: int) -> Tensor | None:
    return mask if mask is None or mask.shape[-2] == 1 else mask[..., start : start + QUERIES, :]


def _chunk(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    q = q.float() / math.sqrt(q.shape[-1])
    highest = q.new_full((*q.shape[:-1], 1), -torch.inf)
    total = torch.zeros_like(highest)
    weighted = q.new_zeros(*q.shape[:-1], v.shape[-1])
    for (start, keys), (_, values) in zip(_chunks(k, KEYS), _chunks(v, KEYS), strict=True):
        scores = q @ keys.float().transpose(-1, -2)
        if mask is not None:
            scores = scores + mask[..., start : start + KEYS]
        raised = torch.maximum(highest, scores.amax(-1, keepdim=True))
        exponentials, before = torch.exp(scores - raised), torch.exp(highest - raised)
        weighted = weighted * before + exponentials @ values.float()
        total = total * before + exponentials.sum(-1, keepdim=True)
        highest = raised
    return (weighted / total).to(v.dtype)
