"""gist compress: receipts, durability, and every way in which a run can end."""

import hashlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
import unittest

from families import LLAMA, for_each_family
from gist_cli import (FIXTURES, GIST, MODELS, SANITIZED, TempDirTest, jsonl, records_of, run,
                      run_while_name_is_taken)

PLAIN_MODEL = FIXTURES / "models" / "stories260K-gist"  # has a gist token and no gist.json


def prompts(count, repeat_every=7):
    """Records of which some repeat an earlier prompt."""
    rng = random.Random(1)
    words = "keep drop the first last word of list and write reverse it twice".split()
    records = []
    for i in range(count):
        if i and i % repeat_every == 0:
            records.append({"instruction": records[rng.randrange(i)]["instruction"]})
        else:
            text = " ".join(rng.choice(words) for _ in range(rng.randrange(2, 20)))
            records.append({"instruction": f"{text} {i}."})
    return records


class CompressTest(TempDirTest):
    family = LLAMA

    def command(self, *options, store="out.h5", model=None):
        return ["compress", "--model", model or self.family.model, "--output", self.path(store), *options]

    def compress(self, text, *options, **where):
        return run(self.command(*options, **where), stdin=text)

    def start(self, *options):
        return subprocess.Popen([GIST, *self.command(*options)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@for_each_family
class Proofs(CompressTest):
    def command(self, *options, **where):  # without a gist.json to rely on
        return super().command("--gist-tokens", "1", *options, **where)

    def test_receipts_say_what_became_of_each_record(self):
        result = self.compress(jsonl([
            {"id": "a", "instruction": "Count the words."},
            {"id": 7, "instruction": "Reverse the list."},
            {"id": "a", "instruction": " Count the words.\n"},
            {"instruction": "Count the words."},
        ]))
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.err, "")
        digest = hashlib.sha256(b"Count the words.").hexdigest()
        receipts = records_of(result.out)
        self.assertEqual([r["id"] for r in receipts], ["a", "7", "a", digest])
        self.assertEqual([r["row"] for r in receipts], [0, 1, 0, 2])
        self.assertEqual([r["status"] for r in receipts], ["stored", "stored", "duplicate", "stored"])
        self.assertEqual([r["ordinal"] for r in receipts], [0, 1, 2, 3])
        self.assertEqual(receipts[0]["prompt_sha256"], digest)
        self.assertEqual(receipts[0]["gist_tokens"], 1)
        self.assertFalse(os.path.exists(self.path("out.h5.partial")))

    def test_the_same_run_twice_gives_the_same_bytes(self):
        text = jsonl(prompts(60))
        one = self.compress(text, "--batch-tokens", "100", store="one.h5")
        two = self.compress(text, "--batch-tokens", "100", store="two.h5")
        self.assertEqual(one.out, two.out)
        self.assertEqual(self.read("one.h5"), self.read("two.h5"))

    def test_survives_kill_9_at_any_moment(self):
        text = jsonl(prompts(150))
        with open(self.path("in.jsonl"), "w") as file:
            file.write(text)
        options = ("--input", self.path("in.jsonl"), "--batch-tokens", "40")
        undisturbed = self.compress(None, *options, store="calm.h5")
        self.assertEqual(undisturbed.code, 0, undisturbed.err)
        start = time.monotonic()
        self.compress(None, *options, store="timed.h5")
        duration = time.monotonic() - start
        rng = random.Random(2)
        for attempt in range(6 if SANITIZED else 25):
            store = f"killed{attempt}.h5"
            command = [GIST, *self.command(*options, store=store)]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                time.sleep(rng.uniform(0, 1.1) * duration)
                process.kill()
            resumed = self.compress(None, *options, "--resume", store=store)
            self.assertEqual(resumed.code, 0, resumed.err)
            self.assertEqual(resumed.out, undisturbed.out)
            self.assertEqual(self.read(store), self.read("calm.h5"))
            self.assertEqual([n for n in os.listdir(self.directory) if n.startswith(f"killed{attempt}.")],
                             [store])
            os.remove(self.path(store))

    def test_an_interrupt_stages_whole_batches_and_says_how_to_resume(self):
        with self.start("--line-buffered") as process:
            process.stdin.write(jsonl(prompts(3)))
            process.stdin.flush()
            for _ in range(3):
                self.assertIn("stored", process.stdout.readline())
            process.send_signal(signal.SIGINT)  # while it waits for input
            process.wait(timeout=60)
            err = process.stderr.read()
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertIn("3 records are staged", err)
        self.assertIn("--resume", err)
        resumed = self.compress(jsonl(prompts(5)), "--line-buffered", "--resume")
        self.assertEqual(resumed.code, 0, resumed.err)
        self.assertEqual(len(records_of(resumed.out)), 5)

    def test_a_dry_run_states_what_it_would_take_and_writes_nothing(self):
        result = self.compress(jsonl(prompts(10)), "--dry-run")
        self.assertEqual(result.code, 0, result.err)
        plan = json.loads(result.out)
        self.assertEqual(plan["records"], 10)
        self.assertEqual(plan["rows"], 9)
        self.assertGreater(plan["flops"], 0)
        self.assertGreaterEqual(plan["memory_bytes"], plan["weight_bytes"])
        self.assertEqual(os.listdir(self.directory), [])


class Compress(CompressTest):
    def test_resumes_a_run_that_was_killed_in_its_first_commit(self):
        partial = self.path("out.h5.partial")
        staging = sqlite3.connect(partial)  # bytes, but nothing in them
        staging.execute("create table t (x)")
        staging.execute("drop table t")
        staging.close()
        self.assertGreater(os.path.getsize(partial), 0)
        result = self.compress(jsonl(prompts(3)), "--resume")
        self.assertEqual(result.code, 0, result.err)
        self.assertTrue(os.path.exists(self.path("out.h5")))

    def interrupted_at_its_input(self, *options):
        """A run that a signal meets while it waits for more than two prompts."""
        with self.start(*options) as process:
            process.stdin.write(jsonl(prompts(2)))
            process.stdin.flush()
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            return process.returncode, process.stdout.read(), process.stderr.read()

    def test_an_interrupted_dry_run_prints_no_plan_of_half_an_input(self):
        self.assertEqual(self.interrupted_at_its_input("--dry-run"), (-signal.SIGINT, "", ""))

    def test_an_interrupted_check_of_a_finished_store_does_not_blame_the_input(self):
        self.compress(jsonl(prompts(5)))
        code, _, err = self.interrupted_at_its_input("--resume")
        self.assertEqual((code, err), (-signal.SIGINT, ""))

    def test_a_store_that_cannot_be_published_stays_staged(self):
        result = run_while_name_is_taken(self.path("out.h5"), *self.command(), stdin=jsonl(prompts(3)))
        self.assertEqual(result.code, 73, result.err)
        self.assertIn("--resume", result.err)
        self.assertEqual(self.compress(jsonl(prompts(3)), "--resume").code, 0)

    def test_a_closed_stdout_does_not_lose_the_store(self):
        with self.start() as process:
            process.stdout.close()
            process.stdin.write(jsonl(prompts(10)))
            process.stdin.close()
            self.assertEqual(process.wait(), 0)
            self.assertEqual(process.stderr.read(), "")
        self.assertEqual(run("inspect", self.path("out.h5"), "--verify").code, 0)

    def test_an_existing_output_is_kept_unless_forced(self):
        first = self.compress(jsonl(prompts(2)))
        before = self.read("out.h5")
        again = self.compress(jsonl(prompts(3)))
        self.assertEqual(again.code, 73)
        self.assertIn("--force", again.err)
        self.assertEqual(self.read("out.h5"), before)
        self.assertEqual(self.compress(jsonl(prompts(3)), "--force").code, 0)
        self.assertNotEqual(self.read("out.h5"), before)
        self.assertEqual(first.code, 0)

    def stage(self, count, extra='{"instruction": ""}\n'):
        """Leaves a partial with `count` records behind: the last line is bad."""
        result = self.compress(jsonl(prompts(count)) + extra, "--line-buffered")
        self.assertEqual(result.code, 65, result.err)
        self.assertTrue(os.path.exists(self.path("out.h5.partial")))
        return result

    def test_a_partial_must_be_resumed_finished_or_forced(self):
        self.stage(3)
        refused = self.compress(jsonl(prompts(3)), "--line-buffered")
        self.assertEqual(refused.code, 73)
        for option in ("--resume", "--finish", "--force"):
            self.assertIn(option, refused.err)
        finished = run("compress", "--output", self.path("out.h5"), "--finish")
        self.assertEqual(finished.code, 0, finished.err)
        self.assertEqual(len(records_of(finished.out)), 3)
        self.assertEqual(len(records_of(run("inspect", self.path("out.h5"), "--rows").out)), 3)

    def test_a_partial_that_is_damaged_or_of_another_version_is_discarded_where_forced(self):
        def cut(path):
            os.truncate(path, os.path.getsize(path) - 8192)

        def without_checksums(path):
            database = sqlite3.connect(path)
            database.execute("pragma user_version = 2")
            database.commit()
            database.close()

        def overwrite(path):
            with open(path, "w") as file:
                file.write("no database " * 100)

        for damage in (cut, without_checksums, overwrite):
            with self.subTest(damage.__name__):
                self.stage(3)
                damage(self.path("out.h5.partial"))
                for option in ((), ("--resume",), ("--finish",)):
                    refused = run(self.command(*option), stdin=jsonl(prompts(3)))
                    self.assertEqual(refused.code, 65)
                    told = [line for line in refused.err.splitlines() if "no effect" not in line]
                    self.assertEqual(len(told), 1)
                    self.assertIn("out.h5.partial", told[0])
                    self.assertIn("--force", told[0])
                forced = self.compress(jsonl(prompts(3)), "--force")
                self.assertEqual((forced.code, forced.err), (0, ""))
                self.assertEqual(os.listdir(self.directory), ["out.h5"])
                os.remove(self.path("out.h5"))

    def test_finish_says_which_options_have_no_effect(self):
        self.stage(3)
        for option in ("--resume", "--dry-run"):
            self.assertFails(run(self.command("--finish", option)), 64, "--finish", option)
        finished = self.compress("", "--finish", "--line-buffered")
        self.assertEqual(finished.code, 0, finished.err)
        self.assertEqual(finished.err, "gist: --finish publishes what is staged: --line-buffered, --model have no "
                                       "effect\n")

    def test_what_finish_does_not_need_may_stand_in_the_environment(self):
        self.stage(3)
        finished = run("compress", "--output", self.path("out.h5"), "--finish",
                       env={"GIST_MODEL": str(self.family.model)})
        self.assertEqual((finished.code, finished.err), (0, ""))

    def test_resume_refuses_another_input(self):
        self.stage(3)
        changed = prompts(3)
        changed[1]["instruction"] += " indeed"
        for text in (jsonl(changed), jsonl(prompts(2))):
            resumed = self.compress(text, "--line-buffered", "--resume")
            self.assertEqual(resumed.code, 65)
            self.assertIn("not the input", resumed.err)
        self.assertEqual(self.compress(jsonl(prompts(4)), "--line-buffered", "--resume").code, 0)

    def test_resume_refuses_other_options(self):
        self.stage(3)
        resumed = self.compress(jsonl(prompts(3)), "--resume")
        self.assertEqual(resumed.code, 64)
        self.assertIn("--line-buffered", resumed.err)

    def test_resume_of_a_finished_store_checks_the_input_and_repeats_the_receipts(self):
        text = jsonl(prompts(20))
        first = self.compress(text)
        again = self.compress(text, "--resume")
        self.assertEqual((again.code, again.out), (0, first.out))
        self.assertEqual(self.compress(jsonl(prompts(21)), "--resume").code, 65)
        self.assertEqual(self.compress(jsonl(prompts(12)), "--resume").code, 65)

    def test_resume_of_nothing_starts_afresh(self):
        self.assertEqual(self.compress(jsonl(prompts(2)), "--resume").code, 0)

    def test_a_second_run_on_the_same_output_is_told_who_holds_it(self):
        with self.start("--line-buffered") as process:
            process.stdin.write(jsonl(prompts(1)))
            process.stdin.flush()
            process.stdout.readline()
            for option in ((), ("--resume",), ("--force",)):
                second = self.compress(jsonl(prompts(1)), *option)
                self.assertEqual(second.code, 75, second.err)
                self.assertIn(str(process.pid), second.err)
            process.stdin.close()
            self.assertEqual(process.wait(), 0)

    def test_known_prompts_are_skipped(self):
        self.compress(jsonl(prompts(6)), store="old.h5")
        result = self.compress(jsonl(prompts(8)), "--known", self.path("old.h5"))
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual([r["status"] for r in records_of(result.out)],
                         ["known"] * 6 + ["stored", "known"])
        self.assertEqual(len(records_of(run("inspect", self.path("out.h5"), "--rows").out)), 1)

    def test_a_full_prompt_keeps_every_token(self):
        receipt = records_of(self.compress(jsonl(prompts(1)), "--full-prompt").out)[0]
        self.assertEqual(receipt["gist_tokens"], receipt["prompt_tokens"] + 1)
        header = json.loads(run("inspect", self.path("out.h5"), "--json").out)
        self.assertEqual(header["condition"], "pos")

    def test_one_id_for_two_prompts_is_refused(self):
        result = self.compress(jsonl([{"id": "a", "instruction": "One."},
                                      {"id": "a", "instruction": "Two."}]))
        self.assertEqual(result.code, 65)
        self.assertIn('"a"', result.err)
        self.assertIn(":2:", result.err)

    def test_bad_records_stop_the_run_with_their_line(self):
        for line, complaint in [
            ('{"id": "x"}', "instruction"),
            ('{"instruction": "  "}', "instruction"),
            ('{"instruction": 3}', "instruction"),
            ("[1]", "object"),
            ("{", ":2:"),
            ('{"instruction": "\\ud800"}', ":2:"),
            (json.dumps({"instruction": "word " * 400}), "256 positions"),
        ]:
            with self.subTest(line=line[:40]):
                result = self.compress('{"instruction": "Fine."}\n' + line + "\n")
                self.assertEqual(result.code, 65, result.err)
                self.assertEqual(result.err.count("\n"), 1)
                self.assertIn("standard input:2:", result.err)
                self.assertIn(complaint, result.err)
                self.assertEqual(os.listdir(self.directory), [])  # nothing was staged: nothing stays

    def test_invalid_utf_8_is_refused(self):
        with open(self.path("in.jsonl"), "wb") as file:
            file.write(b'{"instruction": "\xff"}\n')
        result = self.compress(None, "--input", self.path("in.jsonl"))
        self.assertEqual(result.code, 65)
        self.assertIn("UTF-8", result.err)

    def test_keep_going_skips_bad_records_and_lists_them(self):
        text = '{"instruction": "A."}\n{"instruction": ""}\n{"instruction": "B."}\n'
        result = self.compress(text, "--keep-going", "--errors", self.path("errors.jsonl"))
        self.assertEqual(result.code, 1)
        self.assertEqual([r["ordinal"] for r in records_of(result.out)], [0, 2])
        with open(self.path("errors.jsonl")) as file:
            (error,) = records_of(file.read())
        self.assertEqual((error["line"], error["record"]), (2, '{"instruction": ""}'))
        again = self.compress(text, "--keep-going", "--resume")
        self.assertEqual((again.code, again.out), (1, result.out))

    def test_a_gist_token_typed_by_a_user_is_text(self):
        receipts = records_of(self.compress(jsonl([{"instruction": "Say <GIST>."}])).out)
        self.assertEqual(receipts[0]["gist_tokens"], 1)
        self.assertGreater(receipts[0]["prompt_tokens"], 5)

    def test_neither_gist_json_nor_options_is_refused_with_the_options(self):
        result = self.compress(jsonl(prompts(1)), model=PLAIN_MODEL)
        self.assertEqual(result.code, 64)
        self.assertIn("--gist-tokens", result.err)
        self.assertEqual(self.compress(jsonl(prompts(1)), "--gist-tokens", "2", model=PLAIN_MODEL).code, 0)

    def test_no_gist_token_under_gist_is_refused(self):
        result = self.compress(jsonl(prompts(1)), "--gist-tokens", "0")
        self.assertEqual(result.code, 64)
        self.assertIn("at least one", result.err)

    def test_a_model_that_was_not_trained_under_gist_is_refused(self):
        result = self.compress(jsonl(prompts(1)), model=MODELS / "wordtasks-llama-pos")
        self.assertEqual(result.code, 64)
        self.assertIn("pos", result.err)

    def test_missing_inputs_are_named(self):
        result = self.compress(None, "--input", self.path("none.jsonl"))
        self.assertEqual(result.code, 66)
        self.assertIn("none.jsonl", result.err)
        result = self.compress("", model=self.path("no-model"))
        self.assertEqual(result.code, 66)

    def test_a_directory_that_is_not_there_is_named(self):
        result = self.compress(jsonl(prompts(1)), store="missing/out.h5")
        self.assertEqual(result.code, 73)
        self.assertIn("missing", result.err)

    def test_an_empty_input_gives_an_empty_store(self):
        self.assertEqual(self.compress("").code, 0)
        self.assertEqual(run("inspect", self.path("out.h5"), "--verify").code, 0)

    def test_a_full_disk_keeps_what_is_staged(self):
        with open(self.path("in.jsonl"), "w") as file:
            file.write(jsonl(prompts(300)))

        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, resource.RLIM_INFINITY))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        options = ("--input", self.path("in.jsonl"), "--batch-tokens", "200")
        result = run(self.command(*options), preexec=small_files)
        self.assertEqual(result.code, 74, result.err)
        self.assertIn("--resume", result.err)
        resumed = self.compress(None, *options, "--resume")
        self.assertEqual(resumed.code, 0, resumed.err)
        self.assertEqual(resumed.out, self.compress(None, *options, store="calm.h5").out)
        self.assertEqual(self.read("out.h5"), self.read("calm.h5"))

    def test_a_value_that_f16_cannot_hold_rejects_its_record(self):
        # The same model with the values of one layer scaled beyond 65504.
        model = self.scaled_model(1e6)
        result = self.compress(jsonl(prompts(2)), "--store-dtype", "f16", model=model)
        self.assertEqual(result.code, 65)
        self.assertIn("f16", result.err)
        kept = self.compress(jsonl(prompts(2)), "--store-dtype", "f16", "--keep-going", model=model)
        self.assertEqual((kept.code, kept.out), (1, ""))

    def scaled_model(self, factor):
        import array
        import shutil
        import struct
        target = self.path("model")
        shutil.copytree(self.family.model, target)
        path = os.path.join(target, "model.safetensors")
        with open(path, "rb") as file:
            data = bytearray(file.read())
        (length,) = struct.unpack("<Q", data[:8])
        entry = json.loads(data[8:8 + length])["model.layers.0.self_attn.v_proj.weight"]
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = array.array("f", bytes(data[begin:end]))
        data[begin:end] = array.array("f", [value * factor for value in values]).tobytes()
        with open(path, "wb") as file:
            file.write(data)
        return target

    @unittest.skipIf(SANITIZED, "sanitizers need all the address space")
    def test_a_dry_run_refuses_what_does_not_fit_in_memory(self):
        # A pass of very many tokens, in an address space that is too small for its activations.
        text = jsonl({"instruction": f"Prompt {i}: " + "word " * 200} for i in range(4000))

        def little_memory():
            resource.setrlimit(resource.RLIMIT_AS, (3 << 29, resource.RLIM_INFINITY))

        result = run(self.command("--dry-run", "--batch-tokens", "1000000"), stdin=text,
                     preexec=little_memory)
        self.assertEqual(result.code, 69, result.err)
        self.assertIn("GiB", result.err)


if __name__ == "__main__":
    unittest.main()
