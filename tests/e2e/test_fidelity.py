"""gist compress --check: how well a prompt's gist answers, before it is stored."""

import gzip
import json
import os
import random
import shutil
import subprocess
import time
import unittest

from gist_cli import (FIXTURES, GIST, MODELS, ROOT, TIMEOUT, TempDirTest, environment, records_of, rounding_varies, run,
                      run_while_name_is_taken)

MODEL = MODELS / "wordtasks-llama-gist"
REFERENCE = MODELS / "wordtasks-llama-pos"  # from the same base, trained to read the whole prompt
T5 = FIXTURES / "models" / "wordtasks-t5-gist"
OTHER_VOCABULARY = FIXTURES / "models" / "stories260K"
GATE = ROOT / "examples" / "pipelines" / "fidelity_gate.sh"


def records(count):
    """Word tasks, each with an id of its own."""
    with gzip.open(ROOT / "examples" / "data" / "wordtasks_seen.jsonl.gz", "rt") as lines:
        return [{"id": f"r{i}", **json.loads(next(lines))} for i in range(count)]


def jsonl(values):
    return "".join(json.dumps(value) + "\n" for value in values)


def without(field, values):
    return [{name: value for name, value in each.items() if name != field} for each in values]


class CheckTest(TempDirTest):
    def compress(self, values, *options, store="out.h5", model=MODEL):
        text = values if isinstance(values, str) else jsonl(values or [])
        return run("compress", "--model", model, "--output", self.path(store), "--threads", 1, *options,
                   stdin=text)

    def check(self, values, *options, store="out.h5", model=MODEL, code=0, which="all"):
        """Compresses with --check. The answer has `report`: what was found, by id."""
        name = store + ".report"
        result = self.compress(values, "--check", which, "--check-report", self.path(name), *options,
                               store=store, model=model)
        self.assertEqual(result.code, code, result.err)
        result.report = {line["id"]: line for line in records_of(self.read(name).decode())}
        return result

    def errors(self):
        return records_of(self.read("errors.jsonl").decode())


