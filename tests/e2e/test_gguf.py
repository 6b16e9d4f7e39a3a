"""GGUF files are models: the same answers as from the Hugging Face directories that they were made from."""

import json
import math
import struct
import unittest
from pathlib import Path

import gguf_model
from families import LLAMA, UNDER_GIST
from gist_cli import FIXTURES, TempDirTest, jsonl, run
from gguf_model import BOOL, F32, STRING, U32

WORDTASKS = FIXTURES / "models" / "wordtasks-llama-gist"
RECORDS = jsonl([{"instruction": "Say it.", "input": "cat", "output": "cat cat"},
                 {"instruction": "Leave out.", "input": "red, blue", "output": "blue"}])
# Config keys that GGUF files have no place for have the values that llama.cpp takes for granted.
FAMILIES = {
    "mistral": {},
    "qwen2": {"use_sliding_window": False, "layer_types": None},
    "qwen3": {},
    "olmo2": {},
    "gemma2": {"query_pre_attn_scalar": 12},
    "gemma3": {"query_pre_attn_scalar": 12},
    "phi3": {},
    "gpt2": {},
}


def characters(size, gist):
    """A byte-level vocabulary of characters and few words, with a gist token behind it."""
    pieces = ["<pad>", "<s>", "</s>", *map(chr, range(33, 33 + size - 8)), "Ġ", "at", "ed", "re", "Ċ"]
    merges = ["a t", "e d", "r e"]
    special = [(0, "<pad>"), (1, "<s>"), (2, "</s>"), (gist, "<GIST>")]
    return {
        "version": "1.0", "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "added_tokens": [{"id": id, "content": text, "special": True, "normalized": False, "single_word": False,
                          "lstrip": False, "rstrip": False} for id, text in special],
        "model": {"type": "BPE", "unk_token": None, "vocab": {piece: id for id, piece in enumerate(pieces)},
                  "merges": merges},
    }


class GgufTest(TempDirTest):
    def copied(self, name, source, config=None, files=None):
        """A copy of a model's directory with other values in config.json; null takes a key out."""
        target = Path(self.path(name))
        target.mkdir()
        for file in source.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
        content = json.loads((source / "config.json").read_text()) | (config or {})
        (target / "config.json").write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
        for file, value in (files or {}).items():
            (target / file).write_text(json.dumps(value))
        return target

    def gguf(self, source, name="model.gguf", **options):
        path = Path(self.path(name))
        path.parent.mkdir(exist_ok=True)
        gguf_model.write_gguf(source, path, **options)
        return path

    def succeed(self, *args, stdin=RECORDS):
        done = run(*args, stdin=stdin)
        self.assertEqual(done.code, 0, done.err)
        return done.out

    def evaluated(self, *models, options=UNDER_GIST):
        """Of each model its loss and how it answers."""
        report = json.loads(self.succeed("evaluate", "--data", "-", [f"--model={model}" for model in models],
                                         "--json", "--max-new-tokens", 4, *options))
        return [{key: system["all"][key] for key in ("loss", "exact_match", "f1", "words", "generated_tokens")}
                for system in report["systems"]]


