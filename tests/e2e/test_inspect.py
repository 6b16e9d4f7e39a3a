"""gist inspect: what a gist store holds."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from families import LLAMA, for_each_family
from gist_cli import FIXTURES, GIST, TempDirTest, environment, records_of, run
from stores import write_store

PROMPTS = {
    "first": "Count the words.",
    "zweite": "Keep only the words that are colours; leave out all others.",
    "third \"3\"": "Reverse the list.",
}


class InspectTest(TempDirTest):
    family = LLAMA

    @classmethod
    def setUpClass(cls):
        cls.stores = tempfile.mkdtemp(prefix="gist-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.stores)
        cls.store = write_store(os.path.join(cls.stores, "store.h5"), PROMPTS, gist_tokens=2,
                                family=cls.family)


@for_each_family
class Proofs(InspectTest):
    def test_json_has_the_header_under_the_attributes_names(self):
        result = run("inspect", "--json", self.store)
        self.assertEqual((result.code, result.err), (0, ""))
        (header,) = records_of(result.out)
        self.assertEqual(header["family"], self.family.name)
        self.assertEqual(header["architecture"], self.family.architecture)
        (reference,) = records_of(run("inspect", "--json", self.family.store).out)
        for name in ("n_layers", "n_kv_heads", "key_dim", "value_dim", "d_model", "key_position",
                     "gist_token_id", "template", "model_sha256", "tokenizer_sha256"):
            self.assertEqual(header[name], reference[name], name)
        self.assertEqual(header["key_position"], self.family.key_position)
        self.assertEqual(header["gist_token"], "<GIST>")
        self.assertEqual(header["gist_tokens"], 2)
        self.assertEqual(header["condition"], "gist")
        self.assertIn("gist", header["template"])
        tokenizer = (self.family.model / self.family.tokenizer.name).read_bytes()
        self.assertEqual(header["tokenizer_sha256"], hashlib.sha256(tokenizer).hexdigest())

    def test_json_counts_rows_tokens_and_bytes(self):
        (counts,) = records_of(run("inspect", "--json", self.store).out)
        rows = records_of(run("inspect", "--rows", self.store).out)
        prompt_tokens = [row["prompt_tokens"] for row in rows]
        self.assertEqual(counts["rows"], 3)
        self.assertEqual(counts["total_gist_tokens"], 6)
        self.assertEqual(counts["gist_tokens_per_row"], {"min": 2, "mean": 2.0, "max": 2})
        self.assertEqual(counts["total_prompt_tokens"], sum(prompt_tokens))
        self.assertEqual(counts["prompt_tokens_per_row"],
                         {"min": min(prompt_tokens), "mean": sum(prompt_tokens) / 3,
                          "max": max(prompt_tokens)})
        self.assertEqual(counts["compression"], sum(prompt_tokens) / 6)
        self.assertEqual(counts["bytes"], os.path.getsize(self.store))
        self.assertEqual(counts["bytes_per_row"], os.path.getsize(self.store) / 3)

    def test_text_says_the_same_as_json(self):
        (header,) = records_of(run("inspect", "--json", self.store).out)
        result = run("inspect", self.store)
        self.assertEqual((result.code, result.err), (0, ""))
        text = dict(line.split(None, 1) for line in result.out.splitlines()
                    if not line.startswith(("gist tokens", "prompt tokens")))
        for name in ["creator", "family", "architecture", "condition", "key_position", "dtype",
                     "model_sha256", "tokenizer_sha256"]:
            self.assertEqual(text[name], header[name])
        self.assertEqual(json.loads(text["template"]), header["template"])
        self.assertEqual(json.loads(text["key"]),
                         [6, header["n_layers"], header["n_kv_heads"], header["key_dim"]])
        self.assertEqual(json.loads(text["hidden"]), [6, header["d_model"]])

    def test_rows_are_the_index_in_file_order(self):
        result = run("inspect", "--rows", self.store)
        self.assertEqual((result.code, result.err), (0, ""))
        rows = records_of(result.out)
        self.assertEqual([list(row) for row in rows],
                         [["id", "row", "ordinal", "position", "prompt_tokens", "gist_tokens",
                           "prompt_sha256"]] * 3)
        self.assertEqual([row["id"] for row in rows], list(PROMPTS))
        self.assertEqual([row["row"] for row in rows], [0, 1, 2])
        self.assertEqual([row["ordinal"] for row in rows], [0, 1, 2])
        self.assertEqual([row["prompt_sha256"] for row in rows],
                         [hashlib.sha256(text.encode()).hexdigest() for text in PROMPTS.values()])
        for row in rows:
            self.assertEqual(row["gist_tokens"], 2)
            self.assertEqual(row["position"], row["prompt_tokens"])

    def test_verify_passes_a_sound_store(self):
        self.assertIn("\nverified: ", run("inspect", "--verify", self.store).out)
        self.assertNotIn("verified", run("inspect", self.store).out)
        (header,) = records_of(run("inspect", "--verify", "--json", self.store).out)
        self.assertIs(header["verified"], True)
        self.assertEqual(run("inspect", "--verify", "--rows", self.store).code, 0)
        self.assertEqual(run("inspect", "--verify", self.family.store).code, 0)


class Inspect(InspectTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.empty = write_store(os.path.join(cls.stores, "empty.h5"), {})

    def test_empty_store_has_no_means(self):
        (counts,) = records_of(run("inspect", "--json", "--verify", self.empty).out)
        self.assertEqual((counts["rows"], counts["total_gist_tokens"]), (0, 0))
        for name in ["gist_tokens_per_row", "bytes_per_row", "compression"]:
            self.assertIsNone(counts[name])
        self.assertEqual(run("inspect", "--rows", self.empty).out, "")
        self.assertEqual(run("inspect", self.empty).code, 0)

    def test_verify_finds_a_damaged_activation(self):
        with open(self.store, "rb") as file:
            whole = file.read()
        found = 0
        for at in range(len(whole) - 64, 0, -len(whole) // 40):
            damaged = bytearray(whole)
            damaged[at] ^= 0x40
            with open(self.path("damaged.h5"), "wb") as file:
                file.write(damaged)
            opened = run("inspect", self.path("damaged.h5"))
            verified = run("inspect", "--verify", self.path("damaged.h5"))
            with self.subTest(at=at):
                self.assertIn(opened.code, (0, 65), opened.err)
                self.assertIn(verified.code, (0, 65), verified.err)
            if opened.code == 0 and verified.code == 65:
                self.assertFails(verified, 65, "damaged.h5", "/gist/")
                found += 1
        self.assertGreater(found, 0)

    def test_trusted_store_reads_the_same(self):
        for options in [["--json"], ["--rows"], ["--verify"]]:
            with self.subTest(options):
                self.assertEqual(run("inspect", "--trust-store", *options, self.store).out,
                                 run("inspect", *options, self.store).out)

    def test_file_that_ends_the_process_that_reads_it_is_damaged(self):
        # Each of these bytes, wrong, can end HDF5 1.10.8 by a segmentation fault.
        with open(FIXTURES / "stores" / "wordtasks-llama-gist-k1-other-types.h5", "rb") as file:
            whole = file.read()
        for at in [3820, 4230, 4722]:
            damaged = bytearray(whole)
            damaged[at] ^= 64
            with open(self.path("damaged.h5"), "wb") as file:
                file.write(damaged)
            with self.subTest(at=at):
                result = run("inspect", self.path("damaged.h5"))
                if result.code != 0:
                    self.assertFails(result, 65, "damaged.h5")

    def test_truncated_store_is_refused(self):
        with open(self.store, "rb") as file:
            whole = file.read()
        for size in [0, 7, 100, len(whole) // 2, len(whole) - 1]:
            with open(self.path("cut.h5"), "wb") as file:
                file.write(whole[:size])
            with self.subTest(size=size):
                self.assertFails(run("inspect", self.path("cut.h5")), 65, "cut.h5")

    def test_partial_is_named_with_what_goes_on_with_it(self):
        # A record that is rejected leaves the partial behind.
        result = run("compress", "--model", self.family.model, "--output", self.path("out.h5"),
                     "--line-buffered", "--gist-tokens", 1,
                     stdin='{"instruction": "Count."}\n{"instruction": 1}\n')
        self.assertEqual(result.code, 65)
        result = run("inspect", self.path("out.h5.partial"))
        self.assertFails(result, 65, "out.h5.partial: the staging file",
                         f"--output {self.path('out.h5')} --resume", "--finish")

    def test_what_is_no_store_is_named(self):
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write("hello\n")
        self.assertFails(run("inspect", self.family.model), 65, "a model directory")
        self.assertFails(run("inspect", self.directory), 65, "a directory")
        self.assertFails(run("inspect", self.path("text")), 65, self.path("text"))
        self.assertFails(run("inspect", self.family.model / "model.safetensors"), 65, "model.safetensors")
        self.assertFails(run("inspect", self.path("none.h5")), 66, self.path("none.h5"))

    def test_wrong_arguments_are_usage_errors(self):
        self.assertFails(run("inspect"), 64, "PATH")
        self.assertFails(run("inspect", self.store, self.empty), 64, "PATH")
        self.assertFails(run("inspect", self.store, "--rows", "--json"), 64, "--rows", "--json")

    def test_closed_stdout_ends_quietly(self):
        for option in ["--rows", "--json"]:
            with self.subTest(option):
                read, write = os.pipe()
                os.close(read)
                done = subprocess.run([GIST, "inspect", option, self.store], stdout=write,
                                      stderr=subprocess.PIPE, env=environment(), check=False)
                os.close(write)
                self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_full_disk_is_an_io_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([GIST, "inspect", self.store], stdout=full,
                                  stderr=subprocess.PIPE, env=environment(), check=False)
        self.assertEqual(done.returncode, 74)
        self.assertIn(b"standard output", done.stderr)


if __name__ == "__main__":
    unittest.main()
