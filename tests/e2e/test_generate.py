"""gist generate: what it answers, from stored gists, under a condition, and to plain text."""

import json
import os
import pty
import re
import subprocess
import unittest

from families import LLAMA, UNDER_GIST, for_each_family
from gist_cli import (FIXTURES, GIST, MODELS, TempDirTest, environment, jsonl, records_of, run,
                      wordtasks)
from stores import write_store

STORIES = FIXTURES / "models" / "stories260K"
STORY = ("Once upon a time, there was a little girl named Lily. She loved to play outside in the "
         "park. One day, she saw a big, red ball. She wanted to play with it, but it was too high")
ONCE = '{"text": "Once upon a time"}\n'


def tasks(count):
    """Word tasks without what is not read."""
    return [{name: record[name] for name in ("instruction", "input")} for record in wordtasks(0, count)]


def generate(*options, stdin=None, model=LLAMA.model):
    return run("generate", "--model", model, *options, stdin=stdin)


def stories(*options, stdin=ONCE):
    return generate(*options, stdin=stdin, model=STORIES)


class PlainText(TempDirTest):
    def test_text_is_continued_without_any_gist_option(self):
        result = stories("--max-new-tokens", 100)
        self.assertEqual((result.code, result.err), (0, ""))
        [answer] = records_of(result.out)
        self.assertEqual(list(answer), ["text", "completion", "finish_reason", "completion_tokens"])
        self.assertTrue((answer["text"] + answer["completion"]).startswith(STORY), answer)
        self.assertEqual((answer["finish_reason"], answer["completion_tokens"]), ("length", 100))

    def test_the_completion_keeps_the_space_that_continues_the_text(self):
        [answer] = records_of(stories("--max-new-tokens", 3, stdin='{"text": "Once upon"}\n').out)
        self.assertTrue(answer["completion"].startswith(" a time"), answer)

    def test_the_completion_ends_before_the_first_stop_string(self):
        [answer] = records_of(stories("--stop", "park", "--stop", "girl named", "--stop", "zzz").out)
        self.assertEqual(answer["completion"], ", there was a little ")
        self.assertEqual(answer["finish_reason"], "stop")

    def test_draws_depend_on_seed_and_record_alone(self):
        many = ONCE * 5
        options = ("--temperature", 1, "--top-k", 50, "--top-p", 0.95, "--max-new-tokens", 30)
        first = stories(*options, "--seed", 7, stdin=many)
        self.assertEqual(first.code, 0, first.err)
        self.assertEqual(first.out, stories(*options, "--seed", 7, stdin=many).out)
        self.assertEqual(first.out,
                         stories(*options, "--seed", 7, "--batch-rows", 1, stdin=many).out)
        self.assertNotEqual(first.out, stories(*options, "--seed", 8, stdin=many).out)
        answers = [record["completion"] for record in records_of(first.out)]
        self.assertEqual(len(set(answers)), 5)

    def test_what_chooses_among_draws_is_said_to_have_no_effect_where_none_are_made(self):
        greedy = stories("--max-new-tokens", 3)
        same = stories("--max-new-tokens", 3, "--top-k", 50, "--top-p", 0.5)
        self.assertEqual((same.code, same.out), (0, greedy.out))
        self.assertEqual(same.err.count("has no effect at --temperature 0"), 2)

    def test_top_k_of_one_is_greedy(self):
        greedy = stories("--max-new-tokens", 30)
        self.assertEqual(greedy.out, stories("--max-new-tokens", 30, "--temperature", 2, "--top-k",
                                             1).out)

    def test_what_a_user_types_is_never_a_special_token(self):
        typed = stories("--max-new-tokens", 1, stdin='{"text": "<GIST></s>"}\n')
        self.assertEqual(typed.code, 0, typed.err)
        self.assertEqual(records_of(typed.out)[0]["text"], "<GIST></s>")


