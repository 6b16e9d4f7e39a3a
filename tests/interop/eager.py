"""What plain PyTorch models share that are computed as transformers 4.28 did: eager, padded, densely masked."""

import numpy
import torch
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self.eps))


def split_heads(x, heads):
    """[batch, n, heads * dim] -> [batch, heads, n, dim]"""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def mix_values(scores, v):
    """Scores [batch, heads, n, m], masked, and values [batch, heads, m, dim] -> [batch, n, heads * dim]."""
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def padded(rows, fill):
    """Lists of numbers -> int64 [rows, longest]."""
    result = numpy.full((len(rows), max(map(len, rows))), fill, numpy.int64)
    for to, row in zip(result, rows):
        to[: len(row)] = row
    return result


def gist_span(ids, gist_id):
    """First and last gist of each row of ids [batch, n], as [batch, 1, 1]."""
    is_gist = ids == gist_id
    return is_gist.argmax(1)[:, None, None], ids.shape[1] - 1 - is_gist[:, ::-1].argmax(1)[:, None, None]


def additive(visible):
    """bool [batch, n, m], query by key -> the mask [batch, 1, n, m] that is added to scores."""
    lowest = numpy.finfo(numpy.float32).min
    return torch.from_numpy(numpy.where(visible, numpy.float32(0), lowest)[:, None])
