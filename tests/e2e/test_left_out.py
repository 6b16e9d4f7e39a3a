"""Records that a command is told to leave out, by their length or because they stand elsewhere: none
goes without a word."""

import json
import os
import unittest

from gist_cli import FIXTURES, TempDirTest, records_of, run

MODEL = FIXTURES / "models" / "wordtasks-llama-gist"


def prompt(words, **fields):
    return {"instruction": "Say " + "lake " * words, **fields}


def task(i, **fields):
    return {"instruction": f"Count to {i}.", "input": "cat, lake", "output": "two", **fields}


def jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records)


class LeftOutTest(TempDirTest):
    def written(self, name, records):
        with open(self.path(name), "w") as file:
            file.write(jsonl(records))
        return self.path(name)

    def listed(self, name="left_out.jsonl"):
        return records_of(self.read(name).decode())


class CompressLength(LeftOutTest):
    WORDS = [3, 40, 3, 60, 5, 40]  # of the prompts in prompts.jsonl

    def setUp(self):
        super().setUp()
        self.prompts = self.written("prompts.jsonl", [prompt(words, id=str(i))
                                                      for i, words in enumerate(self.WORDS)])

    def compress(self, *options, store="out.h5"):
        return run("compress", "--model", MODEL, "--input", self.prompts, "--output", self.path(store),
                   "--max-tokens", 20, *options)

    def test_longer_prompts_are_left_out_counted_and_listed(self):
        result = self.compress("--left-out", self.path("left_out.jsonl"))
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.err.count("\n"), 1)
        self.assertIn(f"{self.prompts}: 3 of 6 records are longer than --max-tokens", result.err)
        self.assertIn(self.path("left_out.jsonl"), result.err)
        self.assertEqual([receipt["id"] for receipt in records_of(result.out)], ["0", "2", "4"])
        self.assertEqual([receipt["row"] for receipt in records_of(result.out)], [0, 1, 2])
        self.assertEqual([receipt["ordinal"] for receipt in records_of(result.out)], [0, 2, 4])
        listed = self.listed()
        self.assertEqual(list(listed[0]), ["data", "line", "ordinal", "reason", "tokens"])
        self.assertEqual([(line["line"], line["ordinal"], line["reason"]) for line in listed],
                         [(2, 1, "max-tokens"), (4, 3, "max-tokens"), (6, 5, "max-tokens")])
        for line in listed:
            self.assertEqual(line["data"], self.prompts)
            self.assertGreater(line["tokens"], 20)

    def test_without_a_file_the_warning_names_the_lines(self):
        self.assertIn("ordinals 1, 3 and 5", self.compress().err)
        self.prompts = self.written("prompts.jsonl", [prompt(3)] + [prompt(40 + i) for i in range(20)])
        self.assertIn("and 12 more; --left-out FILE lists them", self.compress(store="other.h5").err)

    def test_the_limit_is_of_all_tokens_that_the_model_reads(self):
        [first, *_] = records_of(self.compress().out)
        tokens = first["prompt_tokens"] + first["gist_tokens"]
        for limit, stored in ((tokens, 2), (tokens - 1, 0)):
            result = run("compress", "--model", MODEL, "--input", self.prompts, "--max-tokens", limit,
                         "--output", self.path(f"{limit}.h5"))
            self.assertEqual(result.code, 0)
            self.assertEqual(len(records_of(result.out)), stored)

    def test_prompts_beyond_the_models_positions_are_left_out_rather_than_refused(self):
        self.prompts = self.written("prompts.jsonl", [prompt(400), prompt(3)])
        self.assertFails(run("compress", "--model", MODEL, "--input", self.prompts, "--output",
                             self.path("refused.h5")), 65, "256 positions", "--max-tokens 256")
        self.assertEqual(len(records_of(self.compress().out)), 1)

    def test_a_resumed_run_leaves_out_and_lists_the_same(self):
        bad = self.written("bad.jsonl", [prompt(words, id=str(i)) for i, words in enumerate(self.WORDS)] + [{}])
        good, self.prompts = self.prompts, bad
        options = ("--batch-tokens", 10, "--left-out", self.path("left_out.jsonl"))
        self.assertEqual(self.compress(*options).code, 65)
        self.assertTrue(os.path.exists(self.path("out.h5.partial")))
        os.rename(good, bad)  # mended
        other = run("compress", "--model", MODEL, "--input", bad, "--output", self.path("out.h5"),
                    "--batch-tokens", 10, "--resume")
        self.assertFails(other, 64, "--max-tokens", "20")
        undisturbed = self.compress(*options, store="calm.h5")
        listed = self.listed()
        for moment in ("half done", "finished"):
            with self.subTest(moment):
                resumed = self.compress(*options, "--resume")
                self.assertEqual((resumed.code, resumed.out, resumed.err),
                                 (0, undisturbed.out, undisturbed.err))
                self.assertEqual(self.listed(), listed)
                self.assertEqual(self.read("out.h5"), self.read("calm.h5"))

    def test_shards_leave_out_their_own(self):
        ordinals = []
        for i in range(2):
            list_file = self.path(f"list{i}")
            self.assertEqual(self.compress("--shard", f"{i}/2", "--left-out", list_file,
                                           store=f"{i}.h5").code, 0)
            ordinals += [line["ordinal"] for line in self.listed(f"list{i}")]
        self.assertEqual(sorted(ordinals), [1, 3, 5])

    def test_a_known_prompt_is_known_however_long(self):
        everything = self.path("all.h5")
        run("compress", "--model", MODEL, "--input", self.prompts, "--output", everything)
        result = self.compress("--known", everything)
        self.assertEqual({receipt["status"] for receipt in records_of(result.out)}, {"known"})
        self.assertEqual((len(records_of(result.out)), result.err), (6, ""))

    def test_a_plan_counts_them(self):
        plan = json.loads(self.compress("--dry-run").out)
        self.assertEqual((plan["records"], plan["left_out"]), (3, 3))

    def test_rejects_are_something_else(self):
        self.prompts = self.written("prompts.jsonl", [prompt(40), {}, prompt(3)])
        result = self.compress("--keep-going", "--errors", self.path("errors"), "--left-out",
                               self.path("left_out.jsonl"))
        self.assertEqual(result.code, 1)
        self.assertIn("1 of 2 records", result.err)
        self.assertEqual([line["line"] for line in self.listed()], [1])
        self.assertEqual([line["line"] for line in self.listed("errors")], [2])

    def test_a_list_that_can_not_be_written_ends_the_run_at_once(self):
        self.assertFails(self.compress("--left-out", self.path("none/list")), 73, "--left-out")
        self.assertEqual(os.listdir(self.directory), ["prompts.jsonl"])


