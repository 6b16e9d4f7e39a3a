"""What a person sees who looks on: standard error is a terminal."""

import os
import pty
import re
import signal
import struct
import fcntl
import subprocess
import termios
import threading
import time

from families import LLAMA
from gist_cli import GIST, SANITIZED, TIMEOUT, environment, jsonl, run
from stores import numbered, write_store
from training import TrainTest


def screen(raw):
    """The lines that stand on a terminal after these bytes, of the few controls that gist uses."""
    lines = []
    for line in raw.replace("\r\n", "\n").split("\n"):
        lines.append(re.split("\r\x1b\\[K", line)[-1])
    return lines


def read_all(leader):
    """What is written to a terminal until all close it; then this end is closed, too."""
    pieces = []
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux says so where the other side is closed
            piece = b""
        if not piece:
            os.close(leader)
            return b"".join(pieces).decode()
        pieces.append(piece)


class OnTerminal(TrainTest):
    """Runs with standard error on a pseudo-terminal of `columns` columns."""

    columns = 100

    def terminal(self):
        """Its two ends."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, self.columns, 0, 0))
        return leader, follower

    def on_terminal(self, *args, stdin=b"", after_start=lambda process: None):
        """The exit code, standard output, and all that was written to the terminal."""
        leader, follower = self.terminal()
        process = subprocess.Popen([GIST, *map(str, args)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=follower,
                                   env=environment({"TERM": "xterm"}))
        os.close(follower)
        written = []
        reader = threading.Thread(target=lambda: written.append(read_all(leader)))
        reader.start()
        after_start(process)
        out, _ = process.communicate(stdin, timeout=TIMEOUT)
        reader.join()
        return process.returncode, out.decode(), written[0]

    def prompts(self):
        return self.write("prompts.jsonl", jsonl(self.records))

    def compress(self, store, *more):
        return ["compress", "--model", LLAMA.model, "--output", self.path(store), "--batch-tokens",
                "64", "--threads", "1", *more, self.prompts()]


class Lines(OnTerminal):
    def test_a_run_begins_with_what_it_does_and_ends_with_what_came_of_it(self):
        code, out, raw = self.on_terminal(*self.compress("a.h5"))
        self.assertEqual(code, 0, raw)
        first, last, end = screen(raw)
        self.assertRegex(first, r"^gist: compressing .*prompts\.jsonl by .* \(llama, .* parameters\) "
                                r"on cpu, 1 thread, f32, 1 gist token a prompt, into .*a\.h5$")
        self.assertRegex(last, r"^gist: \d+ prompts stored(, \d+ duplicates?)? in .*; .*a\.h5$")
        self.assertEqual(end, "")
        self.assertIn("\r\x1b[K", raw)
        self.assertRegex(raw, r"\d+ records?, [0-9.]+/s, \d+ %, [^\r]* left")
        self.assertEqual(len(out.splitlines()), len(self.records))

    def test_a_small_file_is_not_done_when_it_is_read(self):
        _, _, raw = self.on_terminal(*self.compress("a.h5"))
        shares = [int(share) for share in re.findall(r"(\d+) %", raw)]
        self.assertLess(shares[0], 50, raw)

    def test_progress_fits_the_terminal(self):
        self.columns = 44
        _, _, raw = self.on_terminal(*self.compress("a.h5"))
        for line in re.findall("\r\x1b\\[K([^\r\n]*)", raw):
            if not line.startswith("gist: "):
                self.assertLess(len(line), 44)

    def test_quiet_leaves_nothing_and_verbose_says_it_to_a_file(self):
        self.assertEqual(self.on_terminal(*self.compress("a.h5", "--quiet"))[2], "")
        self.assertEqual(run(self.compress("b.h5")).err, "")
        lines = run(self.compress("c.h5", "-v")).err.splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("compressing", lines[0])
        self.assertIn("c.h5", lines[1])

    def test_merging_and_verifying_count_rows(self):
        stores = [write_store(self.path("a.h5"), numbered(0, 3)), write_store(self.path("b.h5"), numbered(2, 5))]
        merged = self.path("merged.h5")
        for command, first, last in (
                (["merge", "--output", merged, *stores], r"merging 2 stores into .*merged\.h5",
                 r"5 rows merged, 1 duplicate in .*; .*merged\.h5"),
                (["inspect", "--verify", merged], r"verifying .*merged\.h5", r"5 rows verified in .*; .*merged\.h5"),
                (["inspect", "--verify", "--trust-store", merged], r"verifying .*merged\.h5",
                 r"5 rows verified in .*; .*merged\.h5")):
            with self.subTest(command):
                code, _, raw = self.on_terminal(*command)
                self.assertEqual(code, 0, raw)
                lines = screen(raw)
                self.assertRegex(lines[0], f"^gist: {first}$")
                self.assertRegex(lines[1], f"^gist: {last}$")
                self.assertEqual(lines[2:], [""])
                self.assertRegex(raw, r"\x1b\[Krow 0/5, [0-9.]+/s, 0 %\r")

    def test_training_counts_its_steps(self):
        held_out = self.write("held_out.jsonl", jsonl(self.records[:4]))
        code, _, raw = self.on_terminal(*self.arguments(eval_data=held_out, eval_every=4))
        self.assertEqual(code, 0, raw)
        lines = [line for line in screen(raw) if "stand in" not in line]
        self.assertRegex(lines[0], r"^gist: training under gist with 2 gist tokens, on 40 records of .*: "
                                   r"8 steps of 4 records, [0-9,]+ tokens; .* on cpu, 1 thread, f32, into")
        self.assertRegex(lines[1], r"^gist: trained in .*: loss [0-9.]+, held-out loss [0-9.]+ at step \d; ")
        self.assertEqual(lines[2:], [""])
        self.assertRegex(raw, r"\x1b\[Kstep \d/8, loss [0-9.]+, .* tokens/s, ")

    def test_help_has_the_width_of_the_terminal(self):
        for columns in (50, 120):
            self.columns = columns
            leader, follower = self.terminal()
            process = subprocess.Popen([GIST, "compress", "-h"], stdout=follower)
            os.close(follower)
            lines = read_all(leader).split("\r\n")
            self.assertEqual(process.wait(), 0)
            widest = max(len(line) for line in lines if "gist compress" not in line)
            self.assertLessEqual(widest, columns)
            self.assertGreater(widest, columns - 15)


class Stopping(OnTerminal):
    def test_an_interrupt_is_answered_at_once_with_what_it_waits_for(self):
        # A step of a second or more, so that the signal meets it.
        copies = 2 if SANITIZED else 40
        records = self.write("many.jsonl", jsonl(self.records * copies))
        command = self.arguments(data=records, batch_records=40 * copies, steps=100000)

        def interrupt(process):
            self.wait_for_step(process, "out")
            time.sleep(0.3)  # between two steps there is nothing to wait for
            process.send_signal(signal.SIGINT)

        code, _, raw = self.on_terminal(*command, after_start=interrupt)
        self.assertEqual(code, -signal.SIGINT)
        lines = screen(raw)
        self.assertRegex(lines[-3], r"^gist: stopping after this step(, in about [^,;]*)?; a second "
                                    r"signal stops at once$")
        self.assertRegex(lines[-2], r"^gist: stopped after step \d+ of 100000; ")
        self.assertEqual(lines[-1], "")

    def test_a_signal_that_meets_no_work_ends_the_run_at_once(self):
        model = self.path("model")
        os.mkdir(model)
        os.mkfifo(os.path.join(model, "config.json"))
        for command in (["compress", "--output", self.path("o.h5")], ["generate"],
                        ["evaluate", "--data", "-"]):
            with self.subTest(command[0]):
                with subprocess.Popen([GIST, *command, "--model", model], env=environment(),
                                      stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
                    time.sleep(0.2)
                    self.assertIsNone(process.poll())
                    process.terminate()
                    self.assertEqual(process.wait(timeout=60), -signal.SIGTERM)
                    self.assertEqual(process.stderr.read(), b"")

    def test_a_run_that_does_not_move_after_a_signal_is_ended(self):
        # Nobody reads the completions, and the pipe is full.
        texts = jsonl([{"text": "cat, lake, red", "filler": "x" * 70000}] * 3)
        with subprocess.Popen([GIST, "generate", "--model", LLAMA.base, "--max-new-tokens", "1"],
                              env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            process.stdin.write(texts)
            process.stdin.close()
            time.sleep(1)
            process.terminate()
            self.assertEqual(process.wait(timeout=60), -signal.SIGTERM)
            self.assertIn("nothing has moved since the signal came", process.stderr.read())

    def test_an_ignored_signal_stays_ignored(self):
        result = self.train(steps=8, preexec=lambda: (signal.signal(signal.SIGHUP, signal.SIG_IGN),
                                                      os.kill(os.getpid(), signal.SIGHUP)))
        self.assertEqual(result.code, 0, result.err)
        with subprocess.Popen([GIST, *self.arguments("long", steps=100000)], env=environment(),
                              stderr=subprocess.PIPE,
                              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
            self.wait_for_step(process, "long")
            process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(timeout=60), -signal.SIGTERM)


class Diverging(TrainTest):
    def test_a_loss_that_stays_above_its_start_is_said_when_it_is_seen_and_at_the_end(self):
        result = self.train(steps=40, lr=3)
        self.assertEqual(result.code, 0, result.err)
        told = [line for line in result.err.splitlines() if "jumps" not in line]
        self.assertEqual(len(told), 2, result.err)
        self.assertRegex(told[0], r"step 3\d: the loss is .* stays above .* first step")
        self.assertRegex(told[1], r"the loss ended at .*, above .* first step: .*out is worse")

    def test_a_short_run_that_diverged_says_so_at_its_end(self):
        self.assertIn("the loss ended at", self.train(steps=8, lr=10).err)

    def test_the_condition_that_gist_json_alone_says_is_told(self):
        self.trained("pos", condition="pos", gist_tokens=1, steps=2)
        again = self.train("again", model=self.path("pos"), condition=None, gist_tokens=None, steps=2)
        self.assertEqual(again.code, 0, again.err)
        self.assertRegex(again.err, r"^gist: training under pos with 1 gist token, .* \(condition as in the "
                                    r"model's gist.json\)")
        self.assertEqual(again.err.count("\n"), 1)
        quiet = self.train("quiet", model=self.path("pos"), condition=None, gist_tokens=None, steps=2,
                           quiet=True)
        self.assertEqual(quiet.err, "")