class Checks(CheckTest):
    def test_receipts_and_store_are_the_same_as_without(self):
        plain = self.compress(records(60), store="plain.h5")
        checked = self.check(records(60), "--check-model", REFERENCE)
        self.assertEqual(checked.out, plain.out)
        self.assertEqual(self.read("out.h5"), self.read("plain.h5"))
        self.assertEqual(plain.err, "")

    def test_the_summary_is_that_of_the_reports_lines(self):
        checked = self.check(records(60), "--check-model", REFERENCE)
        found = list(checked.report.values())
        self.assertEqual([each["id"] for each in found], [f"r{i}" for i in range(60)])
        self.assertEqual({each["status"] for each in found}, {"stored"})
        tokens = sum(each["tokens"] for each in found)
        mean = sum(each["kl"] * each["tokens"] for each in found) / tokens
        same = sum(each["agreement"] * each["tokens"] for each in found) / tokens
        worst = sorted(found, key=lambda each: -each["kl"])[:5]
        self.assertEqual(checked.err, (
            f"gist: checked 60 of 60 prompts: KL divergence {mean:.4g} nats a token, the same first choice "
            f"at {100 * same:.1f} % of {tokens} tokens; {sum(each['kl'] > 0.13 for each in found)} of 60 prompts "
            "above 0.13, the bound for README's word tasks (gist evaluate --fidelity suggests one for a model); "
            "the worst prompts: "
            + ", ".join(f'"{each["id"]}" ({each["kl"]:.4g})' for each in worst) + "\n"))

    def test_evaluate_suggests_a_bound_for_what_is_checked(self):
        checked = self.check(records(60), "--check-model", REFERENCE)
        evaluated = run("evaluate", "--data", "-", "--model", REFERENCE, "--model", MODEL, "--fidelity", "--json",
                        "--max-new-tokens", 1, stdin=jsonl(records(60)))
        fidelity = json.loads(evaluated.out)["systems"][1]["all"]["fidelity"]
        kl = sorted(each["kl"] for each in checked.report.values())
        for i, tenth in enumerate(fidelity["tenths"]):
            self.assertAlmostEqual(tenth["max_kl"], kl[6 * i + 5], delta=1e-4 * (1 + kl[6 * i + 5]))
        kept = self.check(records(60), "--check-model", REFERENCE, "--max-kl", 1.01 * fidelity["max_kl"],
                          "--keep-going", store="kept.h5", code=1)
        self.assertEqual(sum(each["status"] == "stored" for each in kept.report.values()),
                         fidelity["kept_records"])

    def test_the_whole_prompt_answers_as_itself(self):
        # That the question, its input and its answer stand where they should: only rounding is left.
        exact = self.check(records(30), "--full-prompt", store="exact.h5")
        rounded = self.check(records(30), "--full-prompt", "--store-dtype", "bf16", store="rounded.h5")
        self.assertLess(max(each["kl"] for each in exact.report.values()), 1e-6)
        self.assertEqual({each["agreement"] for each in exact.report.values()}, {1.0})
        self.assertGreater(max(each["kl"] for each in rounded.report.values()), 1e-6)

    def test_a_prompt_that_its_gist_does_not_hold_is_far_from_its_whole_text(self):
        # Far from what any training prompt asks for.
        strange = {"id": "strange", "instruction": "lake " * 60, "input": "cat, axe", "output": "lake"}
        found = self.check(records(60) + [strange], "--check-model", REFERENCE).report
        others = sorted(each["kl"] for each in found.values())
        self.assertGreater(found["strange"]["kl"], others[len(others) // 2])

    def test_without_an_output_the_reference_answers(self):
        values = records(12)
        own = self.check(without("output", values), "--check-model", REFERENCE)
        empty = self.check([{**each, "output": " "} for each in values], "--check-model", REFERENCE, store="b.h5")
        self.assertEqual(own.report, empty.report)
        self.assertEqual(own.err, empty.err)
        # Where the reference answers rightly, that is the record's output: the same question.
        given = self.check(values, "--check-model", REFERENCE, store="c.h5").report
        equal = [name for name in given if given[name]["tokens"] == own.report[name]["tokens"]
                 and abs(given[name]["kl"] - own.report[name]["kl"]) < 1e-5]
        self.assertGreater(len(equal), len(values) / 2)

    def test_prompts_without_input_are_answered_too(self):
        alone = [{"id": each["id"], "instruction": each["instruction"]} for each in records(5)]
        self.assertEqual(len(self.check(alone).report), 5)

    def test_an_answer_that_never_ends_is_cut_at_24_tokens(self):
        # A base model tells on and on.
        found = self.check([{"id": "a", "instruction": "Once upon a time"}], "--gist-tokens", 1,
                           model=FIXTURES / "models" / "stories260K-gist").report
        self.assertEqual(found["a"]["tokens"], 24)

    def test_encoder_decoders_are_checked_too(self):
        values = records(40)
        plain = self.compress(values, "--gist-tokens", 1, model=T5, store="plain.h5")
        given = self.check(values, "--gist-tokens", 1, model=T5)
        self.assertEqual(given.out, plain.out)
        self.assertEqual(self.read("out.h5"), self.read("plain.h5"))
        own = self.check(without("output", values), "--gist-tokens", 1, model=T5, store="own.h5")
        for found in (given.report, own.report):
            self.assertEqual(len(found), 40)
            self.assertGreater(sum(each["kl"] for each in found.values()), 0)
        bad = max(given.report.values(), key=lambda each: each["kl"])
        refused = self.compress(values, "--gist-tokens", 1, "--check", "all", "--max-kl", 0.99 * bad["kl"],
                                model=T5, store="refused.h5")
        self.assertFails(refused, 65, f'"{bad["id"]}"')

    def test_known_and_repeated_prompts_are_not_checked(self):
        self.compress(records(10), store="old.h5")
        again = self.check(records(14) + [records(14)[12]], "--known", self.path("old.h5"))
        self.assertEqual(list(again.report), ["r10", "r11", "r12", "r13"])
        self.assertIn("checked 4 of 4 prompts", again.err)

    def test_nothing_to_check_is_nothing_to_say(self):
        self.assertEqual(self.check("").err, "")

    def test_a_dry_run_counts_what_checking_takes(self):
        def plan(*options):
            result = self.compress(records(20), "--dry-run", *options)
            self.assertEqual(result.code, 0, result.err)
            return json.loads(result.out)

        plain, checked = plan(), plan("--check", "all")
        beside = plan("--check", 5, "--check-model", REFERENCE)
        self.assertNotIn("checks", plain)
        self.assertEqual((checked["checks"], beside["checks"]), (20, 5))
        self.assertLess(plain["flops"], beside["flops"])
        self.assertLess(beside["flops"], checked["flops"])
        self.assertEqual(beside["weight_bytes"], 2 * plain["weight_bytes"])
        self.assertEqual(os.listdir(self.directory), [])


class BadInput(CheckTest):
    def test_options_that_need_check(self):
        for option in (("--max-kl", 1), ("--check-model", REFERENCE), ("--check-report", "x")):
            self.assertFails(self.compress(records(1), *option), 64, option[0], "--check all")

    def test_what_check_takes(self):
        for which in ("0", "-1", "some", "1.5", "3/4"):
            self.assertFails(self.compress(records(1), "--check", which), 64, "--check", which)
        self.assertFails(self.compress(records(1), "--check", 3, "--line-buffered"), 64, "--check all")
        self.assertFails(self.compress(records(1), "--check", "all", "--max-kl", "-1"), 64, "--max-kl")

    def test_a_reference_of_another_vocabulary_is_refused(self):
        result = self.compress(records(1), "--check", "all", "--check-model", OTHER_VOCABULARY)
        self.assertFails(result, 65, OTHER_VOCABULARY, "tokenizer.model", "same base")

    def test_a_reference_that_is_not_there_is_named(self):
        result = self.compress(records(1), "--check", "all", "--check-model", self.path("none"))
        self.assertFails(result, 66, self.path("none"))

    def test_questions_that_can_not_be_asked_reject_their_records(self):
        good = records(3)
        for bad, complaint in ((({"output": 7}), '"output" should be a string'),
                               (({"input": ["cat"]}), '"input" should be a string'),
                               (({"output": "word " * 3000}), "can't be checked")):
            values = [good[0], {**good[1], **bad}, good[2]]
            self.assertFails(self.compress(values, "--check", "all"), 65, "standard input:2:", complaint)
            self.assertEqual(self.compress(values, store="unchecked.h5").code, 0)
            kept = self.compress(values, "--check", "all", "--keep-going", store="kept.h5")
            self.assertEqual(kept.code, 1)
            self.assertEqual([each["id"] for each in records_of(kept.out)], ["r0", "r2"])
            for name in os.listdir(self.directory):
                os.remove(self.path(name))

    def test_a_report_that_can_not_be_written_is_named(self):
        result = self.compress(records(1), "--check", "all", "--check-report", self.path("missing/report"))
        self.assertFails(result, 73, "--check-report", "missing")


class Limit(CheckTest):
    """--max-kl, with a limit that some of 40 prompts exceed."""

    LIMIT = 0.25

    def setUp(self):
        super().setUp()
        self.values = records(40)
        first = self.check(self.values, "--check-model", REFERENCE, store="first.h5")
        self.bad = [name for name, each in first.report.items() if each["kl"] > self.LIMIT]
        self.worst = {name: first.report[name]["kl"] for name in self.bad}
        self.assertGreater(len(self.bad), 1)
        self.assertLess(len(self.bad), 12)
        self.options = ("--check", "all", "--check-model", REFERENCE, "--max-kl", self.LIMIT)
        self.keeping = (*self.options, "--keep-going", "--errors", self.path("errors.jsonl"))

    def test_the_first_bad_prompt_stops_the_run(self):
        result = self.compress(self.values, *self.options)
        line = 1 + int(self.bad[0][1:])
        self.assertFails(result, 65, f"standard input:{line}:", f'"{self.bad[0]}"', "0.25",
                         f"{self.worst[self.bad[0]]:.4g}", "reword")
        self.assertFalse(os.path.exists(self.path("out.h5")))

    def test_with_keep_going_bad_prompts_are_listed_and_the_others_stored(self):
        result = self.compress(self.values, *self.keeping)
        self.assertEqual(result.code, 1, result.err)
        self.assertEqual([each["id"] for each in records_of(result.out)],
                         [each["id"] for each in self.values if each["id"] not in self.bad])
        errors = self.errors()
        self.assertEqual([json.loads(each["record"])["id"] for each in errors], self.bad)
        for each in errors:
            self.assertIn("compresses badly", each["reason"])
        rows = records_of(run("inspect", self.path("out.h5"), "--rows").out)
        self.assertEqual([row["id"] for row in rows], [each["id"] for each in records_of(result.out)])
        self.assertIn(f"40 prompts ({len(self.bad)} rejected)", result.err)
        self.assertIn(f"; {len(self.bad)} of 40 prompts above --max-kl {self.LIMIT}; ", result.err)
        self.assertEqual(run("inspect", self.path("out.h5"), "--verify").code, 0)

    def test_a_bad_prompt_is_not_tried_again_in_whatever_batch(self):
        # Its repetitions come with other inputs and outputs.
        values = []
        for i, each in enumerate(self.values):
            values += [each, {**self.values[7 * i % 40], "input": "", "output": "lake"}]
        results = [self.compress(values, *self.keeping, "--batch-tokens", tokens, store=f"{tokens}.h5")
                   for tokens in (1, 60, 8192)]
        rejected = [each["ordinal"] for each in self.errors()]
        self.assertGreater(len(rejected), len(self.bad))
        self.assertIn("rejected before", self.errors()[-1]["reason"])
        for result in results:
            self.assertEqual(result.code, 1)
            self.assertEqual(result.out, results[0].out)
        again = self.compress(values, *self.keeping, store="8192.h5", *("--resume",))
        self.assertEqual((again.code, again.out), (1, results[0].out))
        self.assertEqual([each["ordinal"] for each in self.errors()], rejected)

    def test_killed_and_resumed_it_finds_and_rejects_the_same(self):
        with open(self.path("in.jsonl"), "w") as file:
            file.write(jsonl(self.values * 2))

        def options(name):
            return ("--input", self.path("in.jsonl"), "--batch-tokens", "30", *self.options, "--keep-going",
                    "--errors", self.path(name + ".errors"), "--check-report", self.path(name + ".report"))

        start = time.monotonic()
        calm = self.compress(None, *options("calm"), store="calm.h5")
        duration = time.monotonic() - start
        self.assertEqual(calm.code, 1, calm.err)
        rng = random.Random(3)
        staged_before = 0
        for attempt in range(12):
            store, files = f"killed{attempt}.h5", options("killed")
            command = [GIST, "compress", "--model", MODEL, "--output", self.path(store), "--threads", "1",
                       *map(str, files)]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(rng.uniform(0.2, 1.05) * duration)
                process.kill()
            staged_before += os.path.exists(self.path(store + ".partial"))
            finished = os.path.exists(self.path(store)) and not os.path.exists(self.path(store + ".partial"))
            resumed = self.compress(None, *files, "--resume", store=store)
            self.assertEqual((resumed.code, resumed.out), (calm.code, calm.out), resumed.err)
            self.assertEqual(self.read(store), self.read("calm.h5"))
            self.assertEqual(self.read("killed.errors"), self.read("calm.errors"))
            if not finished:  # then what was found had been said
                self.assertEqual(resumed.err.replace("killed.errors", "calm.errors"), calm.err)
            self.assertEqual(self.read("killed.report"), self.read("calm.report"))
        self.assertGreater(staged_before, 0)

    def test_a_finished_store_is_resumed_with_the_same_rejects(self):
        first = self.compress(self.values, *self.keeping)
        errors = self.errors()
        again = self.compress(self.values, *self.keeping, "--resume")
        self.assertEqual((again.code, again.out), (1, first.out))
        self.assertEqual(self.errors(), errors)
        self.assertIn("is finished", again.err)
        # Another input is still found: a prompt that is not there, and is not bad.
        good = {"id": "new", **{k: v for k, v in self.values[0].items() if k != "id"}}
        other = self.compress(self.values + [good], *self.keeping, "--resume")
        self.assertEqual(other.code, 65)
        self.assertIn("not the input", other.err)
        strict = self.compress(self.values, *self.options, "--resume")
        self.assertEqual(strict.code, 65)

    def stage(self, *options):
        """Leaves a partial of two batches behind: the rest of the input is bad."""
        values = jsonl(self.values[:20]) + "no record\n"
        result = self.compress(values, "--batch-tokens", "200", *options)
        self.assertEqual(result.code, 65, result.err)
        self.assertTrue(os.path.exists(self.path("out.h5.partial")))

    def test_finish_says_what_was_found(self):
        self.stage(*self.options[:4], "--max-kl", "9")
        result = run("compress", "--output", self.path("out.h5"), "--finish",
                     "--check-report", self.path("report.jsonl"))
        self.assertEqual(result.code, 0, result.err)
        found = records_of(self.read("report.jsonl").decode())
        self.assertEqual([each["id"] for each in found], [each["id"] for each in records_of(result.out)])
        self.assertIn(f"checked {len(found)} of {len(found)} prompts", result.err)
        self.assertIn(f"; 0 of {len(found)} prompts above --max-kl 9; ", result.err)

    def test_resume_of_what_is_staged_whole_says_all_again(self):
        options = (*self.keeping, "--check-report", self.path("report.jsonl"))
        stopped = run_while_name_is_taken(self.path("out.h5"), "compress", "--model", MODEL, "--output",
                                          self.path("out.h5"), "--threads", 1, *options,
                                          stdin=jsonl(self.values))
        self.assertEqual(stopped.code, 73, stopped.err)
        report, errors = self.read("report.jsonl"), self.errors()
        resumed = self.compress(self.values, *options, "--resume")
        self.assertEqual((resumed.code, resumed.out), (1, stopped.out), resumed.err)
        self.assertEqual((self.read("report.jsonl"), self.errors()), (report, errors))
        self.assertIn("checked 40 of 40 prompts", resumed.err)

    def test_resume_refuses_other_checks(self):
        self.stage(*self.options[:4])
        same = ("--batch-tokens", "200", "--resume")
        for options, name in (((), "--check"), (("--check", "5", "--check-model", REFERENCE), "--check"),
                              (("--check", "all"), "--check-model")):
            self.assertFails(self.compress(self.values, *same, *options), 64, name, "repeat the options")

    def test_a_limit_may_change_while_that_changes_nothing(self):
        self.stage(*self.options[:4], "--max-kl", "9")
        same = ("--batch-tokens", "200", "--resume", *self.options[:4])
        refused = self.compress(self.values, *same, "--max-kl", "1e-9")
        self.assertEqual(refused.code, 64)
        self.assertIn("--max-kl 1e-09", refused.err)
        self.assertEqual(self.compress(self.values, *same, "--max-kl", "8").code, 0)


class Sample(CheckTest):
    def test_a_sample_is_of_that_size_and_the_same_in_any_order_and_batch(self):
        values = records(60)
        whole = self.check(values, which=7).report
        self.assertEqual(len(whole), 7)
        shuffled = values[:]
        random.Random(1).shuffle(shuffled)
        other = self.check(shuffled, "--batch-tokens", 50, which=7, store="other.h5").report
        self.assertEqual(set(other), set(whole))
        larger = self.check(values, which=20, store="larger.h5").report
        self.assertLess(set(whole), set(larger))
        self.assertEqual(len(self.check(values, which=100, store="all.h5").report), 60)

    def test_shards_share_one_sample(self):
        values = records(60)
        whole = self.check(values, which=9).report
        parts = [self.check(values, "--shard", f"{i}/3", which=9, store=f"{i}.h5").report for i in range(3)]
        self.assertEqual(sorted(name for part in parts for name in part), sorted(whole))

    def test_repeated_known_and_bad_records_take_no_place_in_it(self):
        old = records(20)
        self.compress(old, store="old.h5")
        new = records(26)[20:]
        text = jsonl(old + new + new) + "no record\n" + jsonl(new)
        found = self.check(text, "--known", self.path("old.h5"), "--keep-going", which=6, code=1).report
        self.assertEqual(set(found), {each["id"] for each in new})

    def test_lines_and_arrays_are_read_as_without(self):
        values = records(8)
        bad = "\n\r\n" + "\r\n".join(map(json.dumps, values)) + "\r\n \n{}"  # no line end: line 12
        for text, line in ((bad, 12), ("[" + ",\n".join(map(json.dumps, values)) + ",\n{}]", 9)):
            plain = self.compress(text, "--keep-going", store=f"plain{line}.h5")
            found = self.check(text, "--keep-going", which=3, code=1, store=f"checked{line}.h5")
            self.assertEqual(found.out, plain.out)
            self.assertIn(f"standard input:{line}: ", found.err)
            self.assertIn(plain.err, found.err)
            self.assertEqual(len(found.report), 3)

    def test_a_resumed_sample_is_the_same(self):
        values = records(60)
        first = self.check(values, "--batch-tokens", 100, which=9, store="calm.h5")
        stopped = self.compress(jsonl(values[:40]) + "no record\n", "--batch-tokens", 100, "--check", 9)
        self.assertEqual(stopped.code, 65)
        resumed = self.check(values, "--batch-tokens", 100, "--resume", which=9)
        self.assertEqual(resumed.out, first.out)
        for name, whole in first.report.items():
            again = resumed.report[name]
            # It was in another batch.
            self.assertAlmostEqual(again["kl"], whole["kl"], delta=1e-5 if rounding_varies() else 0)
            self.assertEqual({**again, "kl": whole["kl"]}, whole)


@unittest.skipUnless(shutil.which("git"), "needs git")
class FidelityGate(CheckTest):
    def setUp(self):
        super().setUp()
        self.env = {**environment(), "GIST": GIST, "GIT_CONFIG_GLOBAL": os.devnull, "HOME": self.directory}
        self.git("init", "--quiet", "--initial-branch", "main")
        for name, value in (("user.name", "A"), ("user.email", "a@example.org")):
            self.git("config", name, value)

    def git(self, *args):
        subprocess.run(["git", *args], cwd=self.directory, env=self.env, check=True, capture_output=True)

    def commit(self, values):
        os.makedirs(self.path("my prompts"), exist_ok=True)
        with open(self.path("my prompts/all.jsonl"), "w") as file:
            file.write(jsonl(values))
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "prompts")

    def gate(self, revision="HEAD~1", limit=0.25):
        return subprocess.run(["sh", GATE, MODEL, REFERENCE, "my prompts/all.jsonl", revision, str(limit)],
                              cwd=self.directory, env=self.env, capture_output=True, text=True, timeout=TIMEOUT)

    def test_it_fails_where_a_changed_prompt_compresses_badly_and_names_it(self):
        values = records(40)
        kl = {name: each["kl"] for name, each in self.check(values, "--check-model", REFERENCE).report.items()}
        good = [each for each in values if kl[each["id"]] < 0.1]
        bad = next(each for each in values if kl[each["id"]] > 0.5)
        self.commit(good[:5] + [bad])  # bad ones that were there before are no reason
        self.commit([bad] + good[:8])
        passed = self.gate()
        self.assertEqual((passed.returncode, passed.stdout), (0, ""), passed.stderr)
        self.assertIn("checked 3 of 3 prompts", passed.stderr)
        self.commit([{**bad, "id": "now"}] + good[:9])
        failed = self.gate()
        self.assertEqual(failed.returncode, 1, failed.stderr)
        (named,) = records_of(failed.stdout)
        self.assertEqual(json.loads(named["record"])["id"], "now")
        self.assertIn("compresses badly", named["reason"])
        self.assertEqual(named["line"], 1)
        self.assertTrue(named["reason"].startswith("my prompts/all.jsonl:1: "), named["reason"])
        self.commit(good[:9] + [{**bad, "id": "now"}])
        failed = self.gate("HEAD~2")
        (named,) = records_of(failed.stdout)
        self.assertTrue(named["reason"].startswith("my prompts/all.jsonl:10: "), named["reason"])
        self.assertEqual(named["line"], 10)
        self.assertNotIn("standard input", failed.stderr)
        self.assertEqual(self.gate("HEAD").returncode, 0)  # nothing has changed
        self.assertEqual(self.gate(limit=50).returncode, 0)

    def test_what_is_no_prompt_or_no_revision_does_not_pass(self):
        self.commit(records(2))
        self.commit(records(2) + [{"id": "empty", "instruction": ""}])
        self.assertEqual(self.gate().returncode, 1)
        self.assertNotIn(self.gate("nowhere").returncode, (0, 1))


if __name__ == "__main__":
    unittest.main()