class Evaluate(LeftOutTest):
    def evaluate(self, *options):
        return run("evaluate", "--json", "--max-new-tokens", 2, *options)

    def test_longer_records_are_left_out_whatever_the_models_positions(self):
        records = [task(1), task(2, output="one " * 90), task(3, input="cat " * 400), task(4)]
        data = self.written("data.jsonl", records)
        result = self.evaluate("--model", MODEL, "--data", data, "--max-tokens", 60, "--left-out",
                               self.path("left_out.jsonl"))
        self.assertEqual(result.code, 0, result.err)
        self.assertIn(f"{data}: 2 of 4 records are longer than --max-tokens", result.err)
        self.assertEqual([line["line"] for line in self.listed()], [2, 3])
        few = self.evaluate("--model", MODEL, "--data", self.written("few.jsonl", [records[0], records[3]]))
        for name in ("records", "loss", "exact_match", "label_tokens"):
            self.assertEqual(json.loads(result.out)["systems"][0]["all"][name], json.loads(few.out)["systems"][0]["all"][name])

    def test_groups_of_which_all_is_left_out_do_not_appear(self):
        data = self.written("data.jsonl", [task(1, kind="a"), task(2, kind="b", input="cat " * 400)])
        result = self.evaluate("--model", MODEL, "--data", data, "--max-tokens", 60, "--group-by", "kind")
        self.assertEqual([group["group"] for group in json.loads(result.out)["systems"][0]["groups"]], ["a"])

    def test_records_of_other_files_are_left_out(self):
        data = self.written("data.jsonl", [task(i, completion="two") for i in range(6)])
        one = self.written("one.jsonl", [task(9), task(2, instruction=" Count to 2.\n", output="other")])
        two = self.written("two.jsonl", [task(4), task(1, input="dog")])
        for model in ((), ("--model", MODEL)):
            result = self.evaluate(*model, "--data", data, "--exclude", one, "--exclude", two,
                                   "--left-out", self.path("left_out.jsonl"))
            self.assertEqual(result.code, 0, result.err)
            self.assertIn(f"{data}: 2 of 6 records stand in files of --exclude", result.err)
            self.assertEqual(json.loads(result.out)["systems"][0]["all"]["records"], 4)
            self.assertEqual([(line["line"], line["reason"], line["stands_in"]) for line in self.listed()],
                             [(3, "exclude", {"data": one, "line": 2, "ordinal": 1}),
                              (5, "exclude", {"data": two, "line": 1, "ordinal": 0})])

    def test_where_nothing_is_left_that_is_said(self):
        data = self.written("data.jsonl", [task(1, completion="")])
        self.assertFails(self.evaluate("--data", data, "--exclude", data), 65, "all 1 are left out",
                         "--exclude")
        self.assertFails(self.evaluate("--model", MODEL, "--data", data, "--max-tokens", 3), 65,
                         "all 1 are left out", "--max-tokens 3")

    def test_options_that_mean_nothing_are_refused(self):
        data = self.written("data.jsonl", [task(1, completion="")])
        self.assertFails(self.evaluate("--data", data, "--max-tokens", 3), 64, "--max-tokens", "--model")
        self.assertFails(self.evaluate("--data", "-", "--exclude", "-"), 64, "--exclude", "standard input")
        self.assertFails(self.evaluate("--data", data, "--exclude", self.path("none")), 66, "none")

    def test_a_record_to_exclude_without_an_instruction_is_a_bad_record(self):
        data = self.written("data.jsonl", [task(1, completion=""), task(2, completion="")])
        other = self.written("other.jsonl", [task(1), {"input": ""}])
        self.assertFails(self.evaluate("--data", data, "--exclude", other), 65, other + ":2", '"instruction"')
        result = self.evaluate("--data", data, "--exclude", other, "--keep-going")
        self.assertEqual(result.code, 1)
        self.assertEqual(json.loads(result.out)["systems"][0]["all"]["records"], 1)


