"""Model directories are read as their owners do, and what can't be used is named."""

import collections
import io
import json
import math
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
import types
import unittest
import unittest.mock
import zipfile
from collections import OrderedDict
from pathlib import Path

from families import LLAMA, T5
from gist_cli import FIXTURES, GIST, TempDirTest, environment, jsonl, records_of, run, wordtasks

STORIES = LLAMA.base
PROMPT = jsonl([{"text": "Once upon a time"}])


def read_tensors(path):
    """Of a safetensors file: name -> (dtype, shape, bytes)."""
    data = Path(path).read_bytes()
    [size] = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (info["dtype"], info["shape"],
                   data[8 + size + info["data_offsets"][0]:8 + size + info["data_offsets"][1]])
            for name, info in header.items()}


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text
                           + b"".join(data for _, _, data in tensors.values()))


def zeros(*shape):
    count = 1
    for size in shape:
        count *= size
    return ("F32", list(shape), bytes(4 * count))


Storage = collections.namedtuple("Storage", "id")
Tensor = collections.namedtuple("Tensor", "dtype shape entry")


def write_torch(path, tensors):
    content = io.BytesIO()
    TorchWriter(content).write(tensors)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", content.getvalue())
        for i, (_, _, data) in enumerate(tensors.values()):
            file.writestr(f"archive/data/{i}", data)


