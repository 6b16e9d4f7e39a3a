"""No output of gist loses data: what a run may overwrite, and what never."""

import json
import os
import shutil
import signal
import subprocess
import threading
import unittest

from families import LLAMA
from gist_cli import GIST, MODELS, TempDirTest, environment, jsonl, run
from stores import numbered, write_store
from training import TrainTest

PROMPTS = jsonl({"id": name, "instruction": text} for name, text in numbered(0, 3).items())
BAD = PROMPTS + "nonsense\n"
TEXTS = jsonl({"text": text} for text in ("Once upon a time", "Lily", "nonsense"))
LONG_LINE = {"line": 1, "ordinal": 0, "reason": "of an earlier run", "record": "x"}


def together(*commands):
    """Runs commands that start at the same time; the exit code of each."""
    codes = [None] * len(commands)
    barrier = threading.Barrier(len(commands))

    def one(i):
        barrier.wait()
        codes[i] = run(*commands[i], stdin=PROMPTS).code

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(commands))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes


class OutputsTest(TempDirTest):
    def compress(self, *options, stdin=BAD, output="out.h5", **settings):
        return run("compress", "--model", LLAMA.model, "--gist-tokens", 1, "--output",
                   self.path(output), *options, stdin=stdin, **settings)

    def names(self):
        return sorted(os.listdir(self.directory))


class FilesOfTheRun(OutputsTest):
    def assertKept(self, name, text, result, *words):
        self.assertFails(result, 64, *words)
        self.assertEqual(self.read(name).decode(), text)

    def test_a_list_never_takes_the_place_of_an_input(self):
        self.write("in.jsonl", BAD)
        os.link(self.path("in.jsonl"), self.path("hard"))
        os.symlink(self.path("in.jsonl"), self.path("soft"))
        for name in ("in.jsonl", "hard", "soft", "./in.jsonl"):
            for option in (("--keep-going", "--errors"), ("--left-out",), ("--check", "all", "--check-report")):
                for force in ((), ("--force",)):
                    with self.subTest(name=name, option=option, force=force):
                        self.assertKept("in.jsonl", BAD,
                                        self.compress("--input", self.path("in.jsonl"), *option,
                                                      self.path(name), *force),
                                        option[-1], "--input", "too")
        self.assertEqual(self.names(), ["hard", "in.jsonl", "soft"])

    def test_nor_that_of_standard_input_or_output(self):
        path = self.write("in.jsonl", BAD)
        for redirect, stream in ((f"<{path}", "standard input"), (f"</dev/null >>{path}", "standard output")):
            command = (f"{GIST} compress --model {LLAMA.model} --gist-tokens 1 --output {self.path('o.h5')} "
                       f"--keep-going --errors {path} {redirect}")
            done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment())
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn(stream, done.stderr.decode())
            self.assertEqual(self.read("in.jsonl").decode(), BAD)

    def test_nor_that_of_a_models_file_or_a_store(self):
        model = self.path("model")
        shutil.copytree(LLAMA.model, model)
        store = write_store(self.path("known.h5"), numbered(0, 1))
        for name, word in (("model/config.json", "--model"), ("model/model.safetensors", "--model"),
                           ("known.h5", "--known")):
            before = self.read(name)
            self.assertFails(self.compress("--model", model, "--known", store, "--left-out",
                                           self.path(name), "--force"), 64)
            result = run("compress", "--model", model, "--gist-tokens", 1, "--known", store, "--output",
                         self.path("o.h5"), "--left-out", self.path(name), "--force", stdin=BAD)
            self.assertFails(result, 64, "--left-out", word)
            self.assertEqual(self.read(name), before)

    def test_two_outputs_are_two_files(self):
        self.assertFails(self.compress("--keep-going", "--errors", self.path("list"), "--left-out",
                                       self.path("list")), 64, "--left-out", "--errors")
        for name in ("out.h5", "out.h5.partial"):
            self.assertFails(self.compress("--keep-going", "--errors", self.path(name)), 64, "--output")
        self.assertEqual(self.names(), [])
        self.assertEqual(self.compress("--keep-going", "--errors", "/dev/null", "--left-out", "/dev/null").code, 1)

    def test_an_output_is_no_input(self):
        store = write_store(self.path("a.h5"), numbered(0, 1))
        before = self.read("a.h5")
        for result in (self.compress("--known", store, "--force", output="a.h5"),
                       run("merge", "--force", "--output", store, store),
                       run("generate", "--model", MODELS / "wordtasks-llama-gist", "--store", store,
                           "--output", store, "--force")):
            self.assertFails(result, 64, "--output", "too")
        self.assertEqual(self.read("a.h5"), before)


