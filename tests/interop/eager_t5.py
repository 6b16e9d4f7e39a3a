"""T5 (v1.1: gated gelu, untied) in plain PyTorch, computed as transformers 4.28 did: eager, padded, with dense
masks, to which each stack adds its relative bias, [batch, heads, n, n], for all of its layers.

Parameters bear the names of Hugging Face's files. No dropout; gelu is one fused operation; all else is as there.
"""

import math
import types

import numpy
import torch
from torch import nn

from eager import RMSNorm, additive, gist_span, mix_values, padded, split_heads
from layout import NO_LABEL


def bucket_of(distance, bidirectional, buckets, max_distance):
    """Of key minus query. Half of the buckets are single distances, the others grow with its logarithm."""
    offset = 0
    if bidirectional:
        buckets //= 2
        offset = (distance > 0) * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    large = torch.log(distance.float() / exact) / math.log(max_distance / exact) * (buckets - exact)
    large = (exact + large.long()).clamp(max=buckets - 1)
    return offset + torch.where(distance < exact, distance, large)


class Attention(nn.Module):
    def __init__(self, config, has_bias):
        super().__init__()
        width, inner = config.d_model, config.num_heads * config.d_kv
        self.config = config
        self.q = nn.Linear(width, inner, bias=False)
        self.k = nn.Linear(width, inner, bias=False)
        self.v = nn.Linear(width, inner, bias=False)
        self.o = nn.Linear(inner, width, bias=False)
        if has_bias:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def bias(self, n, bidirectional):
        """[1, heads, n, n]"""
        position = torch.arange(n)
        buckets = bucket_of(position - position[:, None], bidirectional, self.config.relative_attention_num_buckets,
                            self.config.relative_attention_max_distance)
        return self.relative_attention_bias(buckets).permute(2, 0, 1)[None]

    def forward(self, x, source, bias):
        q, k, v = (split_heads(y, self.config.num_heads) for y in (self.q(x), self.k(source), self.v(source)))
        return self.o(mix_values(q @ k.transpose(2, 3) + bias, v))


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x):
        return self.wo(nn.functional.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class Block(nn.Module):
    """Of the encoder, or, with cross-attention, of the decoder."""

    def __init__(self, config, cross, has_bias):
        super().__init__()
        parts = [("SelfAttention", Attention(config, has_bias)), ("DenseReluDense", FeedForward(config))]
        if cross:
            parts.insert(1, ("EncDecAttention", Attention(config, False)))
        self.layer = nn.ModuleList()
        for name, part in parts:
            layer = nn.Module()
            layer.add_module(name, part)
            layer.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
            self.layer.append(layer)

    def forward(self, x, bias, encoded, cross_mask):
        y = self.layer[0].layer_norm(x)
        x = x + self.layer[0].SelfAttention(y, y, bias)
        if encoded is not None:
            x = x + self.layer[1].EncDecAttention(self.layer[1].layer_norm(x), encoded, cross_mask)
        return x + self.layer[-1].DenseReluDense(self.layer[-1].layer_norm(x))


class Stack(nn.Module):
    def __init__(self, config, layers, decodes):
        super().__init__()
        self.block = nn.ModuleList(Block(config, decodes, i == 0) for i in range(layers))
        self.final_layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x, mask, encoded=None, cross_mask=None):
        bias = self.block[0].layer[0].SelfAttention.bias(x.shape[1], encoded is None) + mask
        for block in self.block:
            x = block(x, bias, encoded, cross_mask)
        return self.final_layer_norm(x)


class Model(nn.Module):
    """config: the dict of config.json."""

    def __init__(self, config):
        super().__init__()
        config = types.SimpleNamespace(**config)
        assert config.feed_forward_proj == "gated-gelu" and not config.tie_word_embeddings
        self.start = config.decoder_start_token_id
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config, config.num_layers, False)
        self.decoder = Stack(config, config.num_decoder_layers, True)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        fan = {"shared": 1, "lm_head": 1, "q": config.d_model * config.d_kv, "wo": config.d_ff,
               "o": config.num_heads * config.d_kv}
        for name, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                deviation = config.initializer_factor / fan.get(name.rpartition(".")[2], config.d_model) ** 0.5
                nn.init.normal_(module.weight, std=deviation)
            elif isinstance(module, RMSNorm):
                nn.init.constant_(module.weight, config.initializer_factor)

    def loss(self, ids, labels, mask, cross_mask):
        """Mean cross-entropy over the labels [batch, m]. ids [batch, n], masks [batch, 1, n or 1, n]."""
        encoded = self.encoder(self.shared(ids), mask)
        shifted = labels.roll(1, 1).clamp(min=0)  # where there is no label: the padding's id, 0
        shifted[:, 0] = self.start
        m = labels.shape[1]
        causal = additive(numpy.tri(m, dtype=bool)[None])
        logits = self.lm_head(self.decoder(self.shared(shifted), causal, encoded, cross_mask))
        return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL)


def collate(rows, gist_id):
    """Rows of (ids, labels), each with a gist, padded to the longest: what Model.loss takes.

    What stands before the gist and the gist see each other, the rest sees the gist and itself; the decoder
    sees all but what stands before the gist.
    """
    ids = padded([ids for ids, _ in rows], 0)
    labels = padded([labels for _, labels in rows], NO_LABEL)
    first, last = gist_span(ids, gist_id)
    query, key = numpy.arange(ids.shape[1])[:, None], numpy.arange(ids.shape[1])
    real = key < numpy.array([len(ids) for ids, _ in rows])[:, None, None]
    mask = real & numpy.where(query <= last, key <= last, key >= first)
    return torch.from_numpy(ids), torch.from_numpy(labels), additive(mask), additive(real & (key >= first))


def tokens(ids, labels):
    """That a row has, padding apart."""
    return len(ids) + len(labels)