class TorchWriter(pickle.Pickler):
    """Writes tensors as torch.save does: a tensor is (dtype, shape, the name of its storage's entry)."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        names = ["FloatStorage", "HalfStorage", "BFloat16Storage"]
        functions = {"_rebuild_tensor_v2": lambda *arguments: None}
        self.modules = {"torch": types.SimpleNamespace(**{name: type(name, (), {}) for name in names}),
                        "torch._utils": types.SimpleNamespace(**functions)}
        for module, content in self.modules.items():
            for name, value in vars(content).items():
                value.__module__, value.__qualname__ = module, name

    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        strides = [math.prod(value.shape[i + 1:]) for i in range(len(value.shape))]
        kinds = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage"}
        kind = getattr(self.modules["torch"], kinds[value.dtype])
        storage = Storage(("storage", kind, value.entry, "cpu", math.prod(value.shape)))
        return (self.modules["torch._utils"]._rebuild_tensor_v2,
                (storage, 0, tuple(value.shape), tuple(strides), False, OrderedDict()))

    def write(self, tensors):
        """name -> (dtype, shape, bytes), as read_tensors gives them."""
        with unittest.mock.patch.dict(sys.modules, self.modules):
            self.dump(OrderedDict((name, Tensor(dtype, shape, str(i)))
                                  for i, (name, (dtype, shape, _)) in enumerate(tensors.items())))


class ModelTest(TempDirTest):
    def variant(self, name="m", base=STORIES, files=None, config=None, tensors=None):
        """A copy of a model with other files (None: without), keys in config.json (None: without)
        and tensors (a function that changes the dict)."""
        target = self.path(name)
        shutil.copytree(base, target)
        os.chmod(target, 0o755)
        for path in Path(target).iterdir():
            path.chmod(0o644)
        for file, content in (files or {}).items():
            if content is None:
                os.remove(os.path.join(target, file))
            else:
                text = content if isinstance(content, str) else json.dumps(content)
                Path(target, file).write_text(text, encoding="utf-8")
        if config is not None:
            path = Path(target, "config.json")
            changed = {**json.loads(path.read_text()), **config}
            path.write_text(json.dumps({k: v for k, v in changed.items() if v is not None}))
        if tensors is not None:
            path = os.path.join(target, "model.safetensors")
            found = read_tensors(path)
            tensors(found)
            write_tensors(path, found)
        return target

    def generate(self, model, *args, stdin=PROMPT, new=12):
        return run("generate", "--model", model, "--max-new-tokens", new, "--threads", 1, *args,
                   stdin=stdin)

    def answer(self, model, *args, **kw):
        result = self.generate(model, *args, **kw)
        self.assertEqual(result.code, 0, result.err)
        [record] = records_of(result.out)
        return record

    def train(self, model, output, *args, condition="gist", k=1):
        data = self.write("train.jsonl", jsonl(wordtasks(0, 8)))
        return run("train", "--model", model, "--data", data, "--output", self.path(output),
                   "--condition", condition, "--gist-tokens", k, "--steps", 1, "--lr", "1e-3",
                   "--save-every", 0, "--threads", 1, *args)

    def trained(self, model, output="out", *args, **kw):
        result = self.train(model, output, *args, **kw)
        self.assertEqual(result.code, 0, result.err)
        return self.path(output)

    def json_of(self, directory, name):
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            return json.load(file)


class EndTokens(ModelTest):
    def test_a_text_ends_at_each_of_the_tokens_that_the_directory_names(self):
        whole = self.answer(STORIES)
        self.assertEqual((whole["finish_reason"], whole["completion_tokens"]), ("length", 12))
        ends = list(range(3, 512))
        first = {"completion_tokens": 0, "finish_reason": "eos", "completion": ""}
        for files, config in [({"generation_config.json": {"eos_token_id": ends}}, None),
                              (None, {"eos_token_id": ends}),
                              ({"generation_config.json": {"eos_token_id": None}},
                               {"eos_token_id": ends})]:
            with self.subTest(files=files is not None, config=config is not None):
                shutil.rmtree(self.path("m"), ignore_errors=True)
                answer = self.answer(self.variant(files=files, config=config))
                self.assertEqual({key: answer[key] for key in first}, first)

    def test_what_generation_config_names_counts_more_than_config(self):
        model = self.variant(files={"generation_config.json": {"eos_token_id": 2}},
                             config={"eos_token_id": list(range(3, 512))})
        self.assertEqual(self.answer(model)["finish_reason"], "length")

    def test_training_ends_answers_with_a_token_that_ends_texts(self):
        # The labels are hashed into the run's state.
        hashes = {}
        for name, config in [("2", {}), ("257", {"eos_token_id": 257}),
                             ("257 or 2", {"eos_token_id": [257, 2]})]:
            out = self.trained(self.variant(name, config=config), "out " + name)
            hashes[name] = self.json_of(out, "training.json")["data_sha256"]
            self.assertEqual(self.json_of(out, "config.json")["eos_token_id"],
                             config.get("eos_token_id", 2))
        self.assertEqual(hashes["2"], hashes["257 or 2"])
        self.assertNotEqual(hashes["2"], hashes["257"])

    def test_what_train_writes_keeps_the_end_tokens(self):
        model = self.variant(files={"generation_config.json": {"eos_token_id": [7, 2]}})
        out = self.trained(model)
        self.assertEqual(self.json_of(out, "generation_config.json"), {"eos_token_id": [7, 2]})

    def test_what_is_no_id_is_an_error(self):
        model = self.variant(config={"eos_token_id": "</s>"})
        self.assertFails(self.generate(model), 65, "config.json", "eos_token_id")


class Tokens(ModelTest):
    def test_a_text_begins_without_bos_where_the_tokenizer_adds_none(self):
        settings = self.json_of(STORIES, "tokenizer_config.json")
        model = self.variant(files={"tokenizer_config.json": {**settings, "add_bos_token": False}})
        empty = jsonl([{"text": ""}])
        self.assertEqual(self.answer(STORIES, stdin=empty)["completion_tokens"], 12)  # after bos
        self.assertFails(self.generate(model, stdin=empty), 65, "there is nothing to continue")
        # The default template begins as the tokenizer does.
        out = self.trained(model)
        self.assertEqual(self.json_of(out, "gist.json")["template"][0],
                         {"text": "Instruction: {instruction}"})

    def test_a_prompt_is_not_ended_where_the_tokenizer_ends_texts(self):
        settings = self.json_of(STORIES, "tokenizer_config.json")
        model = self.variant(files={"tokenizer_config.json": {**settings, "add_eos_token": True}})
        self.assertEqual(self.answer(model), self.answer(STORIES))
        result = run("generate", "--model", model, "--max-new-tokens", 1, "--verbose", stdin=PROMPT)
        self.assertEqual(result.code, 0, result.err)
        self.assertIn(f"{model}: \"add_eos_token\" is true: ", result.err)
        self.assertNotIn("add_eos_token", run("generate", "--model", STORIES, "--max-new-tokens", 1,
                                              "--verbose", stdin=PROMPT).err)

    def test_texts_have_no_space_before_them_where_the_tokenizer_adds_none(self):
        settings = self.json_of(STORIES, "tokenizer_config.json")
        model = self.variant(files={"tokenizer_config.json": {**settings, "add_prefix_space": False}})
        lily, with_space = jsonl([{"text": "Lily"}]), jsonl([{"text": " Lily"}])
        completion = self.answer(STORIES, stdin=lily)["completion"]
        self.assertEqual(self.answer(model, stdin=with_space)["completion"], completion)
        self.assertNotEqual(self.answer(model, stdin=lily)["completion"], completion)
        out = self.trained(model)
        self.assertIs(self.json_of(out, "tokenizer_config.json")["add_prefix_space"], False)

    def test_the_gist_token_stands_behind_all_others(self):
        listed = {"added_tokens": [{"id": 512, "content": "[PAD]", "special": True},
                                   {"id": 513, "content": "Zebra", "special": False}]}
        model = self.variant(files={"tokenizer.json": listed}, config={"vocab_size": 576},
                             tensors=lambda t: t.update({"model.embed_tokens.weight": wider(t, 576)}))
        out = self.trained(model)
        self.assertEqual(self.json_of(out, "added_tokens.json"),
                         {"[PAD]": 512, "Zebra": 513, "<GIST>": 514})
        self.assertEqual(self.answer(out)["finish_reason"], "length")

    def test_a_token_without_a_row_that_nothing_uses_is_no_matter(self):
        model = self.variant(files={"added_tokens.json": {"<pad>": 512}})
        self.assertEqual(self.answer(model)["completion"], self.answer(STORIES)["completion"])
        out = self.trained(model)  # the gist gets a row, and so does the padding before it
        self.assertEqual(self.json_of(out, "added_tokens.json"), {"<pad>": 512, "<GIST>": 513})
        self.assertEqual(self.json_of(out, "config.json")["vocab_size"], 514)
        self.assertEqual(self.answer(out)["finish_reason"], "length")

    def test_a_word_without_a_row_that_a_text_uses_is_an_error(self):
        model = self.variant(files={"added_tokens.json": {"Zebra": 512}})
        result = self.generate(model, stdin=jsonl([{"text": "A Zebra"}]))
        self.assertFails(result, 65, "token id 512", "512 rows")

    def test_sentinels_are_those_of_the_model_type(self):
        base = self.variant("t5", base=T5.model, files={"tokenizer_config.json": {"model_max_length": 512},
                                                        "added_tokens.json": None,
                                                        "special_tokens_map.json": None},
                            config={"vocab_size": 768}, tensors=widen_t5)
        out = self.trained(base)
        self.assertEqual(self.json_of(out, "added_tokens.json"), {"<GIST>": 740})


def wider(tensors, rows, name="model.embed_tokens.weight"):
    """The table with rows of zeros behind its own."""
    dtype, shape, data = tensors[name]
    return (dtype, [rows, shape[1]], data + bytes(len(data) // shape[0] * (rows - shape[0])))


def widen_t5(tensors):
    for name in ["shared.weight", "lm_head.weight"]:
        tensors[name] = wider(tensors, 768, name)


class Tensors(ModelTest):
    def biases(self, tensors):
        for layer in range(5):
            for part in ["q", "k", "v"]:
                width = 64 if part == "q" else 32
                tensors[f"model.layers.{layer}.self_attn.{part}_proj.bias"] = zeros(width)

    def test_tensors_that_nothing_reads_are_an_error_that_names_them(self):
        model = self.variant(tensors=self.biases)
        result = self.generate(model)
        self.assertFails(result, 65, "15 tensors that a LlamaForCausalLM doesn't read",
                         "model.layers.0.self_attn.k_proj.bias", "and 11 more", "--ignore-tensors")
        self.assertFails(self.train(model, "out"), 65, "15 tensors")

    def test_they_are_left_out_where_the_user_says_so(self):
        model = self.variant(tensors=self.biases)
        result = self.generate(model, "--ignore-tensors", "*.self_attn.[qk]_proj.bias")
        self.assertFails(result, 65, "5 tensors", "v_proj.bias")
        both = ("--ignore-tensors", "*.self_attn.[qk]_proj.bias", "--ignore-tensors", "*v_proj.bias")
        result = self.generate(model, *both)
        self.assertEqual((result.code, result.out), (0, self.generate(STORIES).out))
        self.assertIn("15 tensors are left out", result.err)

    def test_training_notes_what_it_left_out(self):
        model = self.variant(tensors=self.biases)
        out = self.trained(model, "out", "--ignore-tensors", "*_proj.bias")
        noted = self.json_of(out, "gist.json")["ignored_tensors"]
        self.assertEqual(len(noted), 15)
        self.assertEqual(self.answer(out)["finish_reason"], "length")
        again = self.trained(out, "again")
        self.assertEqual(self.json_of(again, "gist.json")["ignored_tensors"], noted)

    def test_computed_tensors_and_copies_are_harmless(self):
        def add(tensors):
            tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = zeros(4)
            tensors["freqs_cis"] = ("C64", [2], bytes(16))
            tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
        model = self.variant(tensors=add)
        self.assertEqual(self.generate(model).out, self.generate(STORIES).out)

    def test_a_head_that_differs_from_what_it_is_tied_to_is_an_error(self):
        def add(tensors):
            tensors["lm_head.weight"] = zeros(512, 64)
        model = self.variant(tensors=add)
        self.assertFails(self.generate(model), 65, "ties \"lm_head.weight\" to the embedding",
                         "tie_word_embeddings")
        result = self.generate(model, "--ignore-tensors", "lm_head.weight")
        self.assertEqual(result.out, self.generate(STORIES).out)

    def test_transformers_5_writes_tied_and_means_the_head_that_is_stored(self):
        record = jsonl([{"instruction": "Leave out the first word.", "input": "cat, lake"}])
        def answer(model):
            return self.answer(model, "--condition", "gist", "--gist-tokens", 1, stdin=record)
        v5 = self.variant(base=T5.model, config={"tie_word_embeddings": True,
                                                 "scale_decoder_outputs": False})
        self.assertEqual(answer(v5), answer(T5.model))
        out = self.trained(v5)
        self.assertIs(self.json_of(out, "config.json")["tie_word_embeddings"], False)

    def test_a_run_is_resumed_with_the_tensors_that_it_was_begun_with(self):
        # Written by transformers 5, the head is the one that is stored, unless it is left out.
        def turn(tensors):
            dtype, shape, data = tensors["model.embed_tokens.weight"]
            tensors["lm_head.weight"] = (dtype, shape, data[len(data) // 2:] + data[:len(data) // 2])
        model = self.variant(config={"transformers_version": "5.0.0"}, tensors=turn)
        ignoring = ("--ignore-tensors", "lm_head.weight")
        difference = 'ignored tensors nothing, and this run has ["lm_head.weight"] (--ignore-tensors)'

        made = self.generate(model, "--output", self.path("out.jsonl"))
        self.assertEqual(made.code, 0, made.err)
        again = self.generate(model, "--output", self.path("out.jsonl"), "--resume", *ignoring)
        self.assertEqual(again.code, 64, again.err)
        self.assertIn(difference, again.err)

        self.trained(model, "trained")
        again = self.train(model, "trained", *ignoring, "--resume")
        self.assertEqual(again.code, 64, again.err)
        self.assertIn(difference, again.err)

    def test_a_compression_is_resumed_with_the_tensors_that_it_was_begun_with(self):
        def turn(tensors):
            dtype, shape, data = tensors["model.embed_tokens.weight"]
            tensors["lm_head.weight"] = (dtype, shape, data[len(data) // 2:] + data[:len(data) // 2])
        model = self.variant(base=FIXTURES / "models" / "stories260K-gist",
                             config={"transformers_version": "5.0.0"}, tensors=turn)

        def compress(*options, text):
            return run("compress", "--model", model, "--output", self.path("out.h5"), "--gist-tokens", 1,
                       "--line-buffered", *options, stdin=text)

        good = jsonl([{"instruction": "Count the words."}])
        self.assertEqual(compress(text=good + "no record\n").code, 65)
        again = compress("--resume", "--ignore-tensors", "lm_head.weight", text=good)
        self.assertEqual(again.code, 64, again.err)
        self.assertIn('ignored tensors nothing, and this run has ["lm_head.weight"] (--ignore-tensors)', again.err)
        self.assertEqual(compress("--resume", text=good).code, 0)

    def test_t5s_table_is_found_under_each_of_its_names(self):
        def rename(tensors):
            tensors["decoder.embed_tokens.weight"] = tensors.pop("shared.weight")
        record = jsonl([{"instruction": "Leave out the first word.", "input": "cat, lake"}])
        gist = ("--condition", "gist", "--gist-tokens", 1)
        model = self.variant(base=T5.model, tensors=rename)
        self.assertEqual(self.answer(model, *gist, stdin=record),
                         self.answer(T5.model, *gist, stdin=record))

    def test_a_configuration_without_architectures_is_read_by_its_type(self):
        model = self.variant(config={"architectures": None})
        self.assertEqual(self.generate(model).out, self.generate(STORIES).out)

    def test_the_dropout_of_attention_is_what_the_configuration_says(self):
        losses = []
        for dropout in [0.0, 0.9]:
            model = self.variant(f"m{dropout}", config={"attention_dropout": dropout})
            out = self.trained(model, f"out{dropout}")
            losses.append(Path(out, "metrics.jsonl").read_text().split('"seconds"')[0])
        self.assertNotEqual(*losses)


class WrongModels(ModelTest):
    def refused(self, model, code, *words):
        self.assertFails(self.generate(model), code, *words)
        self.assertFails(self.train(model, "never"), code, *words)

    def test_what_is_no_model_is_named_with_a_remedy(self):
        self.refused("org/model", 66, "Hugging Face Hub", "hf download org/model")
        self.refused(self.path("none"), 66, "there is no such directory")
        adapter = self.variant("adapter", files={"adapter_config.json": {}, "model.safetensors": None})
        self.refused(adapter, 65, "is an adapter", "merge")
        quantised = self.variant("awq", config={"quantization_config": {"quant_method": "awq"}})
        self.refused(quantised, 65, "quantised (awq)")
        fast = self.variant("fast", files={"tokenizer.json": {}, "tokenizer.model": None})
        self.refused(fast, 65, "tokenizer.json: expected a vocabulary", "expected")
        bare = self.variant("bare", files={"tokenizer.model": None})
        self.refused(bare, 66, "none of tokenizer.model, spiece.model and tokenizer.json")
        bins = self.variant("bins", files={"pytorch_model.bin": "x", "model.safetensors": None})
        self.refused(bins, 65, "pytorch_model.bin: is no file of torch.save")
        flax = self.variant("flax", files={"flax_model.msgpack": "x", "model.safetensors": None})
        self.refused(flax, 66, "flax_model.msgpack", "save_pretrained")
        pointer = self.variant("lfs", files={"model.safetensors":
                                             "version https://git-lfs.github.com/spec/v1\n"})
        self.refused(pointer, 65, "model.safetensors: is a Git LFS pointer", "git lfs pull")

    def test_the_architecture_is_looked_at_before_the_tokenizer(self):
        model = self.variant(files={"tokenizer.model": None, "tokenizer.json": {}},
                             config={"architectures": ["BloomForCausalLM"], "model_type": "bloom"})
        self.refused(model, 69, "no plugin serves BloomForCausalLM", "LlamaForCausalLM")

    def test_a_key_that_no_family_reads_is_told(self):
        result = self.generate(self.variant(config={"residual_spiral": 3, "use_cache": True}))
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("family 'llama' doesn't read residual_spiral: ", result.err)
        self.assertNotIn("use_cache", result.err)

    def test_configurations_that_divide_by_zero_or_overflow_are_rejected_by_name(self):
        for key in ["num_attention_heads", "num_key_value_heads", "hidden_size", "vocab_size"]:
            for value in [0, -1, 2**31 - 1, 2**63]:
                with self.subTest(key, value=value):
                    shutil.rmtree(self.path("m"), ignore_errors=True)
                    result = self.generate(self.variant(config={key: value}))
                    self.assertFails(result, 65, key)

    def test_more_gist_tokens_than_positions_can_count_are_refused(self):
        for value in [2**31 - 1, 2**63]:
            result = run("compress", "--model", LLAMA.model, "--gist-tokens", value, "--output",
                         self.path("a.h5"), stdin=jsonl([{"instruction": "a"}]))
            self.assertFails(result, 64, "gist-tokens")


class TorchWeights(ModelTest):
    def torch_variant(self, base):
        """The model with its weights in two files of torch.save."""
        target = self.variant(base=base)
        weights = os.path.join(target, "model.safetensors")
        tensors = read_tensors(weights)
        os.remove(weights)
        shards = {"pytorch_model-00001-of-00002.bin": sorted(tensors)[::2],
                  "pytorch_model-00002-of-00002.bin": sorted(tensors)[1::2]}
        for shard, names in shards.items():
            write_torch(os.path.join(target, shard), {name: tensors[name] for name in names})
        Path(target, "pytorch_model.bin.index.json").write_text(
            json.dumps({"weight_map": {name: shard for shard, names in shards.items() for name in names}}))
        return target

    def test_a_model_of_torch_files_is_the_same_model(self):
        model = self.torch_variant(LLAMA.model)
        made = run("compress", "--model", LLAMA.model, "--gist-tokens", 1, "--output", self.path("a.h5"),
                   stdin=jsonl([{"instruction": "Leave out the first word.", "id": "a"}]))
        self.assertEqual(made.code, 0, made.err)
        answers = [self.answer(directory, "--store", self.path("a.h5"),
                               stdin=jsonl([{"gist": "a", "input": "cat, lake, red"}]))
                   for directory in (LLAMA.model, model)]
        self.assertEqual(answers[0], answers[1])
        losses = [Path(self.trained(directory, f"out{i}"), "metrics.jsonl").read_text().split('"seconds"')[0]
                  for i, directory in enumerate((LLAMA.model, model))]
        self.assertEqual(losses[0], losses[1])


class Fingerprints(ModelTest):
    def test_other_weights_of_the_same_size_and_time_are_another_model(self):
        model = self.variant(base=LLAMA.model)
        weights = os.path.join(model, "model.safetensors")
        os.utime(weights, (1, 1))
        done = run("compress", "--model", model, "--gist-tokens", 1, "--output", self.path("a.h5"),
                   stdin=jsonl([{"instruction": "Leave out the first word.", "id": "a"}]),
                   env={"XDG_CACHE_HOME": self.path("cache")})
        self.assertEqual(done.code, 0, done.err)
        with open(weights, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))
        os.utime(weights, (1, 1))
        result = run("generate", "--model", model, "--store", self.path("a.h5"),
                     stdin=jsonl([{"gist": "a", "input": "cat"}]),
                     env={"XDG_CACHE_HOME": self.path("cache")})
        self.assertFails(result, 65, "was not made with")


class BrokenPlugins(ModelTest):
    """The misbehaving module of the plugins' own tests, in commands."""

    modules = Path(GIST).resolve().parents[1] / "tests" / "modules"

    def setUp(self):
        super().setUp()
        if not (self.modules / "misbehaving.so").exists():
            self.skipTest("the test modules aren't built")
        os.makedirs(self.path("plugins"))
        for name in ["misbehaving.so", "misbehaving.gist.json"]:
            shutil.copy(self.modules / name, self.path("plugins"))

    def model(self, behaviour):
        config = {"architectures": ["MisbehavingForCausalLM"], "behaviour": behaviour,
                  "vocab_size": 513}
        target = self.variant(files={"config.json": config, "added_tokens.json": {"<GIST>": 512}},
                              base=STORIES)
        write_tensors(os.path.join(target, "model.safetensors"),
                      {"embedding": zeros(513, 8), "head": zeros(513, 8), "0.norm": zeros(8),
                       "0.q": zeros(8, 8), "0.k": zeros(4, 8), "0.v": zeros(4, 8)})
        return target

    def compress(self, behaviour, env=None):
        return run("compress", "--model", self.model(behaviour), "--gist-tokens", 1, "--plugin-path",
                   self.path("plugins"), "--output", self.path("a.h5"),
                   stdin=jsonl([{"instruction": "Once upon"}]), env=env)

    def test_a_sound_plugin_compresses(self):
        result = self.compress("sound")
        self.assertEqual(result.code, 0, result.err)

    def test_children_of_a_plugin_end_as_they_like(self):
        # A sanitizer's search for leaks in a forked child misses the parent's threads, and says so.
        result = self.compress("wait for children in layer", env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.assertEqual((result.code, result.err), (0, ""))

    def test_a_plugin_that_ends_the_run_is_named_with_what_ran(self):
        cases = {"crash in layer": ("layer 0", "SIGSEGV"),
                 "divide by zero in layer": ("layer 0", "SIGFPE"),
                 "abort in layer": ("layer 0", "SIGABRT"),
                 "orderly exit in layer": ("layer 0", "by exit"),
                 "quick exit in layer": ("layer 0", "by exit"),
                 "exit in layer": ("layer 0", "by _exit"),
                 "crash in configure": ("configure", "SIGSEGV")}
        for behaviour, words in cases.items():
            with self.subTest(behaviour):
                shutil.rmtree(self.path("m"), ignore_errors=True)
                result = self.compress(behaviour)
                self.assertFails(result, 69, "misbehaving.so", *words)
                self.assertFalse(os.path.exists(self.path("a.h5")))
                Path(self.path("a.h5.partial")).unlink(missing_ok=True)

    def hung(self, *command, records, committed):
        """What a run leaves that hangs at the last record, and gets a TERM then. `committed` waits for the
        others."""
        told = self.path("hang")
        with subprocess.Popen([GIST, *map(str, command)], env=environment({"HANG": told}),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            process.stdin.write(jsonl(records[:-1]))
            process.stdin.flush()
            out = committed(process)
            self.write("hang", "")
            process.stdin.write(jsonl(records[-1:]))
            process.stdin.close()
            time.sleep(1)
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(timeout=60), -signal.SIGTERM)
            out += process.stdout.read()
            err = process.stderr.read()
        os.remove(told)
        library = self.path("plugins/misbehaving.so")
        self.assertRegex(err.splitlines()[-1], rf"^gist: nothing has moved since the signal came, which found this "
                                               rf"running: family 'misbehaving' of {library}, layer 0: ended; what was "
                                               r"committed is kept$")
        return out

    def test_a_plugin_that_hangs_while_it_compresses_is_ended_and_named(self):
        records = [{"instruction": f"Once upon {i}"} for i in range(3)]
        command = ["compress", "--model", self.model("hang in layer when told"), "--gist-tokens", 1, "--plugin-path",
                   self.path("plugins"), "--output", self.path("a.h5"), "--line-buffered"]
        out = self.hung(*command, records=records,
                        committed=lambda process: process.stdout.readline() + process.stdout.readline())
        self.assertEqual([receipt["row"] for receipt in records_of(out)], [0, 1])
        self.assertFalse(os.path.exists(self.path("a.h5")))
        resumed = run(*command, "--resume", stdin=jsonl(records))
        self.assertEqual(resumed.code, 0, resumed.err)
        self.assertEqual(records_of(resumed.out)[:2], records_of(out))

    def test_a_plugin_that_hangs_while_it_answers_is_ended_and_named(self):
        records = [{"text": f"Once upon {i}"} for i in range(3)]
        partial = Path(self.path("a.jsonl.partial"))
        command = ["generate", "--model", self.model("hang in layer when told"), "--condition", "pos", "--gist-tokens",
                   1, "--plugin-path", self.path("plugins"), "--output", self.path("a.jsonl"), "--line-buffered",
                   "--max-new-tokens", 2]

        def committed(process):
            while not partial.exists() or partial.read_text().count("\n") < 2:
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            return ""

        self.hung(*command, records=records, committed=committed)
        lines = partial.read_text()
        self.assertEqual([record["text"] for record in records_of(lines)], ["Once upon 0", "Once upon 1"])
        resumed = run(*command, "--resume", stdin=jsonl(records))
        self.assertEqual(resumed.code, 0, resumed.err)
        self.assertTrue(Path(self.path("a.jsonl")).read_text().startswith(lines))


if __name__ == "__main__":
    unittest.main()