class WhatExists(OutputsTest):
    def test_a_file_that_gist_did_not_make_is_not_emptied(self):
        for option in (("--keep-going", "--errors"), ("--left-out",), ("--check", "all", "--check-report")):
            for text in ("mine\n", '{"id": "a", "instruction": "b"}\n', "[1]\n"):
                path = self.write("notes", text)
                with self.subTest(option=option, text=text):
                    self.assertFails(self.compress(*option, path), 73, option[-1], path, "--force")
                    self.assertEqual(self.read("notes").decode(), text)
        self.assertEqual(self.compress("--keep-going", "--errors", path, "--force").code, 1)
        self.assertEqual(len(self.read("notes").splitlines()), 1)

    def test_a_repeated_run_writes_its_own_lists_anew(self):
        errors = self.path("errors")
        for _ in range(2):
            result = self.compress("--keep-going", "--errors", errors)
            self.assertEqual(result.code, 1, result.err)
            self.assertEqual(len(self.read("errors").splitlines()), 1)
            os.remove(self.path("out.h5"))
        self.assertFails(self.compress("--left-out", errors), 73, "--left-out")  # of another kind

    def test_an_empty_file_is_fine(self):
        for name in ("out.h5", "errors"):
            self.write(name, "")
        self.assertEqual(self.compress("--keep-going", "--errors", self.path("errors")).code, 1)
        self.assertEqual(run("inspect", "--verify", self.path("out.h5")).code, 0)
        self.assertEqual(len(self.read("errors").splitlines()), 1)

    def test_a_link_is_not_followed(self):
        self.write("target", "")
        os.symlink(self.path("target"), self.path("link"))
        for options in (("--keep-going", "--errors", self.path("link")), ("--left-out", self.path("link"))):
            self.assertFails(self.compress(*options), 73, "link")
        self.assertFails(self.compress(output="link"), 73, "link")
        os.symlink(self.path("none"), self.path("out.h5"))
        self.assertFails(self.compress(), 73, "out.h5")
        self.assertEqual(self.read("target"), b"")

    def test_a_directory_is_refused_before_the_work(self):
        os.mkdir(self.path("dir"))
        for options in ((), ("--force",)):
            self.assertFails(self.compress(*options, "--model", "none", output="dir"), 64)
            result = run("compress", "--model", self.path("none"), "--output", self.path("dir"), *options)
            self.assertFails(result, 73, "dir", "directory")
            self.assertFails(run("generate", "--model", self.path("none"), "--output", self.path("dir"),
                                 *options), 73, "dir", "directory")
        self.assertEqual(self.names(), ["dir"])

    def test_a_place_where_nothing_can_be_made_is_told_before_the_work(self):
        self.write("file", "")
        deep = self.directory + "/" + "/".join(["d" * 120] * 4)
        os.makedirs(deep)
        cases = {"none/out": "No such file", "file/out": "file", "n" * 250: "250 bytes", "x" * 300: "300 bytes"}
        for name, words in cases.items():
            for command in ("compress", "generate", "merge"):
                with self.subTest(name=name[:20], command=command):
                    model = [] if command == "merge" else ["--model", self.path("none")]
                    self.assertFails(run(command, *model, "--output", self.path(name)), 73, words)
        self.assertFails(self.compress(output=os.path.join(deep, "out.h5")), 73, "bytes")

    def test_a_read_only_directory_is_told_before_the_work(self):
        os.chmod(self.directory, 0o755)
        os.mkdir(self.path("dir"))
        os.chmod(self.path("dir"), 0o555)

        def nobody():  # root writes everywhere
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)

        for command in (["compress", "--model", "none"], ["generate", "--model", "none"], ["merge"]):
            with self.subTest(command[0]):
                result = run(*command, "--output", self.path("dir/out"), preexec=nobody)
                self.assertFails(result, 73, "dir", "Permission denied")

    def test_devices_and_pipes_are_never_replaced(self):
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        for force in ((), ("--force",)):
            self.assertFails(self.compress(*force, output="pipe"), 73, "pipe")
            self.assertFails(run("merge", "--output", pipe, *force, pipe + "2"), 73, "pipe")
        reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
        result = run("generate", "--model", LLAMA.base, "--output", pipe, "--force", "--max-new-tokens", 2, stdin=TEXTS)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))
        self.assertEqual(len(reader.communicate()[0].splitlines()), 3)
        self.assertEqual(run("generate", "--model", LLAMA.base, "--output", "/dev/null", "--force",
                             "--max-new-tokens", 2, stdin=TEXTS).code, 0)
        self.assertFalse(os.path.isfile("/dev/null"))
        self.assertEqual(self.names(), ["pipe"])

    def test_errors_may_go_to_standard_error(self):
        result = self.compress("--keep-going", "--errors", "/dev/stderr")
        self.assertEqual(result.code, 1)
        self.assertIn('"record":"nonsense"', result.err)


