"""gist generate: where completions go, and every way in which a run can end."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import time
import unittest

from families import LLAMA, UNDER_GIST, for_each_family
from gist_cli import (FIXTURES, GIST, MODELS, TempDirTest, environment, jsonl, records_of, rounding_varies, run,
                      wordtasks)
from stores import write_store

STORIES = FIXTURES / "models" / "stories260K"
BEGINNINGS = ["Once upon a time", "Lily", "One day, Tim", "The cat", "A dog ran", "Mom said",
              "They were happy", "It was", "The sun", "Ben had a ball", "She", "He saw a"]
INPUT = jsonl({"n": n, "text": text} for n, text in enumerate(BEGINNINGS))
OPTIONS = ("--max-new-tokens", 20, "--batch-rows", 4)
SAMPLED = (*OPTIONS, "--temperature", 0.9, "--top-p", 0.9, "--seed", 3)


class OutputTest(TempDirTest):
    command = ["generate", "--model", STORIES]
    text = INPUT

    def setUp(self):
        super().setUp()
        self.output = self.path("out.jsonl")
        self.partial = self.output + ".partial"

    def generate(self, *options, stdin=None):
        return run(self.command, *options, stdin=self.text if stdin is None else stdin)

    def start(self, *options, **streams):
        return subprocess.Popen([GIST, *map(str, (*self.command, *options))], stdin=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=environment(), **streams)

    def to_file(self, *options, stdin=None):
        return self.generate("--output", self.output, *options, stdin=stdin)

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)

    def whole_run(self, *options, **settings):
        """What a run writes; what says how it was made is kept for unfinished()."""
        self.to_file(*options, **settings)
        self.settings = self.read(self.output + ".settings.json")
        whole = self.read()
        os.remove(self.output)
        return whole

    def unfinished(self, text):
        """Leaves what the run of whole_run would have left with these lines."""
        self.write(self.partial, text)
        self.write(self.partial + ".settings.json", self.settings)

    def read(self, path=None):
        with open(path or self.output) as file:
            return file.read()

    def wait_for_lines(self, count, process):
        """Until the partial file has that many lines, or the run has ended."""
        deadline = time.monotonic() + 300
        while process.poll() is None:
            try:
                if self.read(self.partial).count("\n") >= count:
                    return
            except FileNotFoundError:
                pass
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)

    def assertDone(self, result):
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))
        self.assertFalse(os.path.exists(self.partial))


@for_each_family
class Proofs(OutputTest):
    text = jsonl(wordtasks(0, 12))

    @property
    def command(self):
        return ["generate", "--model", self.family.model, *UNDER_GIST]

    def test_a_run_cut_anywhere_resumes_to_the_same_bytes(self):
        for options in (OPTIONS, SAMPLED):
            whole = self.whole_run(*options)
            self.assertEqual(whole, self.generate(*options).out)
            lines = whole.splitlines(keepends=True)
            for text in ("", lines[0][:10], lines[0], "".join(lines[:5]) + lines[5][:-1],
                         "".join(lines[:7]), whole):
                with self.subTest(options=options, bytes=len(text)):
                    self.unfinished(text)
                    self.assertDone(self.to_file("--resume", *options))
                    self.assertEqual(self.read(), whole)
                    os.remove(self.output)

    @unittest.skipIf(rounding_varies(), rounding_varies())
    def test_killed_again_and_again_a_run_resumes_to_the_same_bytes(self):
        # At this temperature answers have no end: there is time to kill in.
        options = ("--max-new-tokens", 200, "--batch-rows", 4, "--temperature", 50, "--seed", 3)
        whole = self.generate(*options).out
        for lines in (1, 2, 5, 8):
            process = self.start("--output", self.output, "--resume", *options,
                                 stdout=subprocess.DEVNULL)
            process.stdin.write(self.text.encode())
            process.stdin.close()
            self.wait_for_lines(lines, process)
            process.kill()
            process.wait()
            process.stderr.close()
        self.assertDone(self.to_file("--resume", *options))
        self.assertEqual(self.read(), whole)


class Output(OutputTest):
    def test_a_file_gets_the_lines_of_standard_output(self):
        self.assertDone(self.to_file(*OPTIONS))
        self.assertEqual(self.read(), self.generate(*OPTIONS).out)

    def test_a_dash_is_standard_output(self):
        self.assertEqual(self.generate("--output", "-", *OPTIONS).out, self.generate(*OPTIONS).out)

    def test_what_exists_is_not_overwritten_unless_forced(self):
        self.write(self.output, "precious\n")
        self.assertFails(self.to_file(*OPTIONS), 73, self.output, "--force")
        self.assertEqual(self.read(), "precious\n")
        self.assertDone(self.to_file("--force", *OPTIONS))
        self.assertEqual(len(self.read().splitlines()), len(BEGINNINGS))

    def test_an_unfinished_run_is_not_overwritten_unless_forced(self):
        self.write(self.partial, "unfinished\n")
        self.assertFails(self.to_file(*OPTIONS), 73, self.partial, "--resume", "--force")
        self.assertEqual(self.read(self.partial), "unfinished\n")
        self.assertDone(self.to_file("--force", *OPTIONS))

    def test_a_second_run_on_the_same_output_is_refused(self):
        for mode in ((), ("--resume",), ("--force",)):
            with self.subTest(mode=mode), open(self.output + ".gist-lock", "w") as first:
                fcntl.flock(first, fcntl.LOCK_EX)
                self.assertFails(self.to_file(*mode, *OPTIONS), 75, self.output, f"process {os.getpid()}")

    def test_a_directory_that_is_missing_is_named(self):
        self.output = self.path("none/out.jsonl")
        self.assertFails(self.to_file(*OPTIONS), 73, self.output)

    def test_a_failed_run_leaves_its_lines_for_resume(self):
        good = "".join(INPUT.splitlines(keepends=True)[:3])
        result = self.to_file(*OPTIONS, stdin=good + "nonsense\n")
        self.assertFails(result, 65, "4", self.partial, "--resume")
        self.assertEqual(len(records_of(self.read(self.partial))), 3)
        self.assertDone(self.to_file(*OPTIONS, "--resume"))
        self.assertEqual(self.read(), self.generate(*OPTIONS).out)

    def test_a_run_that_failed_at_once_leaves_nothing(self):
        self.assertFails(self.to_file(*OPTIONS, stdin="nonsense\n"), 65)
        self.assertEqual(os.listdir(self.directory), [])

    def test_a_full_disk_is_an_error_with_its_own_exit_code(self):
        def small_disk():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

        process = self.start("--output", self.output, *OPTIONS, stdout=subprocess.PIPE,
                             preexec_fn=small_disk)
        out, err = process.communicate(INPUT.encode())
        self.assertEqual((process.returncode, out), (74, b""), err)
        self.assertIn(self.partial, err.decode())
        self.assertFalse(os.path.exists(self.output))


class Resume(OutputTest):
    def test_without_anything_to_resume_a_run_starts_afresh(self):
        self.assertDone(self.to_file("--resume", *OPTIONS))
        self.assertEqual(self.read(), self.generate(*OPTIONS).out)

    def test_a_finished_output_is_checked_and_left_alone(self):
        self.assertDone(self.to_file(*OPTIONS))
        before = os.stat(self.output)
        self.assertDone(self.to_file("--resume", *OPTIONS))
        after = os.stat(self.output)
        self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_another_input_is_refused(self):
        self.assertDone(self.to_file(*OPTIONS))
        lines = INPUT.splitlines(keepends=True)
        inputs = {
            "changed": lines[0] + lines[1].replace("Lily", "Tim") + "".join(lines[2:]),
            "shorter": "".join(lines[:-1]),
            "longer": INPUT + lines[0],
        }
        for name, text in inputs.items():
            with self.subTest(name):
                self.assertFails(self.to_file("--resume", *OPTIONS, stdin=text), 65, "input",
                                 self.output, "--force")
        for ending in ("", ".settings.json"):
            os.rename(self.output + ending, self.partial + ending)
        for name in ("changed", "shorter"):
            with self.subTest(name, partial=True):
                self.assertFails(self.to_file("--resume", *OPTIONS, stdin=inputs[name]), 65, "input",
                                 self.partial, "--force")
                self.assertEqual(len(self.read(self.partial).splitlines()), len(BEGINNINGS))

    def test_skipped_records_are_skipped_again(self):
        text = INPUT.replace(json.dumps({"n": 2, "text": BEGINNINGS[2]}), "nonsense")
        whole = self.whole_run("--keep-going", *OPTIONS, stdin=text)
        self.unfinished("".join(whole.splitlines(keepends=True)[:4]))
        result = self.to_file("--resume", "--keep-going", *OPTIONS, stdin=text)
        self.assertEqual((result.code, result.out), (1, ""), result.err)
        self.assertEqual(self.read(), whole)


class OtherSettings(OutputTest):
    CHANGES = {"max-new-tokens": ("--max-new-tokens", 21), "temperature": ("--temperature", 0.8),
               "top-k": ("--top-k", 5), "top-p": ("--top-p", 0.5), "seed": ("--seed", 4), "stop": ("--stop", "x"),
               "dtype": ("--dtype", "bf16"), "fields": ("--fields", "text=text")}
    PLAIN = ("--max-new-tokens", 5, "--temperature", 0.9)

    def assertRefused(self, name, path, *options, **settings):
        before = self.read(path)
        self.assertFails(self.to_file("--resume", *options, **settings), 64, path, f"--{name}", "--force")
        self.assertEqual(self.read(path), before)

    def test_what_would_change_the_completions_is_named(self):
        whole = self.whole_run(*self.PLAIN)
        for name, change in self.CHANGES.items():
            options = [*self.PLAIN, *change]
            if change[0] in self.PLAIN:
                at = self.PLAIN.index(change[0])
                options = [*self.PLAIN[:at], *self.PLAIN[at + 2:], *change]
            with self.subTest(name):
                self.unfinished(whole[:whole.index("\n") + 1])
                self.assertRefused(name, self.partial, *options)
        self.assertDone(self.to_file("--resume", *self.PLAIN, "--batch-rows", 2, "--threads", 1))
        self.assertEqual(self.read(), whole)
        for name, change in self.CHANGES.items():  # of a finished file
            if change[0] not in self.PLAIN:
                self.assertRefused(name, self.output, *self.PLAIN, *change)

    def test_another_model_condition_or_store_is_named(self):
        self.text = jsonl(wordtasks(0, 2))
        gist, pos = MODELS / "wordtasks-llama-gist", MODELS / "wordtasks-llama-pos"
        self.command = ["generate", "--model", gist]
        self.assertDone(self.to_file(*self.PLAIN))
        self.assertRefused("condition", self.output, *self.PLAIN, "--condition", "pos")
        self.command = ["generate", "--model", pos]
        self.assertRefused("model", self.output, *self.PLAIN, "--condition", "gist")
        self.command = ["generate", "--model", LLAMA.model]
        os.remove(self.output)
        self.assertDone(self.to_file(*self.PLAIN, *UNDER_GIST))
        store = write_store(self.path("a.h5"), {"a": wordtasks(0, 1)[0]["instruction"],
                                                "b": wordtasks(1, 2)[0]["instruction"]})
        self.assertRefused("store", self.output, *self.PLAIN, "--store", store)

    def test_lines_of_unknown_origin_are_not_gone_on_with(self):
        whole = self.whole_run(*OPTIONS)
        self.write(self.partial, whole)
        result = self.to_file("--resume", *OPTIONS)
        self.assertFails(result, 65, self.partial + ".settings.json", "missing")
        os.rename(self.partial, self.output)
        os.remove(self.output + ".settings.json")
        self.assertFails(self.to_file("--resume", *OPTIONS), 65, self.output + ".settings.json")
        self.assertEqual(self.read(), whole)


class Ending(OutputTest):
    def started(self, *options, **streams):
        """A run that has three lines, and waits for more input."""
        process = self.start(*options, **streams)
        process.stdin.write("".join(INPUT.splitlines(keepends=True)[:3]).encode())
        process.stdin.flush()
        return process

    def end(self, process, number):
        process.send_signal(number)
        err = process.stderr.read().decode()
        code = process.wait(timeout=60)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
        return code, err

    def test_line_buffered_answers_each_record_before_it_reads_the_next(self):
        process = self.start("--line-buffered", "--max-new-tokens", 5, stdout=subprocess.PIPE)
        for line in INPUT.splitlines(keepends=True)[:4]:
            process.stdin.write(line.encode())
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            self.assertEqual({"n": answer["n"], "text": answer["text"]}, json.loads(line))
        out, err = process.communicate()
        self.assertEqual((process.returncode, out, err), (0, b"", b""))

    def test_a_signal_ends_a_run_that_waits_for_input(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                process = self.started("--line-buffered", "--max-new-tokens", 5,
                                       stdout=subprocess.PIPE)
                answers = [process.stdout.readline() for _ in range(3)]
                code, err = self.end(process, number)
                self.assertEqual(code, -number)
                self.assertEqual([json.loads(line)["n"] for line in answers], [0, 1, 2])
                self.assertEqual(err, "gist: interrupted\n")

    def test_an_interrupted_run_says_how_to_go_on(self):
        process = self.started("--line-buffered", "--output", self.output, "--max-new-tokens", 20,
                               stdout=subprocess.DEVNULL)
        self.wait_for_lines(3, process)
        code, err = self.end(process, signal.SIGTERM)
        self.assertEqual(code, -signal.SIGTERM)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn(self.partial, err)
        self.assertIn("--resume", err)
        self.assertDone(self.to_file("--resume", *OPTIONS))
        self.assertEqual(self.read(), self.generate(*OPTIONS).out)

    def test_a_signal_stops_rows_in_flight(self):
        self.write(self.path("long.jsonl"), INPUT * 400)  # far more than is done before the signal
        process = self.start("--max-new-tokens", 100, "--temperature", 1, "--batch-rows", 4,
                             "--output", self.output, "--input", self.path("long.jsonl"),
                             stdout=subprocess.DEVNULL)
        self.wait_for_lines(1, process)
        code, err = self.end(process, signal.SIGINT)
        self.assertEqual(code, -signal.SIGINT)
        self.assertIn("--resume", err)
        written = self.read(self.partial)
        self.assertTrue(written.endswith("\n"))
        numbers = [record["n"] for record in records_of(written)]
        self.assertEqual(numbers, [i % len(BEGINNINGS) for i in range(len(numbers))])
        self.assertLess(len(numbers), 400 * len(BEGINNINGS))

    def test_a_closed_standard_output_ends_the_run_quietly(self):
        reading, writing = os.pipe()
        process = self.start("--max-new-tokens", 20, stdout=writing)
        os.close(writing)
        os.close(reading)
        _, err = process.communicate((INPUT * 50).encode())
        self.assertEqual((process.returncode, err), (0, b""))


if __name__ == "__main__":
    unittest.main()
