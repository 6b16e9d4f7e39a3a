"""gist evaluate: loss and exact match of models, stores and completions."""

import gzip
import json
import math
import unittest

from families import LLAMA, UNDER_GIST, for_each_family
from gist_cli import FIXTURES, ROOT, TempDirTest, jsonl, records_of, run
from stores import write_store

DATA = ROOT / "examples" / "data"
MODEL = LLAMA.model
RECORDS = [
    {"instruction": "Leave out the first word.", "input": "cat, lake, indigo",
     "output": "lake indigo", "split": "a"},
    {"instruction": "Count the words.", "input": "", "output": "none", "split": "b"},
    {"instruction": "Rotate the list by one word to the left.",
     "input": "grey, camel, axe, apple, brown", "output": "camel axe apple brown grey",
     "split": "a"},
]


def evaluate(*options, stdin=None):
    return run("evaluate", *options, stdin=stdin)


class EvaluateTest(TempDirTest):
    def report(self, *options, stdin=None, code=0):
        """Of the one system that the options name."""
        result = evaluate("--json", *options, stdin=stdin)
        self.assertEqual(result.code, code, result.err)
        (report,) = records_of(result.out)
        (system,) = report["systems"]
        return system

    def assertSameScores(self, one, other):
        self.assertEqual(one["exact_match"], other["exact_match"])
        self.assertEqual((one["records"], one["label_tokens"]),
                         (other["records"], other["label_tokens"]))
        self.assertAlmostEqual(one["loss"], other["loss"], delta=1e-5)


@for_each_family
class Proofs(EvaluateTest):
    def scores(self, *options, records=RECORDS, model=None):
        """Of all records, which stand on standard input unless options say otherwise."""
        data = () if "--data" in options else ("--data", "-")
        return self.report("--model", model or self.family.model, *data, *options,
                           stdin=jsonl(records))["all"]

    def store(self, gist_tokens=1):
        prompts = {str(i): record["instruction"] for i, record in enumerate(RECORDS)}
        return write_store(self.path("s.h5"), prompts, gist_tokens=gist_tokens, family=self.family)

    def test_the_word_tasks_score_as_when_they_were_trained(self):
        for model, splits in self.family.scores.items():
            for split, (exact_match, loss) in splits.items():
                with self.subTest(model=model.name, split=split):
                    scores = self.scores("--condition", model.name.rsplit("-", 1)[1], "--gist-tokens", 1,
                                         "--data", DATA / f"wordtasks_{split}.jsonl.gz",
                                         "--max-new-tokens", 24, model=model)
                    self.assertEqual(scores["records"], 500)
                    self.assertAlmostEqual(100 * scores["exact_match"], exact_match, delta=0.5)
                    self.assertAlmostEqual(scores["loss"] / loss, 1, delta=1e-3)

    def test_bytes_are_those_of_what_the_answer_sees_before_the_input(self):
        store = self.store(gist_tokens=3)
        (header,) = records_of(run("inspect", "--json", store).out)
        token_bytes = 4 * (header["n_layers"] * header["n_kv_heads"] * (
            header["key_dim"] + header["value_dim"]) + header["d_model"])
        one = RECORDS[:1]
        gist, pos, neg = (
            self.scores("--condition", condition, "--gist-tokens", 3, "--max-new-tokens", 1, records=one)
            for condition in ("gist", "pos", "neg"))
        self.assertEqual(gist["prompt_bytes"], 3 * token_bytes)
        self.assertEqual(neg["prompt_bytes"], 0)
        stored = self.scores("--store", store, "--max-new-tokens", 1, records=one)
        self.assertEqual(stored["prompt_bytes"], gist["prompt_bytes"])
        # What is stored is not read again: the prompt and the gist.
        before = pos["prompt_bytes"] / token_bytes
        self.assertEqual(stored["prompt_tokens"], pos["prompt_tokens"] - before)
        self.assertGreater(before, 5)

    def test_a_store_scores_as_its_prompts_do(self):
        store = self.store()
        whole = self.scores(*UNDER_GIST)
        self.assertSameScores(self.scores("--store", store), whole)
        named = [{"gist": i, "input": r["input"], "output": r["output"]}
                 for i, r in enumerate(RECORDS)]
        self.assertSameScores(self.scores("--store", store, records=named), whole)

    def test_small_batches_score_as_large_ones(self):
        self.assertSameScores(self.scores(*UNDER_GIST, "--batch-tokens", 1, "--batch-rows", 1),
                              self.scores(*UNDER_GIST))

    def test_what_generate_writes_is_what_evaluate_reads(self):
        answers = run("generate", "--model", self.family.model, *UNDER_GIST, stdin=jsonl(RECORDS))
        self.assertEqual(answers.code, 0, answers.err)
        scores = self.report("--data", "-", stdin=answers.out)["all"]
        self.assertEqual(scores["exact_match"], self.scores(*UNDER_GIST)["exact_match"])