class Dash(OutputsTest):
    def test_a_dash_is_an_output_only_where_that_can_be(self):
        store = write_store(self.path("a.h5"), numbered(0, 1))
        for result in (run("compress", "--model", LLAMA.model, "--output", "-", stdin=PROMPTS),
                       run("merge", "--output", "-", store)):
            self.assertFails(result, 64, "--output -", "store", "name a file")
        for option in (("--keep-going", "--errors", "-"), ("--left-out", "-")):
            self.assertFails(self.compress(*option), 64, option[-2] + " -")
        self.assertFails(run("evaluate", "--data", "-", "--report", "-"), 64, "--report -")
        self.assertFails(run("train", "--model", LLAMA.base, "--data", "-", "--output", "-"), 64, "--output -")
        self.assertFalse(os.path.exists("-"))


class OneRunAnOutput(OutputsTest):
    def test_of_two_merges_at_once_one_wins_and_nothing_is_lost(self):
        stores = [write_store(self.path(f"{i}.h5"), numbered(i, i + 2)) for i in range(2)]
        for _ in range(15):
            codes = together(*(["merge", "--output", self.path("out.h5"), store] for store in stores))
            self.assertEqual(codes.count(0), 1, codes)
            self.assertIn(sum(codes), (73, 75))
            with open(stores[codes.index(0)], "rb") as winner:
                self.assertEqual(self.read("out.h5"), winner.read())
            os.remove(self.path("out.h5"))
        self.assertEqual(self.names(), ["0.h5", "1.h5"])

    def test_of_two_runs_at_once_exactly_one_wins(self):
        command = ["compress", "--model", LLAMA.model, "--gist-tokens", 1, "--output", self.path("out.h5")]
        for _ in range(8):
            codes = together(command, command)
            self.assertEqual(codes.count(0), 1, codes)
            self.assertIn(sum(codes), (73, 75))
            os.remove(self.path("out.h5"))
        self.assertEqual(self.names(), [])

    def test_one_lock_serves_all_commands(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        store = write_store(self.path("a.h5"), numbered(0, 1))
        holder = subprocess.Popen([GIST, "compress", "--model", LLAMA.model, "--gist-tokens", "1", "--output",
                                   self.path("out.h5"), "--input", fifo], stdout=subprocess.PIPE,
                                  env=environment())
        with open(fifo, "w") as records:
            who = f"process {holder.pid}"
            self.assertFails(self.compress(), 75, who)
            self.assertFails(self.compress("--force"), 75, who)
            self.assertFails(self.compress("--resume"), 75, who)
            self.assertFails(run("merge", "--output", self.path("out.h5"), store), 75, who)
            self.assertFails(run("generate", "--model", LLAMA.base, "--output", self.path("out.h5"),
                                 stdin=TEXTS), 75, who)
            records.write(PROMPTS)
        self.assertEqual(len(holder.communicate()[0].splitlines()), 3)
        self.assertEqual(holder.returncode, 0)
        self.assertEqual(self.names(), ["a.h5", "fifo", "out.h5"])

    def test_what_is_planted_is_neither_followed_nor_removed(self):
        self.write("target", "")
        os.symlink(self.path("target"), self.path("out.h5.gist-lock"))
        self.assertFails(self.compress(), 73, "out.h5.gist-lock")
        os.remove(self.path("out.h5.gist-lock"))
        os.mkdir(self.path("out.h5.tmp-0123456789abcdef"))
        os.symlink(self.path("target"), self.path("out.h5.tmp-1123456789abcdef"))
        self.assertEqual(self.compress(stdin=PROMPTS).code, 0)
        self.assertEqual(self.names(), ["out.h5", "out.h5.tmp-0123456789abcdef", "out.h5.tmp-1123456789abcdef",
                                        "target"])
        self.assertEqual(self.read("target"), b"")


class Forced(OutputsTest):
    def test_a_run_that_may_replace_a_store_may_do_so_when_it_is_resumed(self):
        write_store(self.path("out.h5"), numbered(7, 8))
        before = self.read("out.h5")
        self.assertEqual(self.compress("--force", "--batch-tokens", 1).code, 65)
        self.assertEqual(self.read("out.h5"), before)
        result = self.compress("--resume", "--batch-tokens", 1, stdin=PROMPTS)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(len(run("inspect", "--rows", self.path("out.h5")).out.splitlines()), 3)

    def test_a_store_that_came_meanwhile_is_left_alone(self):
        self.assertEqual(self.compress("--batch-tokens", 1).code, 65)
        write_store(self.path("a.h5"), numbered(7, 8))
        os.rename(self.path("a.h5"), self.path("out.h5"))
        before = self.read("out.h5")
        result = self.compress("--resume", "--batch-tokens", 1, stdin=PROMPTS)
        self.assertEqual(result.code, 73, result.err)
        self.assertEqual(self.read("out.h5"), before)
        self.assertTrue(os.path.exists(self.path("out.h5.partial")))


class StandardDescriptors(OutputsTest):
    def shell(self, text):
        command = f'"$0" compress --model "$1" --gist-tokens 1 --output "$2" {text}'
        return subprocess.run(["timeout", "60", "sh", "-c", command, GIST, str(LLAMA.model), self.path("out.h5")],
                              capture_output=True, env=environment(), input=PROMPTS.encode())

    def test_closed_ones_are_errors_and_no_files_get_their_numbers(self):
        for redirect, words in (("<&-", b"standard input"), (">&-", b"standard output"),
                                ("<&- >&-", b"standard input")):
            with self.subTest(redirect):
                done = self.shell("--force " + redirect)
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertEqual(self.shell("--force 2>&-").returncode, 0)
        self.assertEqual(run("inspect", "--verify", self.path("out.h5")).code, 0)


class Faults(OutputsTest):
    def limited(self, size, *command):
        """Under `ulimit -f`, as a shell sets it, SIGXFSZ is not ignored."""
        import resource

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return run(*command, stdin=PROMPTS, preexec=limit)

    def test_a_limit_of_file_size_is_an_error_of_writing(self):
        compress = ("compress", "--model", LLAMA.model, "--gist-tokens", 1, "--output", self.path("out.h5"))
        for size in (100, 20000):
            with self.subTest(size=size):
                result = self.limited(size, *compress, "--force")
                self.assertEqual(result.code, 74, result.err)
                self.assertEqual(result.err.count("\n"), 1, result.err)
                self.assertNotIn("out.h5", self.names())
        generate = ("generate", "--model", LLAMA.base, "--output", self.path("out.jsonl"), "--max-new-tokens", 20)
        result = run(*generate, stdin=TEXTS, preexec=lambda: __import__("resource").setrlimit(1, (300, 300)))
        self.assertEqual(result.code, 74, result.err)

    def test_weights_that_are_cut_off_in_use_are_named(self):
        fifo, model = self.path("fifo"), self.path("model")
        os.mkfifo(fifo)
        shutil.copytree(LLAMA.model, model)
        shutil.rmtree(os.path.join(model, ".gist-fingerprint.json"), ignore_errors=True)
        process = subprocess.Popen([GIST, "generate", "--model", model, "--condition", "pos", "--gist-tokens", "1",
                                    "--input", fifo], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment())
        with open(fifo, "w"):  # the weights are mapped then, and not read yet
            os.truncate(os.path.join(model, "model.safetensors"), 16384)
        out, err = process.communicate()
        self.assertEqual((process.returncode, out), (74, b""), err)
        self.assertEqual(err.count(b"\n"), 1, err)
        self.assertIn(b"model.safetensors", err)


if __name__ == "__main__":
    unittest.main()