class Train(LeftOutTest):
    def setUp(self):
        super().setUp()
        self.data = self.written("train.jsonl", [task(i) for i in range(12)])
        self.held_out = self.written("held_out.jsonl", [task(3, output="else"), task(30), task(5, input=""),
                                                        task(7, input=" cat, lake ")])

    def train(self, *options, output="out"):
        return run("train", "--model", MODEL, "--data", self.data, "--output", self.path(output), "--steps", 1,
                   "--lr", 1e-3, "--save-every", 0, "--threads", 1, "--batch-records", 4, *options)

    def test_held_out_records_among_the_data_are_reported(self):
        result = self.train("--eval-data", self.held_out)
        self.assertEqual((result.code, result.err.count("\n")), (0, 1), result.err)
        self.assertIn(f"{self.held_out}: 2 of 4 records stand in {self.data}, too", result.err)
        self.assertIn("--exclude", result.err)
        other = self.written("other.jsonl", [task(30)])
        self.assertEqual(self.train("--eval-data", other, output="clean").err, "")
        self.assertIn("2 of 4", self.train("--eval-data", self.held_out, "--dry-run", output="plan").err)

    def test_excluded_records_are_left_out_counted_and_listed(self):
        result = self.train("--eval-data", self.held_out, "--exclude", self.held_out)
        self.assertEqual((result.code, result.err.count("\n")), (0, 1), result.err)
        self.assertIn(f"{self.data}: 2 of 12 records stand in files of --exclude", result.err)
        self.assertEqual(self.listed("out/left_out.jsonl"), [
            {"data": self.data, "line": line, "ordinal": line - 1, "reason": "exclude",
             "stands_in": {"data": self.held_out, "line": other, "ordinal": other - 1}}
            for line, other in ((4, 1), (8, 4))])
        self.data = self.written("rest.jsonl", [task(i) for i in range(12) if i not in (3, 7)])
        self.assertEqual(self.train(output="rest").code, 0)
        self.assertEqual(self.read("out/model.safetensors"), self.read("rest/model.safetensors"))

    def test_chat_messages_are_told_by_what_they_map_to(self):
        def chat(record):
            return {"messages": [{"role": "system", "content": record["instruction"]},
                                 {"role": "user", "content": record["input"]},
                                 {"role": "assistant", "content": record["output"]}]}
        self.data = self.written("chat.jsonl", [chat(task(i)) for i in range(12)])
        held_out = self.written("chats.jsonl", [chat(task(3, output="else"))])
        result = self.train("--exclude", held_out, "--fields", "instruction=messages.system,"
                            "input=messages.user,output=messages.assistant")
        self.assertIn("1 of 12 records", result.err)

    def test_bad_options_and_files_are_named(self):
        self.assertFails(self.train("--exclude", self.path("none")), 66, "none")
        self.data = "-"
        self.assertFails(self.train("--exclude", "-"), 64, "--exclude", "standard input")
        self.data = self.held_out
        self.assertFails(self.train("--exclude", self.held_out), 65, "all 4 are left out", "--exclude")


if __name__ == "__main__":
    unittest.main()