class Records(TempDirTest):
    def test_unknown_fields_pass_byte_for_byte(self):
        line = '{ "n" : 123456789012345678901234567890.50, "text":"Once","\\u00e9": [1 ,2] }'
        result = stories("--max-new-tokens", 1, stdin=line + "\n")
        self.assertEqual(result.code, 0, result.err)
        self.assertTrue(result.out.startswith(line[:-2] + ', "completion": '), result.out)

    def test_bad_records_end_the_run_and_name_their_line(self):
        bad = {
            '{"text": 1}': "text",
            '{"text": "a", "completion": "b"}': "completion",
            '{"text": "a", "instruction": "b", "input": ""}': "both",
            '{"input": "a"}': "instruction",
            '{"instruction": " ", "input": "a"}': "empty",
            '{"instruction": "a"}': "input",
            '{"text": "a"': "2",
            '{"text": "\udcff"}': "UTF-8",
            json.dumps({"text": "word " * 600}): "512 positions",
        }
        for line, word in bad.items():
            with self.subTest(line=line[:60]):
                result = stories("--condition", "pos", "--gist-tokens", 0, "--max-new-tokens", 2,
                                 stdin='{"text": "good"}\n' + line + "\n" + '{"text": "good"}\n')
                self.assertEqual(result.code, 65)
                self.assertEqual(result.err.count("\n"), 1, result.err)
                self.assertIn("2", result.err)
                self.assertIn(word, result.err)
                # What stands before it is answered.
                self.assertEqual(len(records_of(result.out)), 1)

    def test_keep_going_skips_bad_records_and_says_so(self):
        lines = '{"text": "a"}\n\nnonsense\n{"text": "b"}\n{"txt": "c"}\n'
        result = stories("--condition", "pos", "--gist-tokens", 0, "--max-new-tokens", 2,
                         "--keep-going", "--errors", self.path("errors"), stdin=lines)
        self.assertEqual(result.code, 1)
        self.assertEqual([record["text"] for record in records_of(result.out)], ["a", "b"])
        self.assertEqual(result.err, "gist: 2 records rejected: they stand with the reasons in "
                                     f"{self.path('errors')}\n")
        with open(self.path("errors")) as errors:
            rejects = [json.loads(line) for line in errors]
        self.assertEqual([(r["line"], r["ordinal"], r["record"]) for r in rejects],
                         [(3, 1, "nonsense"), (5, 3, '{"txt": "c"}')])

    def test_empty_input_gives_empty_output(self):
        result = stories(stdin="")
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))

    def test_options_that_make_no_sense_are_refused(self):
        instruction = '{"instruction": "a", "input": ""}\n'
        refused = [
            ((), "--condition"),  # no gist.json
            (("--condition", "gist", "--gist-tokens", 0), "gist token"),
            (("--condition", "neg", "--gist-tokens", 0), "gist token"),
            (("--condition", "half", "--gist-tokens", 1), "half"),
            (("--store", "x", "--condition", "gist"), "--store"),
            (("--allow-mismatch",), "--store"),
            (("--stop", ""), "--stop"),
            (("--top-p", 0), "--top-p"),
            (("--temperature", -1), "--temperature"),
            (("--max-new-tokens", 0), "--max-new-tokens"),
            (("--resume",), "--output"),
            (("--force",), "--output"),
            (("--errors", "x"), "--keep-going"),
        ]
        for options, word in refused:
            with self.subTest(options=options):
                self.assertFails(stories(*options, stdin=instruction), 64, word)

    def test_a_condition_with_gists_needs_a_gist_token(self):
        result = stories("--condition", "gist", "--gist-tokens", 1, stdin='{"text": "a"}\n')
        self.assertFails(result, 65, "<GIST>")

    def test_a_missing_input_has_its_own_exit_code(self):
        self.assertFails(stories("--input", self.path("none.jsonl")), 66, "none.jsonl")


class GistsTest(TempDirTest):
    family = LLAMA

    @classmethod
    def setUpClass(cls):
        # One asks for nothing of an input: from a store, an encoder then has nothing to read.
        cls.records = [*tasks(40), {"instruction": "Leave out the first word.", "input": ""}]

    def store(self, *options, gist_tokens=1):
        prompts = {str(i): record["instruction"] for i, record in enumerate(self.records)}
        return write_store(self.path("gists.h5"), prompts, *options, gist_tokens=gist_tokens,
                           family=self.family)

    def completions(self, result):
        self.assertEqual((result.code, result.err), (0, ""))
        return [(r["completion"], r["finish_reason"]) for r in records_of(result.out)]


@for_each_family
class Proofs(GistsTest):
    def generate(self, *options, stdin):
        return generate(*options, stdin=stdin, model=self.family.model)

    def under_mask(self, *options):
        return self.generate(*UNDER_GIST, *options, stdin=jsonl(self.records))

    def test_a_stored_gist_answers_as_its_prompt_does(self):
        for k in (1, 3):
            with self.subTest(k=k):
                store = self.store("--force", gist_tokens=k)
                asked = jsonl({"gist": i, "input": r["input"]} for i, r in enumerate(self.records))
                stored = self.generate("--store", store, stdin=asked)
                whole = self.generate("--condition", "gist", "--gist-tokens", k,
                                      stdin=jsonl(self.records))
                self.assertEqual(self.completions(stored), self.completions(whole))

    def test_a_store_that_others_wrote_answers_as_its_prompts_do(self):
        golden = FIXTURES / "golden" / self.family.model.name / "golden.json"
        prompts = json.loads(golden.read_text())["prompts"]
        asked = jsonl({"gist": f"prompt-{i}", "input": p["input"]} for i, p in enumerate(prompts))
        whole = jsonl({"instruction": p["instruction"], "input": p["input"]} for p in prompts)
        self.assertEqual(
            self.completions(self.generate("--store", self.family.store, stdin=asked)),
            self.completions(self.generate(*UNDER_GIST, stdin=whole)))
        # Neither memory nor the check of the file changes what is read.
        self.assertEqual(
            self.generate("--store", self.family.store, "--store-cache", 0, "--trust-store",
                          stdin=asked).out,
            self.generate("--store", self.family.store, stdin=asked).out)

    def test_a_full_prompt_answers_as_pos_does(self):
        if not self.family.keeps_whole_prompts:
            self.skipTest("an encoder's prompt sees the input")
        cached = self.generate("--store", self.store("--full-prompt"), stdin=jsonl(self.records))
        whole = self.generate("--condition", "pos", "--gist-tokens", 1, stdin=jsonl(self.records))
        self.assertEqual(self.completions(cached), self.completions(whole))

    def test_rows_end_with_eos_or_at_the_limit(self):
        ended = self.completions(self.under_mask())
        self.assertEqual({reason for _, reason in ended}, {"eos"})
        cut = records_of(self.under_mask("--max-new-tokens", 1).out)
        self.assertEqual({r["completion_tokens"] for r in cut if r["finish_reason"] == "length"},
                         {1})
        self.assertEqual([r["completion"] for r in cut],
                         [text.split(" ")[0] for text, _ in ended])

    def test_rows_of_a_batch_answer_as_alone(self):
        together = self.under_mask("--batch-rows", 64)
        self.assertEqual(self.completions(together),
                         self.completions(self.under_mask("--batch-rows", 1)))
        self.assertEqual(together.out, self.under_mask("--batch-rows", 7, "--batch-tokens", 50).out)
        self.assertEqual([r["input"] for r in records_of(together.out)],
                         [r["input"] for r in self.records])


