"""gist train --gist-ids distinct and --gist-tokens A-B: what gists are made of, and models of several lengths."""

import json
import shutil
import struct
import unittest

from families import LLAMA, for_each_family
from gist_cli import jsonl, records_of, run
from training import TrainTest

CHANGES_NOTHING = {"steps": 1, "lr": 1e-12, "weight_decay": 0}  # nearly: rows are those that it started from


def rows_of(directory, tensor):
    """The rows of an f32 matrix in a directory's model.safetensors."""
    with open(f"{directory}/model.safetensors", "rb") as file:
        [size] = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(size))[tensor]
        begin, end = entry["data_offsets"]
        file.seek(8 + size + begin)
        values = struct.unpack(f"<{(end - begin) // 4}f", file.read(end - begin))
    width = entry["shape"][1]
    return [values[i:i + width] for i in range(0, len(values), width)]


@for_each_family
class Lengths(TrainTest):
    """A model of distinct ids that is trained with each of 1 to 3 gist tokens."""

    prompts = jsonl([{"id": "a", "instruction": "Leave out the first word."},
                     {"id": "b", "instruction": "Count the words."}])

    def setUp(self):
        super().setUp()
        self.model = self.trained("model", gist_tokens="1-3", gist_ids="distinct", steps=4)
        self.questions = [{"instruction": "Leave out the first word.", "input": "cat, lake, red"},
                          {"instruction": "Count the words.", "input": "cat, lake"}]

    def compress(self, output, *options, model=None):
        return run("compress", "--model", model or self.model, "--output", self.path(output), *options,
                   stdin=self.prompts)

    def answers(self, *options, questions):
        result = run("generate", "--model", self.model, "--max-new-tokens", 8, *options, stdin=jsonl(questions))
        self.assertEqual((result.code, result.err), (0, ""))
        return [line["completion"] for line in records_of(result.out)]

    def test_gist_json_says_lengths_and_ids_which_follow_each_other(self):
        settings = self.json_in("model", "gist.json")
        self.assertEqual(settings["version"], "1.1")
        tokens = settings["gist_tokens"]
        self.assertEqual((tokens["least"], tokens["most"]), (1, 3))
        first = tokens["ids"][0]
        self.assertEqual(tokens["ids"], [first, first + 1, first + 2])
        added = self.json_in("model", "added_tokens.json")
        self.assertEqual([added[name] for name in ("<GIST>", "<GIST1>", "<GIST2>")], tokens["ids"])
        self.assertGreaterEqual(self.json_in("model", "config.json")["vocab_size"], first + 3)

    def test_compress_chooses_the_length_and_generate_answers_from_the_store_as_from_the_prompt(self):
        texts = set()
        for k in (1, 2, 3):
            store = f"{k}.h5"
            self.assertEqual(self.compress(store, "--gist-tokens", k).code, 0)
            rows = records_of(run("inspect", "--rows", self.path(store)).out)
            self.assertEqual([row["gist_tokens"] for row in rows], [k, k])
            behind = [{"gist": name, "input": question["input"]} for name, question in zip("ab", self.questions)]
            read = self.answers("--condition", "gist", "--gist-tokens", k, questions=self.questions)
            self.assertEqual(self.answers("--store", self.path(store), questions=behind), read)
            texts.add(tuple(read))
        self.assertEqual(self.compress("most.h5").code, 0)  # as gist.json says
        rows = records_of(run("inspect", "--rows", self.path("most.h5")).out)
        self.assertEqual([row["gist_tokens"] for row in rows], [3, 3])

    def test_other_lengths_are_refused(self):
        for command in (self.compress("4.h5", "--gist-tokens", 4),
                        run("generate", "--model", self.model, "--condition", "gist", "--gist-tokens", 4,
                            stdin=jsonl(self.questions))):
            self.assertFails(command, 64, "gist.json", "with 1 to 3 gist tokens, not with 4", "--gist-tokens")

    def test_stores_of_several_lengths_are_merged(self):
        for k in (1, 3):
            records = jsonl([{"id": f"of {k}", "instruction": "Count the words."}])
            made = run("compress", "--model", self.model, "--output", self.path(f"{k}.h5"), "--gist-tokens", k,
                       stdin=records)
            self.assertEqual(made.code, 0, made.err)
        merged = run("merge", "--output", self.path("all.h5"), self.path("1.h5"), self.path("3.h5"))
        self.assertEqual((merged.code, merged.err), (0, ""))
        rows = records_of(run("inspect", "--rows", self.path("all.h5")).out)
        self.assertEqual([(row["id"], row["gist_tokens"]) for row in rows], [("of 1", 1), ("of 3", 3)])
        for k in (1, 3):
            answers = [self.answers("--store", self.path(store), questions=[{"gist": f"of {k}", "input": "cat"}])
                       for store in (f"{k}.h5", "all.h5")]
            self.assertEqual(*answers)

    def test_evaluate_compares_lengths_of_one_model(self):
        result = run("evaluate", "--model", self.model, "--model", self.model, "--gist-tokens", 1, "--gist-tokens", 2,
                     "--data", self.path("data.jsonl"), "--max-new-tokens", 2, "--json")
        self.assertEqual(result.code, 0, result.err)
        systems = json.loads(result.out)["systems"]
        self.assertEqual([system["gist_tokens"] for system in systems], [1, 2])

    def test_a_run_is_resumed_with_the_same_bytes(self):
        options = {"gist_tokens": "1-3", "gist_ids": "distinct", "save_every": 3, "steps": 6, "keep": 9}
        self.assertEqual(self.train("whole", **options).code, 0)
        self.as_if_killed("whole", "cut", 3)
        self.assertEqual(self.train("cut", resume=True, **options).code, 0)
        self.assertEqual(self.weights("whole"), self.weights("cut"))
        self.as_if_killed("whole", "other", 3)
        result = self.train("other", resume=True, **{**options, "gist_tokens": 3})
        self.assertFails(result, 64, 'gist tokens "1-3", and this run has 3 (--gist-tokens)')

    def test_training_goes_on_as_gist_json_says(self):
        self.trained("more", model=self.model, condition=None, gist_tokens=None, steps=2)
        self.assertEqual(self.json_in("more", "gist.json"), self.json_in("model", "gist.json"))
        self.trained("longer", model=self.model, gist_tokens=5, steps=2)
        tokens = self.json_in("longer", "gist.json")["gist_tokens"]
        self.assertEqual((tokens["least"], tokens["most"], len(tokens["ids"])), (5, 5, 5))


