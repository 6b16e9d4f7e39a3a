"""Compares GGUF files with other programs' reading of them: gguf-py's containers and quantised values, and
transformers' models. Makes the fixtures of tests/formats/gguf, too.

usage: gguf_files.py fixtures DIRECTORY         types.gguf and types.safetensors
       gguf_files.py check GIST WORKDIR         the tiny models of tests/fixtures
       gguf_files.py real GIST MODEL WORKDIR    a Hugging Face directory of a real model, in F16 and Q8_0
needs: pip install gguf==0.19.0 torch==2.5.1 transformers==4.57.1 accelerate
"""

import json
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

TESTS = Path(__file__).resolve().parents[1]
MODELS = TESTS / "fixtures" / "models"
sys.path.insert(0, str(TESTS / "e2e"))
import gguf_model  # noqa: E402

TYPES = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q6_K]
UNDER_GIST = ["--condition", "gist", "--gist-tokens", "1"]
# Of the tiny models, with what transformers doesn't read of GGUF files changed to its defaults; of Qwen3 that would be
# the dimension of heads.
FAMILIES = {"mistral": {"sliding_window": None}, "qwen2": {"use_sliding_window": False, "layer_types": None},
            "gemma2": {"query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0}, "gpt2": {}}


def fixtures(directory):
    """Blocks of random bytes, with finite scales, of every type that gist reads; and their values."""
    random, values = np.random.default_rng(7), {}
    writer = GGUFWriter(directory / "types.gguf", "llama")
    for kind in TYPES:
        size, width = gguf.GGML_QUANT_SIZES[kind]
        row = width * (512 // size)
        while True:
            data = random.integers(0, 256, (8, row), np.uint8)
            with np.errstate(all="ignore"):
                floats = dequantize(data, kind)
            keep = np.isfinite(floats).all(axis=1) if size > 1 else None
            if keep is not None and keep.sum() >= 2:
                data, floats = data[keep][:2], floats[keep][:2]
                break
            if keep is None:
                floats = random.standard_normal((2, 512)).astype(np.float32) * [[1], [1e-6]]
                data = quantize(floats.astype(np.float32), kind)
                floats = dequantize(data, kind).astype(np.float32)
                break
        writer.add_tensor(kind.name, np.ascontiguousarray(data), raw_dtype=kind)
        values[kind.name] = np.ascontiguousarray(floats, np.float32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(values, directory / "types.safetensors")


def directory_of(name, work):
    """A tiny model with other values in config.json, without a tokenizer."""
    source, target = MODELS / f"tiny-{name}", work / name
    target.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text()) | FAMILIES[name]
    (target / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    (target / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    if name == "gpt2":  # as wide and long as transformers takes for granted
        torch.manual_seed(5)
        transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4,
                                                             vocab_size=97)).save_pretrained(target)
    (target / "tokenizer.json").write_text(json.dumps(
        {"added_tokens": [], "model": {"vocab": {f"t{i}": i for i in range(97)}, "merges": []}}))
    (target / "tokenizer_config.json").write_text(json.dumps({"bos_token": "t1", "eos_token": "t2"}))
    return target


def logits(model, ids):
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def check_transformers(work):
    """transformers undoes llama.cpp's changes by code of its own."""
    for name in FAMILIES:
        source = directory_of(name, work)
        gguf_model.write_gguf(source, source / "model.gguf")
        ids = torch.randint(3, 96, (2, 20), generator=torch.Generator().manual_seed(1))
        expected = logits(transformers.AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, attn_implementation="eager"), ids)
        found = logits(transformers.AutoModelForCausalLM.from_pretrained(
            source, gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager"), ids)
        error = float((found - expected).abs().max() / expected.abs().max())
        print(f"{name}: transformers' logits of the GGUF file, against those of the directory: {error:.1e}")
        assert error < 1e-5, name


def check_container(path):
    """gguf-py reads the same tensors and texts as were written."""
    reader = GGUFReader(path)
    config = json.loads((MODELS / "stories260K-gist" / "config.json").read_text())
    written = gguf_model.tensors_of(MODELS / "stories260K-gist", config)
    assert {tensor.name for tensor in reader.tensors} == set(written)
    for tensor in reader.tensors:
        assert tensor.data.tobytes() == written[tensor.name][2], tensor.name
        assert [int(size) for size in tensor.shape][::-1] == written[tensor.name][1], tensor.name
    print(f"{path.name}: {len(written)} tensors as gguf-py reads them")


def wide_model(work):
    """A random LLaMA whose rows are whole blocks of 256, with the vocabulary of stories260K-gist."""
    target = work / "wide"
    target.mkdir(parents=True, exist_ok=True)
    for file in (MODELS / "stories260K-gist").iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    config = transformers.LlamaConfig(hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, vocab_size=513,
                                      max_position_embeddings=256, tie_word_embeddings=False, bos_token_id=1,
                                      eos_token_id=2)
    torch.manual_seed(3)
    transformers.LlamaForCausalLM(config).save_pretrained(target)
    return target


def gist_of(gist, model, records, *options):
    done = subprocess.run([gist, "evaluate", "--data", "-", "--model", model, "--json", "--max-new-tokens", "8",
                           *options], input=records, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)["systems"][0]["all"]
    return {key: report[key] for key in ("loss", "exact_match", "rouge1") if key in report}


def check_quantised(gist, work):
    """gist's losses of quantised files are those of the values that gguf-py makes of the same blocks."""
    records = "".join(json.dumps({"instruction": "Say it.", "input": word, "output": word + " again"}) + "\n"
                      for word in ("cat", "lake", "red"))
    source = wide_model(work)
    for kind in TYPES:
        def blocks(name, tensor):
            dtype, shape, data = tensor
            if len(shape) < 2:
                return tensor
            values = np.frombuffer(data, np.float32).reshape(shape)
            if kind in (Type.Q4_K, Type.Q6_K):  # which gguf-py can't make: random ones with small scales
                data = random_blocks(kind, values.shape)
            else:
                data = quantize(values, kind)
            return int(kind), shape, data.tobytes()

        def values(name, tensor):
            number, shape, data = blocks(name, tensor)
            if number == "F32":
                return tensor
            size, width = gguf.GGML_QUANT_SIZES[kind]
            rows = np.frombuffer(data, np.uint8).reshape(shape[0], shape[1] // size * width)
            return "F32", shape, dequantize(rows, kind).astype(np.float32).tobytes()

        paths = [work / f"{kind.name}.gguf", work / f"{kind.name}-values.gguf"]
        gguf_model.write_gguf(source, paths[0], change=blocks)
        gguf_model.write_gguf(source, paths[1], change=values)
        found, expected = (gist_of(gist, path, records, *UNDER_GIST) for path in paths)
        print(f"{kind.name}: loss {found['loss']:.6f}, of gguf-py's values {expected['loss']:.6f}")
        assert found == expected, kind


def random_blocks(kind, shape):
    random = np.random.default_rng(shape[0] + shape[1])
    size, width = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (shape[0], shape[1] // size, width), np.uint8)
    scale = np.frombuffer(np.float16(2e-5).tobytes(), np.uint8)
    for at in (0, 2) if kind == Type.Q4_K else (width - 2,):
        blocks[:, :, at:at + 2] = scale
    return blocks


def numpy_tensors(path):
    """As float32, also of bf16, which numpy lacks."""
    from safetensors.torch import load_file as load_torch
    return {name: tensor.float().numpy() for name, tensor in load_torch(path).items()}


def real(gist, model, work):
    """Greedy answers of F16 and Q8_0 files beside the directory's."""
    work.mkdir(parents=True, exist_ok=True)
    texts = ["What is the capital of France?", "Name three colours.", "Why is the sky blue?",
             "Translate to Spanish: good morning", "What is 12 times 12?", "Who wrote Hamlet?",
             "Say a rhyme about a cat.", "List the planets.", "What do bees make?", "Write a short greeting."]
    records = "".join(json.dumps({"text": f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"}) + "\n"
                      for text in texts)
    plain = {name: ("F32", list(value.shape), value.tobytes())
             for name, value in numpy_tensors(model / "model.safetensors").items()}
    gguf_model.read_tensors = lambda directory: plain

    def as_type(kind):
        def change(name, tensor):
            _, shape, data = tensor
            if len(shape) < 2:
                return tensor
            return int(kind), shape, quantize(np.frombuffer(data, np.float32).reshape(shape), kind).tobytes()
        return change

    def answers(path):
        done = subprocess.run([gist, "generate", "--model", path, "--input", "-", "--condition", "pos",
                               "--gist-tokens", "0", "--max-new-tokens", "48"], input=records,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["completion"] for line in done.stdout.splitlines()]

    expected = answers(model)
    for kind in (Type.F16, Type.Q8_0):
        path = work / f"{kind.name}.gguf"
        gguf_model.write_gguf(model, path, pre="smollm", change=as_type(kind))
        found = answers(path)
        same = sum(a == b for a, b in zip(found, expected))
        print(f"{kind.name}: {path.stat().st_size / 1e6:.0f} MB, {same} of {len(expected)} greedy answers equal")


def main():
    match sys.argv[1:]:
        case ["fixtures", directory]:
            fixtures(Path(directory))
        case ["check", gist, work]:
            work = Path(work)
            work.mkdir(parents=True, exist_ok=True)
            gguf_model.write_gguf(MODELS / "stories260K-gist", work / "stories.gguf")
            check_container(work / "stories.gguf")
            check_transformers(work)
            check_quantised(gist, work)
        case ["real", gist, model, work]:
            real(gist, Path(model), Path(work))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