class Models(EvaluateTest):
    def test_a_report_says_what_was_measured(self):
        report = self.report("--model", MODEL, "--data", "-", "--max-new-tokens", 5,
                             stdin=jsonl(RECORDS))
        self.assertEqual(list(report), ["name", "model", "condition", "gist_tokens", "all", "groups"])
        self.assertEqual((report["name"], report["condition"], report["gist_tokens"], report["model"]),
                         (MODEL.name, "gist", 1, str(MODEL)))
        self.assertEqual(report["groups"], [])
        scores = report["all"]
        self.assertEqual(scores["records"], 3)
        self.assertAlmostEqual(scores["perplexity"], math.exp(scores["loss"]))
        self.assertLessEqual(scores["generated_tokens"], 15)
        self.assertGreater(scores["loss_seconds"], 0)
        self.assertGreater(scores["generation_seconds"], 0)

    def test_a_full_prompt_scores_as_pos_does(self):
        store = write_store(self.path("s.h5"), {str(i): r["instruction"]
                                                for i, r in enumerate(RECORDS)}, "--full-prompt")
        cached = self.report("--model", MODEL, "--store", store, "--data", "-", stdin=jsonl(RECORDS))
        self.assertEqual((cached["condition"], cached["store"]), ("pos", store))
        whole = self.report("--model", MODEL, "--condition", "pos", "--data", "-",
                            stdin=jsonl(RECORDS))
        self.assertSameScores(cached["all"], whole["all"])
        self.assertEqual(cached["all"]["prompt_bytes"], whole["all"]["prompt_bytes"])

    def test_groups_stand_in_the_order_of_the_data_and_add_up(self):
        report = self.report("--model", MODEL, "--data", "-", "--group-by", "split",
                             stdin=jsonl(RECORDS))
        a, b = report["groups"]
        self.assertEqual((a["group"], a["records"], b["group"], b["records"]), ("a", 2, "b", 1))
        labels = a["label_tokens"] + b["label_tokens"]
        self.assertEqual(labels, report["all"]["label_tokens"])
        self.assertAlmostEqual(
            a["loss"] * a["label_tokens"] + b["loss"] * b["label_tokens"],
            report["all"]["loss"] * labels)

    def test_without_a_condition_nothing_is_guessed(self):
        stories = FIXTURES / "models" / "stories260K"
        self.assertFails(evaluate("--model", stories, "--data", "-", stdin=jsonl(RECORDS)), 64,
                         "--condition", "--gist-tokens")
        self.report("--model", stories, "--condition", "pos", "--gist-tokens", 0, "--data", "-",
                    "--max-new-tokens", 1, stdin=jsonl(RECORDS))


class Completions(EvaluateTest):
    ANSWERS = [{"completion": " a b\n", "output": "a b", "task": 1},
               {"completion": "a  b", "output": "a b", "task": 2},
               {"completion": "", "output": "", "task": 2}]

    def test_completions_are_compared_after_strip(self):
        scores = self.report("--data", "-", stdin=jsonl(self.ANSWERS))["all"]
        self.assertEqual((scores["records"], scores["exact_match"]), (3, 2 / 3))

    def test_completions_have_groups_and_a_table(self):
        result = evaluate("--data", "-", "--group-by", "task", stdin=jsonl(self.ANSWERS))
        self.assertEqual(result.code, 0, result.err)
        tables = [[line.split()[:3] for line in table.splitlines()] for table in result.out.split("\n\n")]
        self.assertEqual(tables[0][:2], [["3", "records", "completions"], ["exact", "match,", "%"]])
        self.assertEqual(tables[1][1:], [["1", "1", "100.0"], ["2", "2", "50.0"]])

    def test_options_for_a_model_need_one(self):
        for options in (("--store", "x"), ("--condition", "pos"), ("--gist-tokens", 1),
                        ("--allow-mismatch",)):
            with self.subTest(options):
                self.assertFails(evaluate("--data", "-", *options, stdin=jsonl(self.ANSWERS)), 64,
                                 options[0], "--model")


