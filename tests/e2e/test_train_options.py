"""gist train: every wrong option or input gives one line that says what to do."""

import os
import shutil
import unittest

from gist_cli import WORDTASKS, run
from training import CONFIG, STORIES, TrainTest

NEW = {"model": None, "tokenizer": STORIES}


class BadOptions(TrainTest):
    def assertRefused(self, cases):
        """(code, options, words of the message): and nothing is written."""
        for i, (code, options, words) in enumerate(cases):
            with self.subTest(options):
                output = f"refused{i}"
                self.assertFails(self.train(output, **options), code, *words)
                if os.path.exists(self.path(output)):
                    self.assertEqual(os.listdir(self.path(output)), [])

    def test_options_that_contradict_each_other_or_lack_something(self):
        config = self.write("config.json", CONFIG)
        self.assertRefused([
            (64, {"epochs": 2}, ("--steps", "--epochs")),
            (64, {"steps": None}, ("--steps", "--epochs")),
            (64, {"model": None}, ("--model", "--init", "--tokenizer")),
            (64, {"init": config, "tokenizer": STORIES}, ("--model", "--init")),
            (64, {"tokenizer": STORIES}, ("--init", "--tokenizer")),
            (64, {"model": None, "init": config}, ("--init", "--tokenizer")),
            (64, {"lr": None}, ("--lr",)),
            (64, {"data": None}, ("--data",)),
            (64, {"condition": None}, ("gist.json", "--condition")),
            (64, {"gist_tokens": None}, ("gist.json", "--gist-tokens")),
            (64, {"data": "-", "eval_data": "-"}, ("--data", "--eval-data", "standard input")),
            (64, {"errors": self.path("errors")}, ("--errors", "--keep-going")),
        ])
        self.assertFails(run("train", "--model", STORIES, "--data", self.path("data.jsonl"), "--steps",
                             1, "--lr", 1, "--condition", "gist", "--gist-tokens", 1), 64, "--output")

    def test_values_out_of_range(self):
        bad = [("gist_tokens", (0, -1, "x")), ("condition", ("none",)), ("steps", (0, -1, "1.5")),
               ("batch_records", (0, -4)), ("batch_tokens", (0,)), ("max_tokens", (-1,)),
               ("lr", (-1, "nan", "inf", "fast")), ("schedule", ("step",)), ("warmup", (-1,)),
               ("beta2", (1, -0.1, "x")), ("weight_decay", (-1,)), ("clip", (-1,)), ("label_smoothing", (-1, 1)),
               ("seed", (-1, "x")),
               ("eval_every", (0,)), ("save_every", (-1,)), ("keep", (0,)), ("dtype", ("f16",)),
               ("device", ("gpu", "cuda", "cuda:-1", "cuda:x", "cuda:99999999999")), ("threads", (-1,)), ("fields", ("output", "a=b,a=c", "=x", "x="))]
        self.assertRefused([(64, {name: value}, ("--" + name.replace("_", "-"),))
                            for name, values in bad for value in values])
        self.assertRefused([(64, {"condition": "neg", "gist_tokens": 0}, ("neg", "--gist-tokens")),
                            (64, {"stepz": 2}, ("--stepz", "--help")),
                            (69, {"device": "cuda:99"}, ("--device cuda:99", "cpu")),
                            (64, {"allow_tf32": True}, ("--allow-tf32", "--device cuda:N")),
                            (69, {"family": "mamba"}, ("mamba",))])

    def test_inputs_that_are_missing_or_no_files(self):
        missing = self.path("missing")
        self.assertRefused([
            (66, {"model": missing}, (missing,)),
            (66, {"data": missing}, (missing,)),
            (66, {"data": self.directory}, (self.directory, "directory")),
            (66, {"eval_data": missing}, (missing,)),
            (66, {"template": missing}, (missing,)),
            (66, {**NEW, "init": missing}, (missing,)),
            (66, {**NEW, "init": self.directory}, (self.directory, "directory")),
            (66, {"model": None, "init": self.write("config.json", CONFIG), "tokenizer": missing},
             (missing,)),
        ])

    def test_inputs_that_are_damaged(self):
        def damaged(name, content):
            with open(self.path(name), "wb") as file:
                file.write(content)
            return self.path(name)

        whole = WORDTASKS.read_bytes()
        no_model = self.path("no_model")
        shutil.copytree(STORIES, no_model)
        os.truncate(os.path.join(no_model, "model.safetensors"), 5000)
        old_gist = self.path("newer")
        shutil.copytree(STORIES, old_gist)
        self.write("newer/gist.json", {"format": "gist-model", "version": "9.0"})
        one_record = damaged("one.json", b'{"instruction": "a", "input": "b", "output": "c"}')
        self.assertRefused([
            (65, {"data": damaged("cut.gz", whole[: len(whole) // 2])}, ("cut.gz", "gzip")),
            (65, {"data": damaged("noise.gz", os.urandom(2000))}, ("noise.gz", "gzip")),
            (65, {"data": damaged("plain.gz", b"{}\n")}, ("plain.gz", "gzip")),
            (65, {"data": damaged("empty", b"")}, ("empty", "no record")),
            (65, {"data": damaged("blank", b"\n \n")}, ("blank", "no record")),
            (65, {"data": damaged("array", b"[]")}, ("array", "no record")),
            (65, {"data": damaged("open", b'[{"instruction": "a"')}, ("open:1",)),
            (65, {"data": damaged("binary", b"\xff" + os.urandom(64))}, ("binary:1",)),
            (65, {"data": damaged("latin1", b'{"instruction": "\xe9", "input": "", "output": "x"}')},
             ("latin1:1", "UTF-8")),
            (65, {"eval_data": damaged("empty", b"")}, ("empty", "no record")),
            (65, {"template": one_record}, ("one.json",)),
            (65, {"template": "chatml"}, ("no <|im_start|> token",)),
            (66, {"template": "vicuna"}, ("vicuna", "alpaca, chatml, llama3")),
            (65, {"template": damaged("two", b'["gist", "gist"]')}, ("two", "gist")),
            (65, {"template": damaged("open", b'["bos", ')}, ("open:1",)),
            (65, {"template": damaged("field", b'["gist", {"text": "{context}"}]')},
             ("data.jsonl:1", '"context"')),
            (65, {"model": no_model}, ("model.safetensors",)),
            (65, {"model": old_gist}, ("gist.json", "9.0")),
            (65, {**NEW, "init": damaged("config", b"[1]")}, ("config",)),
            (65, {"model": None, "init": self.write("good", CONFIG), "tokenizer": one_record},
             ("one.json", "SentencePiece")),
        ])

    def test_configurations_that_can_not_be(self):
        cases = [(65, {"vocab_size": 100}, ("512 tokens", "vocab_size is 100")),
                 (65, {"vocab_size": "many"}, ("vocab_size",)),
                 (65, {"vocab_size": 1 << 40}, ("vocab_size",)),
                 (65, {"hidden_size": 0}, ("hidden_size",)),
                 (65, {"architectures": []}, ("architectures",)),
                 (69, {"architectures": ["MambaForCausalLM"]}, ("MambaForCausalLM",)),
                 (65, {"num_hidden_layers": 1 << 30}, ("num_hidden_layers", "from 1 to"))]
        self.assertRefused([
            (code, {**NEW, "init": self.write(f"config{i}.json", {**CONFIG, **changes})},
             (f"config{i}.json", *words)) for i, (code, changes, words) in enumerate(cases)])
        small = self.write("small.json", {**CONFIG, "vocab_size": 100})
        self.assertRefused([(65, {**NEW, "init": small, "condition": "pos", "gist_tokens": 0},
                             ("512 tokens", "vocab_size is 100"))])

    def test_records_and_answers_that_are_empty(self):
        nothing = self.write("nothing.jsonl", '{"instruction": "", "input": "", "output": ""}\n' * 4)
        self.trained(data=nothing, steps=1)  # to end at once is an answer
        bare = self.write("bare.json", ["gist"])
        self.trained("bare", template=bare, data=nothing, steps=1)
        self.assertFails(self.train("none", template=bare, data=nothing, condition="pos",
                                    gist_tokens=0), 65, "nothing.jsonl:1")

    def test_options_of_a_file_are_those_of_the_command_line(self):
        shown = run(self.arguments(), "--print-config")
        self.assertEqual(shown.code, 0, shown.err)
        config = self.write("options.json", shown.out)
        self.trained("given")
        given = run("train", "--config", config, "--output", self.path("read"))
        self.assertEqual((given.code, given.out, given.err), (0, "", ""))
        self.assertEqual(self.weights("given"), self.weights("read"))


if __name__ == "__main__":
    unittest.main()