class Gists(GistsTest):
    def test_gist_json_says_condition_and_gist_tokens(self):
        for condition in ("gist", "pos", "neg"):
            with self.subTest(condition=condition):
                model = MODELS / f"wordtasks-llama-{condition}"
                told = generate("--condition", condition, "--gist-tokens", 1,
                                stdin=jsonl(self.records), model=model)
                self.assertEqual(told.out, generate(stdin=jsonl(self.records), model=model).out)
                self.assertEqual(len(self.completions(told)), 41)

    def test_a_record_without_gist_is_found_by_its_prompt(self):
        store = self.store()
        padded = jsonl({**r, "instruction": f"  {r['instruction']}\n"} for r in self.records)
        asked = jsonl({"gist": str(i), "input": r["input"]} for i, r in enumerate(self.records))
        self.assertEqual(self.completions(generate("--store", store, stdin=padded)),
                         self.completions(generate("--store", store, stdin=asked)))

    def test_unknown_gists_are_named(self):
        store = self.store()
        self.assertFails(generate("--store", store, stdin='\n{"gist": "none", "input": ""}\n'), 65,
                         ":2:", '"none"', store)
        self.assertFails(generate("--store", store, stdin='{"gist": true, "input": ""}\n'), 65,
                         ":1:", "gist")
        self.assertFails(generate("--store", store, stdin='{"instruction": "x", "input": ""}\n'), 65,
                         ":1:", '"x"')
        self.assertFails(generate("--store", store, stdin='{"text": "x"}\n'), 65, ":1:", "gist")

    def test_a_store_of_another_model_needs_to_be_allowed(self):
        store = self.store()
        other = MODELS / "wordtasks-llama-pos"
        asked = '{"gist": "0", "input": "cat, dog"}\n'
        self.assertFails(generate("--store", store, stdin=asked, model=other), 65, store,
                         "model_sha256")
        allowed = generate("--store", store, "--allow-mismatch", stdin=asked, model=other)
        self.assertEqual(allowed.code, 0, allowed.err)


class Streaming(TempDirTest):
    def on_terminal(self, *options, stdin):
        """What stands on a terminal that is generate's standard output."""
        controller, terminal = pty.openpty()
        process = subprocess.Popen([GIST, "generate", *map(str, options)], stdin=subprocess.PIPE,
                                   stdout=terminal, stderr=subprocess.PIPE, env=environment())
        os.close(terminal)
        process.stdin.write(stdin.encode())
        process.stdin.close()
        shown = b""
        while True:
            try:
                chunk = os.read(controller, 4096)
            except OSError:  # EIO: the other side has closed
                break
            if not chunk:
                break
            shown += chunk
        os.close(controller)
        with process.stderr:
            self.assertEqual((process.wait(), process.stderr.read()), (0, b""))
        return shown.decode().replace("\r\n", "\n")

    def test_a_terminal_gets_text_in_the_order_of_the_input(self):
        records = jsonl({"text": text} for text in ("Once upon a time", "Lily", "One day, Tim"))
        options = ("--max-new-tokens", 60, "--stop", "She", "--stop", "!!")
        expected = records_of(stories(*options, stdin=records).out)
        self.assertEqual(self.on_terminal("--model", STORIES, *options, stdin=records),
                         "".join(record["completion"] + "\n" for record in expected))

    def test_drawn_bytes_never_make_half_a_character(self):
        # At this temperature single bytes are drawn, which seldom make whole characters.
        options = ("--max-new-tokens", 60, "--temperature", 50)
        [expected] = records_of(stories(*options).out)
        self.assertIn("\ufffd", expected["completion"])
        # What would steer the terminal is spelled, as JSON does.
        shown = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda c: json.dumps(c[0])[1:-1], expected["completion"])
        self.assertNotEqual(shown, expected["completion"])
        self.assertEqual(self.on_terminal("--model", STORIES, *options, stdin=ONCE).strip("\n"),
                         shown.strip("\n"))


if __name__ == "__main__":
    unittest.main()