class Beginnings(TrainTest):
    table = "model.embed_tokens.weight"

    def test_one_id_of_several_lengths(self):
        self.trained("model", gist_tokens="1-4")
        self.assertEqual(self.json_in("model", "gist.json")["gist_tokens"], {"least": 1, "most": 4})
        self.assertEqual(list(self.json_in("model", "added_tokens.json")), ["<GIST>"])

    def test_a_single_length_is_written_as_ever(self):
        self.trained("model", gist_tokens=2, gist_ids="one")
        settings = self.json_in("model", "gist.json")
        self.assertEqual((settings["version"], settings["gist_tokens"]), ("1.0", 2))

    def test_new_rows_start_from_parts_of_the_table(self):
        model = self.trained("model", gist_tokens=2, gist_ids="distinct", **CHANGES_NOTHING)
        base = rows_of(self.family.base, self.table)
        rows = rows_of(model, self.table)
        for row, part in ((rows[512], base[:256]), (rows[513], base[256:])):
            for value, column in zip(row, zip(*part)):
                self.assertAlmostEqual(value, sum(column) / len(part), delta=1e-6)

    def test_new_rows_start_from_words(self):
        # Several tokens make a word: its row is their mean.
        model = self.trained("model", gist_tokens=2, gist_ids="distinct", gist_init="cat,the", **CHANGES_NOTHING)
        swapped = self.trained("swapped", gist_tokens=2, gist_ids="distinct", gist_init="the,cat", **CHANGES_NOTHING)
        rows, others = rows_of(model, self.table), rows_of(swapped, self.table)
        self.assertNotEqual(rows[512], rows[513])
        for mine, other in ((rows[512], others[513]), (rows[513], others[512])):
            for value, same in zip(mine, other):
                self.assertAlmostEqual(value, same, delta=1e-6)

    def test_more_ids_keep_those_that_are_there(self):
        one = self.trained("one", gist_tokens=1)
        three = self.trained("three", model=one, gist_tokens=3, gist_ids="distinct", **CHANGES_NOTHING)
        was, rows = rows_of(one, self.table), rows_of(three, self.table)
        for row in rows[512:515]:
            for value, before in zip(row, was[512]):
                self.assertAlmostEqual(value, before, delta=1e-6)

    def test_tokenizer_and_gist_json_must_agree(self):
        model = self.trained("model", gist_tokens=2, gist_ids="distinct", steps=1)
        for name in ("added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(f"{self.trained(f'one-{name}', steps=1)}/{name}", model)
        result = run("compress", "--model", model, "--output", self.path("out.h5"), stdin="")
        self.assertFails(result, 65, "gist.json", "<GIST> to <GIST1> are not there")


class Refused(TrainTest):
    def test_what_is_no_range(self):
        for text in ("3-1", "0-2", "1-", "1-2-3", "1-x", "1-2000"):
            self.assertFails(self.train(gist_tokens=text), 64, "--gist-tokens", "A-B with 1 <= A <= B <= 1024", text)

    def test_what_names_no_ids(self):
        self.assertFails(self.train(gist_ids="two"), 64, "--gist-ids: expected one or distinct", "two")
        self.assertFails(self.train(gist_ids="distinct", gist_tokens=0, condition="pos"), 64, "--gist-tokens of 1")
        self.assertFails(self.train(gist_ids="distinct", gist_tokens=2000), 64, "at most 1024", "2000")

    def test_words_that_new_tokens_cant_start_from(self):
        few = self.train(gist_ids="distinct", gist_tokens=3, gist_init="cat,dog")
        self.assertFails(few, 64, "expected 3, found 2", "--gist-init")
        empty = self.train(gist_ids="distinct", gist_tokens=2, gist_init="cat,")
        self.assertFails(empty, 64, '""', "--gist-init", "choose another word")
        new = self.train(model=None, init=self.write("config.json", json.dumps(LLAMA.config)),
                         tokenizer=LLAMA.tokenizer, gist_init="cat")
        self.assertFails(new, 64, "--gist-init needs --model")


if __name__ == "__main__":
    unittest.main()
