"""Encoder-decoders through the same commands: what is theirs alone."""

import gzip
import json
import shutil
import unittest

from gist_cli import FIXTURES, ROOT, TempDirTest, records_of, run

MODEL = FIXTURES / "models" / "wordtasks-t5-gist"
STORE = FIXTURES / "stores" / "wordtasks-t5-gist-k1.h5"
DATA = ROOT / "examples" / "data"
GIST = ["--condition", "gist", "--gist-tokens", 1]


def records(split, count):
    with gzip.open(DATA / f"wordtasks_{split}.jsonl.gz", "rt") as lines:
        return "".join(next(lines) for _ in range(count))


def rename_tensor(path, name, other):
    with open(path, "rb") as file:
        data = file.read()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header = {other if key == name else key: value for key, value in header.items()}
    assert other in header
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data[end:])


class EncoderDecoder(TempDirTest):
    def succeed(self, *args, **kwargs):
        done = run(*args, **kwargs)
        self.assertEqual(done.code, 0, done.err)
        return done.out

    def test_answers_as_well_as_the_reference(self):
        report = json.loads(self.succeed(
            "evaluate", "--model", MODEL, GIST, "--data", DATA / "wordtasks_seen.jsonl.gz",
            "--max-new-tokens", 24, "--json"))["all"]
        self.assertAlmostEqual(100 * report["exact_match"], 82.8, delta=0.5)
        self.assertAlmostEqual(report["loss"] / 0.1934, 1, delta=1e-3)

    def test_answers_from_the_store_are_those_under_the_mask(self):
        text = records("seen", 40) + '{"instruction": "Leave out the first word.", "input": ""}\n'
        store = self.path("gists.h5")
        self.succeed("compress", "--model", MODEL, "--gist-tokens", 1, "--output", store, stdin=text)
        under_mask = self.succeed("generate", "--model", MODEL, GIST, stdin=text)
        from_store = self.succeed("generate", "--model", MODEL, "--store", store, stdin=text)
        self.assertEqual(from_store, under_mask)
        self.assertEqual(len(records_of(under_mask)), 41)

    def test_reads_a_store_that_others_wrote(self):
        asked = "".join(f'{{"gist": "prompt-{i}", "input": "cat, lake, red, axe"}}\n' for i in range(4))
        out = records_of(self.succeed("generate", "--model", MODEL, "--store", STORE, stdin=asked))
        self.assertTrue(all(record["finish_reason"] == "eos" for record in out))

    def test_a_whole_prompt_can_not_be_kept(self):
        done = run("compress", "--model", MODEL, "--gist-tokens", 1, "--full-prompt",
                   "--output", self.path("out.h5"), stdin=records("seen", 1))
        self.assertEqual(done.code, 64)
        self.assertRegex(done.err, "(?s)^gist: --full-prompt: .*encoder.*\n$")

    def train(self, output, *args, model=MODEL):
        data = self.path("data.jsonl")
        with open(data, "w") as file:
            file.write(records("seen", 24))
        self.succeed("train", "--model", model, GIST, "--data", data, "--output", self.path(output),
                     "--steps", 4, "--batch-records", 6, "--lr", "1e-3", "--threads", 1, *args)
        with open(self.path(output) + "/model.safetensors", "rb") as file:
            return file.read()

    def test_dropout_leaves_runs_and_recomputation_equal_bit_for_bit(self):
        whole = self.train("whole")
        self.assertEqual(self.train("again"), whole)
        self.assertEqual(self.train("recomputed", "--recompute"), whole)
        self.assertNotEqual(self.train("other", "--seed", 1), whole)

    def test_the_embedding_may_stand_under_the_encoders_name(self):
        renamed = self.path("renamed")
        shutil.copytree(MODEL, renamed)
        rename_tensor(renamed + "/model.safetensors", "shared.weight", "encoder.embed_tokens.weight")
        text = records("seen", 5)
        self.assertEqual(self.succeed("generate", "--model", renamed, GIST, stdin=text),
                         self.succeed("generate", "--model", MODEL, GIST, stdin=text))
        self.assertEqual(self.train("from-renamed", model=renamed), self.train("from-shared"))


if __name__ == "__main__":
    unittest.main()
