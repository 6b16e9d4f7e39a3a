"""Writes a Hugging Face directory as a GGUF file, as llama.cpp's convert_hf_to_gguf.py does: names of tensors and keys,
and what it changes in tensors. Needs nothing but Python; tests/interop/gguf_files.py compares the files with
gguf-py's and transformers' reading of them."""

import json
import struct
from pathlib import Path

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
TYPES = {"F32": 0, "F16": 1, "BF16": 30}
ALIGNMENT = 32

ARCHITECTURES = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3", "Olmo2ForCausalLM": "olmo2", "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3", "Phi3ForCausalLM": "phi3", "GPT2LMHeadModel": "gpt2",
}
GEMMA_NORMS = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
               "post_feedforward_layernorm": "post_ffw_norm"}
PARTS = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output", "wte": "token_embd",
    "wpe": "position_embd", "ln_f": "output_norm",
}


def read_tensors(directory):
    """name -> (dtype, shape, bytes)"""
    data = (Path(directory) / "model.safetensors").read_bytes()
    [size] = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (info["dtype"], info["shape"], data[8 + size:][slice(*info["data_offsets"])])
            for name, info in header.items()}


def gguf_name(name, architecture):
    stem, kind = name.removeprefix("model.").removeprefix("transformer.").rsplit(".", 1)
    layer, words = "", stem.split(".")
    if words[0] in ("layers", "h"):
        layer, stem = f"blk.{words[1]}.", ".".join(words[2:])
    if architecture in ("gemma2", "gemma3", "olmo2") and stem in GEMMA_NORMS:
        return f"{layer}{GEMMA_NORMS[stem]}.{kind}"
    return f"{layer}{PARTS[stem]}.{kind}"


def rows_of(shape, data):
    width = len(data) // shape[0]
    return [data[at:at + width] for at in range(0, len(data), width)]


def permuted(shape, data, heads):
    """Each head's rows [2, d/2] as [d/2, 2]."""
    rows, half = rows_of(shape, data), shape[0] // heads // 2
    return b"".join(rows[(head * 2 + part) * half + i]
                    for head in range(heads) for i in range(half) for part in (0, 1))


def transposed(shape, data):
    size = len(data) // (shape[0] * shape[1])
    values = [data[at:at + size] for at in range(0, len(data), size)]
    return shape[::-1], b"".join(values[row * shape[1] + column]
                                 for column in range(shape[1]) for row in range(shape[0]))


def one_more(data):
    """In float32."""
    values = struct.unpack(f"<{len(data) // 4}f", data)
    return struct.pack(f"<{len(values)}f", *(value + 1 for value in values))


def changed(name, tensor, architecture, config):
    dtype, shape, data = tensor
    heads = config.get("num_attention_heads")
    if architecture == "llama" and name.endswith(("q_proj.weight", "q_proj.bias")):
        data = permuted(shape, data, heads)
    elif architecture == "llama" and name.endswith(("k_proj.weight", "k_proj.bias")):
        data = permuted(shape, data, config.get("num_key_value_heads", heads))
    elif architecture.startswith("gemma") and name.endswith("norm.weight"):
        data = one_more(data)
    elif architecture == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        shape, data = transposed(shape, data)
    return dtype, shape, data


def tensors_of(directory, config):
    architecture = ARCHITECTURES[config["architectures"][0]]
    tensors = {}
    for name, tensor in read_tensors(directory).items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        tensors[gguf_name(name, architecture)] = changed(name, tensor, architecture, config)
    scaling = config.get("rope_scaling") or {}
    for kind in ("long", "short"):
        if factors := scaling.get(f"{kind}_factor"):
            tensors[f"rope_factors_{kind}.weight"] = (
                "F32", [len(factors)], struct.pack(f"<{len(factors)}f", *factors))
    return tensors


