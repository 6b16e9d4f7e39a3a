"""A disk that is full: what was committed stays, and with more room the run goes on."""

import os
import shutil
import subprocess
from types import SimpleNamespace

from families import LLAMA
from gist_cli import GIST, TIMEOUT, environment, jsonl, records_of
from stores import numbered, write_store
from training import TrainTest


class FullDisk(TrainTest):
    """A file system of its own, in name spaces of its own, which need no root where the system allows
    them: the tests look at it through /proc, gist runs inside."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("disk"))
        script = f"mount -t tmpfs -o size=16k none '{self.path('disk')}' && echo ready && exec cat"
        if not shutil.which("unshare") or not shutil.which("nsenter"):
            self.skipTest("there is no unshare, or no nsenter")
        self.holder = subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.holder.communicate)
        if self.holder.stdout.readline() != "ready\n":
            self.skipTest(f"no file system can be mounted here: {self.holder.stderr.read()}")

    def inside(self, *command, stdin=None):
        done = subprocess.run(["nsenter", "-t", str(self.holder.pid), "-U", "-m", "--preserve-credentials",
                               *map(str, command)], input=stdin or "", env=environment(), timeout=TIMEOUT,
                              capture_output=True, text=True)
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

    def gist(self, *args, **settings):
        return self.inside(GIST, *args, **settings)

    def resize(self, size):
        # With source and type mount adds no options that it finds there: ids from outside the name space.
        done = self.inside("mount", "-t", "tmpfs", "-o", f"remount,size={size}", "none", self.path("disk"))
        self.assertEqual(done.code, 0, done.err)

    def seen(self, name=""):
        """Where this process finds what is on the disk."""
        return f"/proc/{self.holder.pid}/root{self.path('disk')}/{name}"

    def content(self, name):
        with open(self.seen(name), "rb") as file:
            return file.read()

    def assertFull(self, result, *words):
        self.assertEqual(result.code, 74, result.err)
        self.assertRegex(result.err, "No space left on device|the disk is full")
        for word in words:
            self.assertIn(word, result.err)

    def test_compress_keeps_what_is_staged(self):
        self.resize("400k")
        prompts = self.write("in.jsonl", jsonl({"id": i, "instruction": t} for i, t in numbered(0, 300).items()))
        command = ("compress", "--model", LLAMA.model, "--gist-tokens", 1, "--input", prompts, "--batch-tokens", 200,
                   "--output", self.path("disk/out.h5"))
        result = self.gist(*command)
        self.assertFull(result, "out.h5.partial", "--resume")
        self.assertEqual(os.listdir(self.seen()), ["out.h5.partial"])
        self.resize("16m")
        resumed = self.gist(*command, "--resume")
        self.assertEqual(resumed.code, 0, resumed.err)
        self.assertGreater(len(records_of(result.out)), 0)
        self.assertTrue(resumed.out.startswith(result.out))
        write_store(self.path("calm.h5"), numbered(0, 300), "--batch-tokens", 200)
        self.assertEqual(self.content("out.h5"), self.read("calm.h5"))

    def test_merge_leaves_no_store(self):
        self.resize("64k")
        stores = [write_store(self.path(f"{i}.h5"), numbered(100 * i, 100 * i + 100)) for i in range(2)]
        command = ("merge", "--output", self.path("disk/out.h5"), *stores)
        self.assertFull(self.gist(*command), "out.h5")
        self.assertNotIn("out.h5", os.listdir(self.seen()))
        self.resize("16m")
        again = self.gist(*command)
        self.assertEqual(again.code, 0, again.err)

    def test_generate_keeps_the_lines_that_are_whole(self):
        texts = jsonl({"text": f"Once {i}", "filler": "x" * 1000} for i in range(40))
        command = ("generate", "--model", LLAMA.base, "--max-new-tokens", 2, "--batch-rows", 4, "--output",
                   self.path("disk/out.jsonl"))
        self.assertFull(self.gist(*command, stdin=texts), "out.jsonl.partial", "--resume")
        self.assertNotIn("out.jsonl", os.listdir(self.seen()))
        self.resize("16m")
        resumed = self.gist(*command, "--resume", stdin=texts)
        self.assertEqual(resumed.code, 0, resumed.err)
        self.assertEqual([record["text"] for record in records_of(self.content("out.jsonl").decode())],
                         [f"Once {i}" for i in range(40)])

    def test_train_keeps_the_last_checkpoint(self):
        self.trained("calm", save_every=2, keep=1)
        self.resize("5m")  # one checkpoint, and not a second
        result = self.gist(*self.arguments("disk/out", save_every=2, keep=1))
        self.assertFull(result, "checkpoint-4")
        self.assertEqual([name for name in os.listdir(self.seen("out")) if "-" in name], ["checkpoint-2"])
        self.resize("64m")
        resumed = self.gist(*self.arguments("disk/out", save_every=2, keep=1, resume=True))
        self.assertEqual(resumed.code, 0, resumed.err)
        self.assertEqual(self.content("out/model.safetensors"), self.weights("calm"))
