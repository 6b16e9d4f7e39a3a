"""Makes the goldens of families by transformers (4.57): tests/fixtures/models/tiny-NAME, a random model, and
tests/fixtures/golden/tiny-NAME, what it computes in float32 under each condition, one sequence at a time:
losses, logits, greedy tokens, gist keys and values, gradients, and eight steps of AdamW.

usage: family_goldens.py FIXTURES [NAME ...]     needs: pip install torch==2.5.1 transformers==4.57.1
"""

import json
import math
import random
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

GIST, EOS, VOCABULARY, GREEDY = 96, 2, 97, 24
# Tokens before the gist, behind it, and of the answer, of each prompt; windows are crossed on both sides.
LENGTHS = [(5, 6, 5), (23, 8, 7), (9, 3, 2), (14, 11, 4)]
SHAPE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, vocab_size=VOCABULARY, max_position_embeddings=128, rms_norm_eps=1e-5,
             bos_token_id=1, eos_token_id=EOS, pad_token_id=0, tie_word_embeddings=False)
FAMILIES = {
    "mistral": ("MistralForCausalLM", transformers.MistralConfig, dict(sliding_window=7, head_dim=12)),
    "mixtral": ("MixtralForCausalLM", transformers.MixtralConfig,
                dict(head_dim=12, num_local_experts=4, num_experts_per_tok=2, intermediate_size=20)),
    "qwen2": ("Qwen2ForCausalLM", transformers.Qwen2Config,
              dict(use_sliding_window=True, sliding_window=9, max_window_layers=1, tie_word_embeddings=True)),
    "qwen3": ("Qwen3ForCausalLM", transformers.Qwen3Config, dict(head_dim=12, rope_theta=1e6)),
    "olmo2": ("Olmo2ForCausalLM", transformers.Olmo2Config, dict(num_key_value_heads=2)),
    "gemma2": ("Gemma2ForCausalLM", transformers.Gemma2Config,
               dict(sliding_window=7, head_dim=12, query_pre_attn_scalar=20, attn_logit_softcapping=5.0,
                    final_logit_softcapping=30.0, tie_word_embeddings=True)),
    "gemma3": ("Gemma3ForCausalLM", transformers.Gemma3TextConfig,
               dict(sliding_window=7, head_dim=12, query_pre_attn_scalar=20, sliding_window_pattern=2,
                    rope_theta=20000.0, rope_local_base_freq=1000.0, tie_word_embeddings=True,
                    rope_scaling={"rope_type": "linear", "factor": 8.0})),
    "phi3": ("Phi3ForCausalLM", transformers.Phi3Config,
             dict(sliding_window=11, partial_rotary_factor=0.75, original_max_position_embeddings=64,
                  rope_scaling={"type": "longrope", "short_factor": [1.0, 1.3, 2.5], "long_factor": [2.0, 5.0, 9.0]})),
    "gpt2": ("GPT2LMHeadModel", transformers.GPT2Config,
             dict(n_embd=32, n_inner=48, n_layer=2, n_head=4, n_positions=512, vocab_size=VOCABULARY, bos_token_id=1,
                  eos_token_id=EOS, pad_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)),
    "umt5": ("UMT5ForConditionalGeneration", transformers.UMT5Config,
             dict(d_model=32, d_kv=12, d_ff=48, num_layers=2, num_decoder_layers=3, num_heads=4, vocab_size=VOCABULARY,
                  relative_attention_num_buckets=8, relative_attention_max_distance=16, dropout_rate=0.0,
                  eos_token_id=EOS, pad_token_id=0, decoder_start_token_id=0, tie_word_embeddings=False)),
}


def random_model(name):
    architecture, config_class, own = FAMILIES[name]
    shape = {} if name in ("gpt2", "umt5") else SHAPE
    config = config_class(**{**shape, **own}, **({} if name == "umt5" else {"attn_implementation": "eager"}))
    config.architectures = [architecture]
    model = getattr(transformers, architecture)(config).eval()
    generator = torch.Generator().manual_seed(len(name))
    with torch.no_grad():
        for key, value in model.named_parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * (0.3 if value.dim() == 1 else 0.2))
            if key.endswith("norm.weight") and not name.startswith("gemma") or ".ln_" in key and value.dim() == 1:
                value.add_(1 if key.endswith("weight") else 0)
            if key == "lm_head.weight":
                value[GIST] = 0  # it is never the first choice, as generation bans it
            if name.startswith(("gemma", "gpt2")) and key.endswith(("embed_tokens.weight", "wte.weight")):
                value[GIST] *= 0.2  # likewise, of a head that is tied
    return model