def architecture_keys(config, rows):
    architecture = ARCHITECTURES[config["architectures"][0]]
    if architecture == "gpt2":
        return {
            "context_length": (U32, config["n_positions"]), "embedding_length": (U32, config["n_embd"]),
            "feed_forward_length": (U32, config.get("n_inner") or 4 * config["n_embd"]),
            "block_count": (U32, config["n_layer"]), "attention.head_count": (U32, config["n_head"]),
            "attention.layer_norm_epsilon": (F32, config["layer_norm_epsilon"]),
        }
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    keys = {
        "context_length": (U32, config["max_position_embeddings"]),
        "embedding_length": (U32, config["hidden_size"]), "block_count": (U32, config["num_hidden_layers"]),
        "feed_forward_length": (U32, config["intermediate_size"]), "attention.head_count": (U32, heads),
        "attention.head_count_kv": (U32, config.get("num_key_value_heads", heads)),
        "attention.layer_norm_rms_epsilon": (F32, config["rms_norm_eps"]),
        "rope.freq_base": (F32, config.get("rope_theta", 10000.0)),
    }
    if "head_dim" in config:
        keys["attention.key_length"] = keys["attention.value_length"] = (U32, head_dim)
    if architecture in ("llama", "phi3"):
        keys["rope.dimension_count"] = (U32, int(head_dim * config.get("partial_rotary_factor", 1)))
    if architecture == "llama":
        keys["vocab_size"] = (U32, rows)
    # Not of LLaMA's class, which has Mistral's window left out; here it is told.
    if config.get("sliding_window") and architecture != "qwen2":
        keys["attention.sliding_window"] = (U32, config["sliding_window"])
    for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
        if config.get(cap):
            keys[cap] = (F32, config[cap])
    if "rope_local_base_freq" in config:
        keys["rope.freq_base_swa"] = (F32, config["rope_local_base_freq"])
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "linear":
        keys["rope.scaling.type"] = (STRING, "linear")
        keys["rope.scaling.factor"] = (F32, scaling["factor"])
    if "original_max_position_embeddings" in config:
        keys["rope.scaling.original_context_length"] = (U32, config["original_max_position_embeddings"])
    return keys


def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a protocol buffer's message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def added_tokens(directory):
    """id -> (text, whether it is special), of what stands in added_tokens.json or tokenizer_config.json."""
    tokens = {}
    if (path := Path(directory) / "added_tokens.json").exists():
        tokens |= {id: (text, text == "<GIST>") for text, id in json.loads(path.read_text()).items()}
    if (path := Path(directory) / "tokenizer_config.json").exists():
        for id, token in json.loads(path.read_text()).get("added_tokens_decoder", {}).items():
            tokens[int(id)] = (token["content"], token.get("special", False))
    return tokens


def sentencepiece_keys(directory, rows):
    texts, scores, kinds, space, trims = [], [], [], 1, 1
    for number, value in fields((Path(directory) / "tokenizer.model").read_bytes()):
        if number == 1:
            piece = dict(fields(value))
            texts.append(piece[1].decode())
            scores.append(struct.unpack("<f", piece.get(2, bytes(4)))[0])
            kinds.append(piece.get(3, 1))
        elif number == 3:
            normalizer = dict(fields(value))
            space, trims = normalizer.get(3, 1), normalizer.get(4, 1)
    for id, (text, special) in sorted(added_tokens(directory).items()):
        if id < len(texts):
            texts[id], scores[id], kinds[id] = text, -1000.0, 3 if special else 4
        else:
            texts.append(text), scores.append(-1000.0), kinds.append(3 if special else 4)
    while len(texts) < rows:
        texts.append(f"[PAD{len(texts)}]"), scores.append(-10000.0), kinds.append(5)
    return {
        "model": (STRING, "llama"), "pre": (STRING, "default"), "tokens": ([STRING], texts),
        "scores": ([F32], scores), "token_type": ([I32], kinds), "add_space_prefix": (BOOL, bool(space)),
        "remove_extra_whitespaces": (BOOL, bool(trims)),
        "bos_token_id": (U32, 1), "eos_token_id": (U32, 2), "unknown_token_id": (U32, 0),
    }


