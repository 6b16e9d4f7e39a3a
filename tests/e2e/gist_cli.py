"""Runs the gist binary that the environment variable GIST names."""

import functools
import gzip
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "examples" / "models"
FIXTURES = ROOT / "tests" / "fixtures"
WORDTASKS = ROOT / "examples" / "data" / "wordtasks_seen.jsonl.gz"
GIST = os.environ["GIST"]
SANITIZED = os.environ.get("SANITIZED") == "ON"  # gist is some ten times slower
TIMEOUT = 300  # seconds


def environment(env=None):
    """The environment without any of gist's own variables, and `env` on top."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIST")}
    return {**clean, **(env or {})}


def run(*args, stdin=None, env=None, preexec=None):
    """Runs `gist ARGS` to its end; a list among the arguments stands for its elements. `stdin` and
    the results `out` and `err` are text; bytes that are no UTF-8 stand in them as surrogate
    escapes. `preexec` runs in the child before gist does."""
    flat = [word for arg in args for word in (arg if isinstance(arg, (list, tuple)) else [arg])]
    done = subprocess.run(
        [GIST, *map(str, flat)],
        input=(stdin or "").encode("utf-8", "surrogateescape"),
        env=environment(env),
        capture_output=True,
        timeout=TIMEOUT,
        preexec_fn=preexec,
    )
    return SimpleNamespace(
        code=done.returncode,
        out=done.stdout.decode("utf-8", "surrogateescape"),
        err=done.stderr.decode("utf-8", "surrogateescape"),
    )


def run_while_name_is_taken(output, *args, stdin):
    """Runs `gist ARGS`, whose output's name another file takes after the run has looked."""
    process = subprocess.Popen([GIST, *map(str, args)], env=environment(), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT
    while not os.path.exists(output + ".partial") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    with open(output, "w") as file:
        file.write("another's")
    out, err = process.communicate(stdin)
    with open(output) as file:
        assert file.read() == "another's"
    os.remove(output)
    return SimpleNamespace(code=process.returncode, out=out, err=err)


@functools.cache
def bf16_missing():
    """Why the processor can't compute in bf16; "" where it can."""
    done = run("generate", "--model", MODELS / "wordtasks-llama-pos", "--device", "cpu", "--dtype", "bf16",
               "--max-new-tokens", 1, stdin='{"text": "Once"}\n')
    return done.err.strip() if done.code == 69 else ""


def rounding_varies():
    """Why a row's last bits depend on the rows beside it; "" where they don't. Without AVX-512, which
    bf16 needs, too, oneDNN's products come from several kernels, chosen by the number of rows."""
    return bf16_missing() and "without AVX-512 the last bits depend on how many rows a product has"


def jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def wordtasks(first, last):
    with gzip.open(WORDTASKS, "rt") as lines:
        return [json.loads(line) for line in itertools.islice(lines, first, last)]


def records_of(text):
    """The values of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


class TempDirTest(unittest.TestCase):
    """Tests with a directory of their own."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="gist-e2e-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        """The path of a new file with this text."""
        path = self.path(name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def assertFails(self, result, code, *words):
        """One line on standard error that says all of these, and nothing on standard output."""
        self.assertEqual(result.code, code, result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assertEqual(result.out, "")
        for word in words:
            self.assertIn(str(word), result.err)