class Models(GgufTest):
    def test_answers_and_losses_are_those_of_the_directory(self):
        for name, config in FAMILIES.items():
            with self.subTest(name):
                source = self.copied(name, FIXTURES / "models" / f"tiny-{name}", config, {
                    "tokenizer.json": characters(96, 96),
                    "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
                                              "add_bos_token": True}})
                more = {"gemma3.attention.sliding_window_pattern": (U32, 2)} if name == "gemma3" else {}
                model = self.gguf(source, f"{name}.gguf", more=more)
                self.assertEqual(*self.evaluated(model, source))

    def test_llamas_rotated_rows_and_sentencepiece_are_followed(self):
        model = self.gguf(WORDTASKS)
        self.assertEqual(*self.evaluated(model, WORDTASKS))

    def test_a_directory_with_one_gguf_file_and_its_settings_is_a_model(self):
        model = self.gguf(WORDTASKS, "model/x.gguf").parent
        (model / "gist.json").write_bytes((WORDTASKS / "gist.json").read_bytes())
        question = jsonl([{"instruction": "Leave out the first word.", "input": "cat, lake, red"}])
        self.assertEqual(self.succeed("generate", "--model", model, stdin=question),
                         self.succeed("generate", "--model", WORDTASKS, stdin=question))
        prompts = jsonl([{"id": "a", "instruction": "Leave out the first word."}])
        receipts = [self.succeed("compress", "--model", each, "--input", "-", "--output", self.path(f"{name}.h5"),
                                 stdin=prompts) for name, each in (("a", model), ("b", WORDTASKS))]
        self.assertEqual(*receipts)
        inputs = jsonl([{"gist": "a", "input": "cat, lake, red"}])
        self.assertEqual(*(self.succeed("generate", "--model", each, "--store", self.path(f"{name}.h5"), stdin=inputs)
                           for name, each in (("a", model), ("b", WORDTASKS))))

    def test_rotation_that_llama_3_1_stretches_is_recognised(self):
        scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 8192}
        source = self.copied("source", LLAMA.base.parent / "stories260K-gist",
                                {"rope_scaling": scaling, "rope_theta": 500000.0})
        model = self.gguf(source)
        [plain] = self.evaluated(model)
        divisors = []
        for i in range(4):
            wavelength = 2 * math.pi * 500000.0 ** (i / 4)
            smooth = (8192 / wavelength - 1) / 3
            divisors.append(1 if wavelength < 2048 else 8 if wavelength > 8192 else 1 / ((1 - smooth) / 8 + smooth))
        self.add_tensor(source, model, divisors)
        stretched, expected = self.evaluated(model, source)
        self.assertEqual(stretched, expected)
        self.assertNotEqual(stretched, plain)
        self.add_tensor(source, model, [1, 2, 3, 4])
        self.assertFails(run("evaluate", "--data", "-", "--model", model, *UNDER_GIST, stdin=RECORDS), 65,
                         "rope_freqs.weight", "aren't those of Llama 3.1")

    def add_tensor(self, source, path, values):
        config = json.loads((source / "config.json").read_text())
        tensors = gguf_model.tensors_of(source, config)
        tensors["rope_freqs.weight"] = ("F32", [len(values)], struct.pack(f"<{len(values)}f", *values))
        path.write_bytes(gguf_model.gguf_bytes(
            gguf_model.metadata_of(source, config, tensors["token_embd.weight"][1][0]), tensors))

    def test_quantised_weights_are_what_their_blocks_say(self):
        def q8(name, tensor):
            """In blocks of Q8_0 with a scale of 1/64."""
            dtype, shape, data = tensor
            if len(shape) < 2 or shape[-1] % 32:
                return tensor
            values = struct.unpack(f"<{len(data) // 4}f", data)
            blocks = [struct.pack("<e32b", 1 / 64, *(max(-127, min(127, round(64 * value))) for value in values[i:i + 32]))
                      for i in range(0, len(values), 32)]
            return 8, shape, b"".join(blocks)

        def rounded(name, tensor):
            dtype, shape, data = tensor
            if len(shape) < 2 or shape[-1] % 32:
                return tensor
            values = struct.unpack(f"<{len(data) // 4}f", data)
            return dtype, shape, struct.pack(f"<{len(values)}f", *(max(-127, min(127, round(64 * value))) / 64
                                                                  for value in values))

        source = FIXTURES / "models" / "stories260K-gist"
        quantised, plain = self.gguf(source, "q8.gguf", change=q8), self.gguf(source, "plain.gguf", change=rounded)
        self.assertLess(quantised.stat().st_size, plain.stat().st_size / 2)
        self.assertEqual(*self.evaluated(quantised, plain))

    def test_training_from_one_writes_a_directory(self):
        base = FIXTURES / "models" / "stories260K"
        outputs = []
        for name, model in (("gguf", self.gguf(base)), ("directory", base)):
            output = Path(self.path(name))
            self.succeed("train", "--model", model, "--data", "-", "--output", output, "--steps", 2, "--lr", 1e-3, "--condition",
                         "gist", "--gist-tokens", 1)
            outputs.append(output)
        self.assertEqual(*((output / "model.safetensors").read_bytes() for output in outputs))
        config = json.loads((outputs[0] / "config.json").read_text())
        self.assertEqual((config["architectures"], config["vocab_size"]), (["LlamaForCausalLM"], 513))
        self.assertEqual(*self.evaluated(*outputs, options=()))


class Refusals(GgufTest):
    def setUp(self):
        super().setUp()
        self.source = FIXTURES / "models" / "stories260K-gist"

    def refused(self, model, code, *words):
        self.assertFails(run("generate", "--model", model, *UNDER_GIST, stdin=RECORDS), code, *words)

    def test_what_gist_does_not_know_is_named(self):
        cases = {
            "architecture": ({"general.architecture": (STRING, "mamba")}, ["architecture \"mamba\"", "llama, qwen2"]),
            "type": ({"general.type": (STRING, "adapter")}, ["holds no model", "adapter"]),
            "experts": ({"llama.expert_count": (U32, 8)}, ["llama.expert_count", "another architecture"]),
            "scaling": ({"llama.rope.scaling.type": (STRING, "odd")}, ["llama.rope.scaling.type", "\"odd\""]),
            "rows": ({"llama.vocab_size": (U32, 7)}, ["llama.vocab_size", "is 7", "513 rows"]),
            "lowercase": ({"tokenizer.ggml.normalizer.lowercase": (BOOL, True)}, ["normalizer.lowercase"]),
        }
        for name, (more, words) in cases.items():
            with self.subTest(name):
                self.refused(self.gguf(self.source, f"{name}.gguf", more=more), 65, *words)

    def test_a_key_of_the_architecture_that_nothing_reads_is_told(self):
        model = self.gguf(self.source, more={"llama.logit_scale": (F32, 2.0)})
        done = run("generate", "--model", model, "--max-new-tokens", 1, *UNDER_GIST, stdin=RECORDS)
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("llama.logit_scale", done.err)

    def test_one_of_several_files_must_be_named(self):
        directory = self.gguf(self.source, "many/a.gguf").parent
        self.gguf(self.source, "many/b.gguf")
        self.refused(directory, 65, "holds 2 GGUF files (a.gguf, b.gguf)")

    def test_tensors_that_the_model_does_not_read_are_named(self):
        path = self.gguf(self.source)
        config = json.loads((self.source / "config.json").read_text())
        tensors = gguf_model.tensors_of(self.source, config)
        tensors["blk.0.ffn_gate_exps.weight"] = ("F32", [1], bytes(4))
        path.write_bytes(gguf_model.gguf_bytes(gguf_model.metadata_of(self.source, config, 513), tensors))
        self.refused(path, 65, "blk.0.ffn_gate_exps.weight")

    def test_truncated_files_are_named(self):
        path = self.gguf(self.source)
        path.write_bytes(path.read_bytes()[:-100])
        self.refused(path, 65, "truncated or damaged")
        path.write_bytes(b"GGUF" + bytes(60))
        self.refused(path, 65, "version 0")


if __name__ == "__main__":
    unittest.main()