def byte_level_keys(directory, rows, pre):
    content = json.loads((Path(directory) / "tokenizer.json").read_text())
    texts = {id: text for text, id in content["model"]["vocab"].items()}
    kinds = dict.fromkeys(texts, 1)
    for token in content["added_tokens"]:
        texts[token["id"]] = token["content"]
        kinds[token["id"]] = 3 if token["special"] else 4
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in content["model"]["merges"]]
    keys = {
        "model": (STRING, "gpt2"), "pre": (STRING, pre),
        "tokens": ([STRING], [texts.get(id, f"[PAD{id}]") for id in range(rows)]),
        "token_type": ([I32], [kinds.get(id, 5) for id in range(rows)]), "merges": ([STRING], merges),
    }
    by_text = {text: id for id, text in texts.items()}
    settings = json.loads((Path(directory) / "tokenizer_config.json").read_text())
    for role, name in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        token = settings.get(f"{role}_token")
        token = token["content"] if isinstance(token, dict) else token
        if token is not None:
            keys[f"{name}_token_id"] = (U32, by_text[token])
    keys["add_bos_token"] = (BOOL, settings.get("add_bos_token", False))
    return keys


def text_bytes(text):
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data


def value_bytes(kind, value):
    if isinstance(kind, list):
        return (struct.pack("<IQ", kind[0], len(value))
                + b"".join(value_bytes(kind[0], each) for each in value))
    if kind == STRING:
        return text_bytes(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q"}[kind], value)


def gguf_bytes(metadata, tensors, version=3):
    """`metadata`: key -> (type, or a list of one for an array; value). `tensors`: name -> (dtype, shape, bytes), where
    the dtype may be a type's number."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(metadata))]
    for key, (kind, value) in metadata.items():
        number = ARRAY if isinstance(kind, list) else kind
        parts += [text_bytes(key), struct.pack("<I", number), value_bytes(kind, value)]
    offset, body = 0, []
    for name, (dtype, shape, data) in tensors.items():
        parts += [text_bytes(name), struct.pack("<I", len(shape)),
                  b"".join(struct.pack("<Q", size) for size in reversed(shape)),
                  struct.pack("<IQ", TYPES.get(dtype, dtype), offset)]
        padded = data + bytes(-len(data) % ALIGNMENT)
        body.append(padded)
        offset += len(padded)
    head = b"".join(parts)
    return head + bytes(-len(head) % ALIGNMENT) + b"".join(body)


def metadata_of(directory, config, rows, pre="gpt-2"):
    architecture = ARCHITECTURES[config["architectures"][0]]
    sentencepiece = (Path(directory) / "tokenizer.model").exists()
    tokenizer = sentencepiece_keys(directory, rows) if sentencepiece else byte_level_keys(directory, rows, pre)
    return {
        "general.architecture": (STRING, architecture), "general.type": (STRING, "model"),
        **{f"{architecture}.{key}": value for key, value in architecture_keys(config, rows).items()},
        **{f"tokenizer.ggml.{key}": value for key, value in tokenizer.items()},
    }


def write_gguf(directory, path, pre="gpt-2", change=None, more=None):
    """`pre` names the pre-tokenizer of a tokenizer.json. `change`(name, tensor) gives another tensor, quantised for
    instance; `more` are further metadata."""
    config = json.loads((Path(directory) / "config.json").read_text())
    tensors = tensors_of(directory, config)
    rows = tensors["token_embd.weight"][1][0]
    metadata = {**metadata_of(directory, config, rows, pre), **(more or {})}
    if change:
        tensors = {name: change(name, tensor) for name, tensor in tensors.items()}
    Path(path).write_bytes(gguf_bytes(metadata, tensors))