class JsonArrays(EvaluateTest):
    """An input that starts with [ is one array of records."""

    def written(self, name, text):
        path = self.path(name)
        with (gzip.open if name.endswith(".gz") else open)(path, "wt") as file:
            file.write(text)
        return path

    def test_an_array_has_the_records_of_its_lines(self):
        lines = self.report("--model", MODEL, "--data", "-", stdin=jsonl(RECORDS))["all"]
        pretty = "\n" + json.dumps(RECORDS, indent=2)
        for name in ("data.json", "data.json.gz"):
            with self.subTest(name):
                path = self.written(name, pretty)
                array = self.report("--model", MODEL, "--data", path)["all"]
                self.assertSameScores(array, lines)
        self.assertSameScores(
            self.report("--model", MODEL, "--data", "-", stdin=json.dumps(RECORDS))["all"], lines)

    def test_generate_answers_an_array_as_it_does_lines(self):
        lines = run("generate", "--model", MODEL, stdin=jsonl(RECORDS))
        self.assertEqual(lines.code, 0, lines.err)
        path = self.written("data.json.gz", json.dumps(RECORDS, indent=2))
        array = run("generate", "--model", MODEL, "--input", path)
        self.assertEqual((array.code, array.err), (0, ""))
        self.assertEqual(records_of(array.out), records_of(lines.out))
        # One line a record, changed in nothing but its line ends.
        self.assertTrue(array.out.startswith('{     "instruction": '), array.out)

    def test_a_bad_element_is_a_bad_record(self):
        array = "[" + ",\n".join(map(json.dumps, [RECORDS[0], 7, RECORDS[1]])) + "]"
        self.assertFails(evaluate("--model", MODEL, "--data", "-", stdin=array), 65,
                         "standard input:2:", "object, not number")
        errors = self.path("errors")
        report = self.report("--model", MODEL, "--data", "-", "--keep-going", "--errors", errors,
                             code=1, stdin=array)
        self.assertEqual(report["all"]["records"], 2)
        with open(errors) as lines:
            self.assertEqual([(e["line"], e["ordinal"], e["record"])
                              for e in map(json.loads, lines)], [(2, 1, "7")])

    def test_what_is_no_array_is_named(self):
        one = '{"output": "a", "completion": "a"}'
        for text, place, word in ((f"[{one},\n{one}", ":2:", "truncated"), (f"[{one}\n{one}]", ":2:", "found"),
                                  ("[]\n{}", ":2:", "follow"), ("[]", ":", "no record")):
            with self.subTest(text):
                self.assertFails(evaluate("--data", "-", stdin=text), 65,
                                 "standard input" + place, word)


class BadRecords(EvaluateTest):
    def test_bad_records_name_their_line(self):
        bad = [({"instruction": "a", "input": "b", "split": 1}, "output"),
               ({"input": "b", "output": "c", "split": 1}, "instruction"),
               ({"instruction": "a", "input": "b", "output": "c"}, "split"),
               ({"instruction": "a", "input": "b", "output": "c " * 300, "split": 1}, "positions")]
        for record, word in bad:
            with self.subTest(word):
                result = evaluate("--model", MODEL, "--data", "-", "--group-by", "split",
                                  stdin=jsonl([RECORDS[0], record]))
                self.assertFails(result, 65, "2", word)

    def test_keep_going_measures_the_rest(self):
        errors = self.path("errors")
        report = self.report("--model", MODEL, "--data", "-", "--keep-going", "--errors", errors,
                             "--group-by", "split", code=1,
                             stdin=jsonl([RECORDS[0], {"split": "bad"}, RECORDS[1]]))
        self.assertEqual(report["all"]["records"], 2)
        self.assertEqual([group["group"] for group in report["groups"]], ["a", "b"])
        with open(errors) as lines:
            self.assertEqual([json.loads(line)["line"] for line in lines], [2])

    def test_no_record_is_an_error(self):
        self.assertFails(evaluate("--data", "-", stdin="\n"), 65, "standard input")

    def test_damaged_gzip_is_named(self):
        path = self.path("data.jsonl.gz")
        whole = (DATA / "wordtasks_seen.jsonl.gz").read_bytes()
        with open(path, "wb") as file:
            file.write(whole[: len(whole) // 2])
        self.assertFails(evaluate("--model", MODEL, "--data", path), 65, path, "gzip")
        self.assertFails(evaluate("--data", self.path("none.jsonl")), 66, "none.jsonl")


if __name__ == "__main__":
    unittest.main()