def visible(n, gist, condition, window=None):
    query, key = torch.arange(n)[:, None], torch.arange(n)[None, :]
    seen = key <= query
    hidden_before = {"gist": gist[0], "neg": gist[1], "pos": 0}[condition]
    seen &= ~((key < hidden_before) & (query >= gist[1]))
    return seen & (query - key < window) if window else seen


def masks(model, n, gist, condition):
    def additive(window):
        seen = visible(n, gist, condition, window)
        return torch.zeros(1, 1, n, n).masked_fill(~seen, torch.finfo(torch.float32).min)

    window = getattr(model.config, "sliding_window", None)
    if model.config.model_type.startswith(("qwen", "gemma")):
        kinds = {"full_attention": additive(None)}
        return {**kinds, "sliding_attention": additive(window)} if window else kinds
    return additive(window)


def logits_after(model, prompt, answer, gist, condition):
    """[len(answer) + 1, vocabulary]: what comes after the prompt, and after each token of the answer."""
    if model.config.is_encoder_decoder:
        return encoder_decoder_logits(model, prompt, answer, gist, condition)
    ids = prompt + answer
    return model(input_ids=torch.tensor([ids]), attention_mask=masks(model, len(ids), gist, condition),
                 use_cache=False).logits[0, len(prompt) - 1:]


def encoder_decoder_logits(model, prompt, answer, gist, condition):
    """transformers takes a mask of keys alone for the encoder: its blocks get theirs as they are called."""
    n = len(prompt)
    query, key = torch.arange(n)[:, None], torch.arange(n)[None, :]
    seen = {"pos": torch.ones(n, n, dtype=torch.bool),
            "gist": torch.where(query < gist[1], key < gist[1], key >= gist[0]),
            "neg": torch.where(query < gist[1], key < gist[1], key >= gist[1])}[condition]
    mask = torch.zeros(1, 1, n, n).masked_fill(~seen, torch.finfo(torch.float32).min)
    hooks = [block.register_forward_pre_hook(lambda _module, inputs: (inputs[0], mask, *inputs[2:]))
             for block in model.encoder.block]
    first = {"pos": 0, "gist": gist[0], "neg": gist[1]}[condition]
    out = model(input_ids=torch.tensor([prompt]), attention_mask=(torch.arange(n) >= first)[None].long(),
                decoder_input_ids=torch.tensor([[model.config.decoder_start_token_id] + answer]), use_cache=False)
    for hook in hooks:
        hook.remove()
    model.encoded = out.encoder_last_hidden_state[0]
    return out.logits[0]


def answer_logits(model, ids, gist, condition, labels):
    return logits_after(model, ids[:-labels], ids[-labels:-1], gist, condition)


def greedy(model, prompt, gist, condition):
    made = []
    while len(made) < GREEDY:
        logits = logits_after(model, prompt, made, gist, condition)[-1]
        logits[GIST] = -math.inf
        made.append(int(logits.argmax()))
        if made[-1] == EOS:
            return made[:-1] or [-1]
    return made


