"""LLaMA in plain PyTorch, computed as transformers 4.28 did: eager, padded, with a dense mask.

Parameters bear the names of Hugging Face's files. The labels are shifted instead of the logits, which saves
a copy of the logits; all else is as there.
"""

import types

import numpy
import torch
from torch import nn

from eager import RMSNorm, additive, gist_span, mix_values, padded, split_heads
from layout import NO_LABEL


def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.head_dim = width // self.heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x, cos, sin, mask):
        q, k, v = (split_heads(y, self.heads) for y in (self.q_proj(x), self.k_proj(x), self.v_proj(x)))
        q = q * cos + rotate_half(q) * sin
        k = k * cos + rotate_half(k) * sin
        return self.o_proj(mix_values(q @ k.transpose(2, 3) / self.head_dim**0.5 + mask, v))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    """config: the dict of config.json."""

    def __init__(self, config):
        super().__init__()
        config = types.SimpleNamespace(**config)
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.model.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=config.initializer_range)
        head_dim = config.hidden_size // config.num_attention_heads
        frequency = 1 / 10000 ** (torch.arange(0, head_dim, 2).float() / head_dim)
        angle = torch.arange(config.max_position_embeddings).float()[:, None] * frequency
        angle = torch.cat((angle, angle), dim=-1)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, ids, mask):
        """Logits [batch, n, vocabulary] of ids [batch, n] under the additive mask [batch, 1, n, n]."""
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, cos, sin, mask)
        return self.lm_head(self.model.norm(x))

    def loss(self, ids, labels, mask):
        """Mean cross-entropy over the labels. labels [batch, n]: each position's own token or NO_LABEL."""
        logits = self(ids, mask)
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.roll(-1, 1).flatten(), ignore_index=NO_LABEL)


def collate(rows, gist_id):
    """Rows of (ids, labels), each with a gist, padded to the longest: what Model.loss takes.

    A token sees itself and those before it, but past the gist nothing before the gist.
    """
    ids = padded([ids for ids, _ in rows], 0)
    labels = padded([labels for _, labels in rows], NO_LABEL)
    first, last = gist_span(ids, gist_id)
    query, key = numpy.arange(ids.shape[1])[:, None], numpy.arange(ids.shape[1])
    real = key < numpy.array([len(ids) for ids, _ in rows])[:, None, None]
    visible = real & (key <= query) & ~((query > last) & (key < first))
    return torch.from_numpy(ids), torch.from_numpy(labels), additive(visible)


def tokens(ids, labels):
    """That a row has, padding apart."""
    return len(ids)
