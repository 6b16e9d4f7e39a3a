"""gist evaluate --write-logprobs and gist train --teacher-logprobs: a teacher that runs once, elsewhere."""

import json
import math
import os
import struct
import unittest

from families import for_each_family
from gist_cli import FIXTURES, jsonl, run, wordtasks
from training import TrainTest


def header_of(path):
    with open(path, "rb") as file:
        [size] = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size)), 8 + size


def values_of(path, name, letter):
    header, begin = header_of(path)
    first, end = header[name]["data_offsets"]
    with open(path, "rb") as file:
        file.seek(begin + first)
        return struct.unpack(f"<{(end - first) // 4}{letter}", file.read(end - first))


class WrittenTest(TrainTest):
    def write_logprobs(self, name="teacher.logprobs", data="data.jsonl", code=0, **options):
        words = ["evaluate", "--model", options.pop("model", self.family.base), "--condition", "pos", "--gist-tokens",
                 0, "--write-logprobs", self.path(name), "--data", self.path(data), "--threads", 1]
        for option, value in options.items():
            words += ["--" + option.replace("_", "-")] + ([] if value is True else [value])
        result = run(words)
        self.assertEqual(result.code, code, result.err)
        return result if code else self.path(name)

    def assertRefused(self, code, words, output="out", **options):
        result = self.train(output, **options)
        self.assertEqual((result.code, result.out), (code, ""), result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assertIn(words, result.err)


@for_each_family
class Written(WrittenTest):
    def test_the_file_says_what_it_holds(self):
        path = self.write_logprobs(logprobs=5)
        header, _ = header_of(path)
        about = header["__metadata__"]
        self.assertEqual((about["format"], about["version"], about["k"], about["condition"]),
                         ("gist-logprobs", "1.0", "5", "pos"))
        ends = values_of(path, "label_end", "i")
        self.assertEqual(len(ends), len(self.records))
        self.assertEqual(header["ids"]["shape"], [ends[-1], 5])
        log_p = values_of(path, "log_p", "f")
        for i in range(0, len(log_p), 5):
            self.assertEqual(sorted(log_p[i:i + 5], reverse=True), list(log_p[i:i + 5]))
            self.assertLessEqual(sum(map(math.exp, log_p[i:i + 5])), 1 + 1e-5)

    def test_all_ids_teach_as_the_model_itself_does(self):
        path = self.write_logprobs(logprobs=1024)
        self.trained("file", teacher_logprobs=path, distill=0.75)
        self.trained("model", teacher="self", distill=0.75)
        for file, model in zip(self.metrics("file"), self.metrics("model")):
            for name in ("loss", "cross_entropy", "divergence"):
                self.assertAlmostEqual(file[name], model[name], delta=1e-3 * max(1, model[name]))

    def test_a_run_is_resumed_with_the_same_bytes(self):
        options = {"teacher_logprobs": self.write_logprobs(), "save_every": 3, "steps": 6}
        self.trained("whole", keep=9, **options)
        self.as_if_killed("whole", "cut", 3)
        result = self.train("cut", resume=True, keep=9, **options)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(self.weights("whole"), self.weights("cut"))

    def test_neither_order_nor_other_records_matter(self):
        some = self.write_logprobs("some.logprobs")
        self.write("more.jsonl", jsonl(list(reversed(self.records)) + wordtasks(40, 50)))
        more = self.write_logprobs("more.logprobs", data="more.jsonl")
        held_out = self.write("held_out.jsonl", jsonl(wordtasks(40, 45)))
        self.trained("some", teacher_logprobs=some, steps=3)
        self.trained("more", teacher_logprobs=more, steps=3, eval_data=held_out, eval_every=3)
        steps = [line for line in self.metrics("more") if "loss" in line]
        for one, other in zip(self.metrics("some"), steps):
            self.assertAlmostEqual(one["loss"], other["loss"], delta=1e-3 * one["loss"])
        [evaluated] = [line for line in self.metrics("more") if "eval_loss" in line]
        mean = (evaluated["eval_cross_entropy"] + evaluated["eval_divergence"]) / 2
        self.assertAlmostEqual(evaluated["eval_loss"], mean, delta=1e-6 * mean)


class Refused(WrittenTest):
    def test_what_excludes_each_other(self):
        path = self.write_logprobs()
        self.assertRefused(64, "exclude each other", teacher_logprobs=path, teacher="self")
        self.assertRefused(64, "temperature 1", teacher_logprobs=path, temperature=2)
        self.assertIn("one --model", self.write_logprobs("x", baseline="cut", code=64).err)
        self.assertIn("--cost", self.write_logprobs("x", cost=True, code=64).err)
        self.assertFalse(os.path.exists(self.path("x")))

    def test_a_file_that_is_there_is_kept(self):
        path = self.write_logprobs()
        before = os.stat(path).st_mtime_ns
        self.assertIn("exists", self.write_logprobs(code=73).err)
        self.assertEqual(os.stat(path).st_mtime_ns, before)

    def test_records_answers_and_vocabularies_must_be_the_files(self):
        path = self.write_logprobs()
        others = self.write("others.jsonl", jsonl(wordtasks(0, 41)))
        self.assertRefused(65, "others.jsonl:41", teacher_logprobs=path, data=others)
        model = FIXTURES / "models/wordtasks-llama-gist"
        other = self.write_logprobs("other.logprobs", model=model)
        self.assertRefused(65, "another vocabulary", teacher_logprobs=other)

    def test_a_damaged_file_is_named(self):
        path = self.write_logprobs()
        size = os.path.getsize(path)
        for length in (4, 100, size - 4):
            with open(path, "rb") as file:
                content = file.read(length)
            cut = self.path(f"cut{length}")
            with open(cut, "wb") as file:
                file.write(content)
            self.assertRefused(65, cut, f"out{length}", teacher_logprobs=cut)
        self.assertRefused(65, "no file of log-probabilities", teacher_logprobs=self.family.base / "model.safetensors")

    def test_a_resumed_run_keeps_its_file(self):
        path = self.write_logprobs()
        self.trained(teacher_logprobs=path, save_every=2, steps=4, keep=9)
        os.remove(self.path("out/training.json"))
        other = self.write_logprobs("other.logprobs", logprobs=3)
        self.assertRefused(64, "--teacher-logprobs", teacher_logprobs=other, save_every=2, steps=4, keep=9,
                           resume=True)


if __name__ == "__main__":
    unittest.main()