class Activations:
    """Keys before rotation, and values, of all layers of the last call."""

    def __init__(self, model):
        self.model, self.found = model, {}
        config = model.config
        heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
        keys = heads * config.hidden_size // config.num_attention_heads  # where they are a part of a product

        def keep(which, i, columns=None, heads_first=False):
            def hook(_module, _inputs, out):
                out = out.transpose(1, 2) if heads_first else out
                self.found[which, i] = out[..., columns] if columns else out
            return hook

        if config.is_encoder_decoder:
            layers = [block.layer[0] for block in model.encoder.block]
        else:
            layers = model.transformer.h if hasattr(model, "transformer") else model.model.layers
        for i, layer in enumerate(layers):
            if config.is_encoder_decoder:
                layer.SelfAttention.k.register_forward_hook(keep("key", i))
                layer.SelfAttention.v.register_forward_hook(keep("value", i))
                continue
            attention = layer.attn if hasattr(layer, "attn") else layer.self_attn
            fused = getattr(attention, "c_attn", getattr(attention, "qkv_proj", None))
            if fused is not None:
                fused.register_forward_hook(keep("key", i, slice(-2 * keys, -keys)))
                fused.register_forward_hook(keep("value", i, slice(-keys, None)))
                continue
            key = getattr(attention, "k_norm", attention.k_proj)
            key.register_forward_hook(keep("key", i, heads_first=config.model_type.startswith("gemma3")))
            attention.v_proj.register_forward_hook(keep("value", i))

    def of_gist(self, which, gist):
        heads = getattr(self.model.config, "num_key_value_heads", self.model.config.num_attention_heads)
        layers = [self.found[which, i].reshape(-1, heads, self.found[which, i].numel() // heads //
                                               self.found[which, i].shape[1])[gist[0]:gist[1]].transpose(0, 1)
                  for i in range(len(self.found) // 2)]
        return torch.stack(layers).contiguous()


def probe(key, values):
    """Of a weight [n, k], as gist has it: GPT-2's modules have theirs transposed."""
    if key.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        values = values.T
    values = values.detach().double().flatten()
    return torch.tensor([values.norm(), (values * torch.sin(torch.arange(len(values)).double() + 1)).sum()])


def rows(k):
    draw = random.Random(1)
    for before, after, answer in LENGTHS:
        text = [draw.randrange(3, GIST) for _ in range(before + after + answer)]
        ids = [1] + text[1:before] + [GIST] * k + text[before:] + [EOS]
        yield ids, (before, before + k), answer + 1  # the end of the text is a label, too


def batch_loss(model, condition, k):
    loss, count = 0, 0
    for ids, gist, labels in rows(k):
        logits = answer_logits(model, ids, gist, condition, labels)
        loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(ids[-labels:]), reduction="sum")
        count += labels
    return loss / count


def forward_golden(model):
    tensors, activations = {}, Activations(model)
    with torch.no_grad():
        for condition in ("gist", "pos", "neg"):
            for k in (1, 3):
                for i, (ids, gist, labels) in enumerate(rows(k)):
                    name = f"{condition}.k{k}.{i}."
                    logits = answer_logits(model, ids, gist, condition, labels)
                    apart = model.config.is_encoder_decoder  # the answer stands in the decoder
                    if condition == "gist":
                        if apart:
                            tensors[name + "hidden"] = model.encoded[gist[0]:gist[1]].contiguous()
                        tensors[name + "key_prerope"] = activations.of_gist("key", gist)
                        tensors[name + "value"] = activations.of_gist("value", gist)
                    target = torch.tensor(ids[-labels:])
                    prompt = ids[:-labels]
                    tensors[name + "input_ids"] = torch.tensor(prompt if apart else ids, dtype=torch.int32)
                    tensors[name + "labels"] = torch.tensor([-100] * (0 if apart else len(prompt)) + ids[-labels:],
                                                            dtype=torch.int32)
                    tensors[name + "logits"] = logits.contiguous()
                    tensors[name + "loss"] = torch.nn.functional.cross_entropy(logits, target).reshape(1)
                    tensors[name + "greedy"] = torch.tensor(
                        greedy(model, prompt, gist, condition), dtype=torch.int32)
    return tensors


def train_golden(model):
    tensors = {}
    for condition in ("gist", "pos", "neg"):
        for k in (1, 3):
            model.zero_grad()
            loss = batch_loss(model, condition, k)
            tensors[f"{condition}.k{k}.batch.loss"] = loss.detach().reshape(1)
            if k == 1:
                loss.backward()
                for key, value in model.named_parameters():
                    tensors[f"{condition}.k1.batch.probe.{key}"] = probe(key, value.grad)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    losses, norms = [], []
    for _ in range(8):
        optimiser.zero_grad()
        loss = batch_loss(model, "gist", 1)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        losses.append(float(loss))
        optimiser.step()
    tensors["adamw.loss"], tensors["adamw.grad_norm"] = torch.tensor(losses), torch.tensor(norms)
    for key, value in model.named_parameters():
        # A bias of keys that aren't rotated changes no score, and one of a distance that few pairs have next to none:
        # their gradients are rounding, of which AdamW makes steps.
        if not key.endswith(("c_attn.bias", "relative_attention_bias.weight")):
            tensors["param_probe." + key] = probe(key, value)
    return tensors


def main():
    torch.set_num_threads(1)
    fixtures = Path(sys.argv[1])
    for name in sys.argv[2:] or FAMILIES:
        model = random_model(name)
        directory, golden = fixtures / "models" / f"tiny-{name}", fixtures / "golden" / f"tiny-{name}"
        golden.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(directory)
        (directory / "generation_config.json").unlink(missing_ok=True)
        save_file(forward_golden(model), golden / "forward.safetensors")
        save_file(train_golden(model), golden / "train.safetensors")
        source = f"transformers {transformers.__version__} {FAMILIES[name][0]}, eager attention, float32"
        (golden / "golden.json").write_text(
            json.dumps({"gist_token_id": GIST, "ks": [1, 3], "source": source}, indent=1) + "\n")


main()
