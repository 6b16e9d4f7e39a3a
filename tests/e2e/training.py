"""Small training runs for tests."""

import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

from families import LLAMA
from gist_cli import GIST, SANITIZED, TempDirTest, environment, jsonl, records_of, run, wordtasks

STORIES = LLAMA.base
CONFIG = LLAMA.config


def tree(directory):
    """The names of all files under it."""
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*"))


def spoil(path, tensor, index, value=float("nan")):
    """Replaces value `index` of an f32 tensor in a safetensors file."""
    with open(path, "r+b") as file:
        [size] = struct.unpack("<Q", file.read(8))
        begin = json.loads(file.read(size))[tensor]["data_offsets"][0]
        file.seek(8 + size + begin + 4 * index)
        file.write(struct.pack("<f", value))


class TrainTest(TempDirTest):
    family = LLAMA

    def setUp(self):
        super().setUp()
        self.records = wordtasks(0, 40)
        self.write("data.jsonl", jsonl(self.records))

    def write(self, name, content):
        with open(self.path(name), "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return self.path(name)

    def arguments(self, output="out", **options):
        """The words of a small run's command; an option that is None is not given."""
        small = {"model": self.family.base, "data": self.path("data.jsonl"), "output": self.path(output),
                 "condition": "gist", "gist_tokens": 2, "steps": 8, "batch_records": 4, "lr": 1e-3,
                 "save_every": 0, "threads": 1, **options}
        words = ["train"]
        for name, value in small.items():
            if value is None:
                continue
            words.append("--" + name.replace("_", "-"))
            if value is not True:
                words.append(str(value))
        return words

    def train(self, output="out", stdin=None, preexec=None, **options):
        return run(self.arguments(output, **options), stdin=stdin, preexec=preexec)

    def trained(self, output="out", **options):
        """A run that ends well and has nothing to say. The answer is the directory's path."""
        result = self.train(output, **options)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))
        return self.path(output)

    def new(self, output, tokenizer=None, **options):
        """A run that ends well, from new weights of no size and a tokenizer without a gist token."""
        config = self.write("config.json", self.family.config)
        return self.trained(output, model=None, init=config, tokenizer=tokenizer or self.family.tokenizer,
                            **options)

    def start(self, output="out", **options):
        command = [GIST, *self.arguments(output, **options)]
        return subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_step(self, process, output):
        metrics = self.path(os.path.join(output, "metrics.jsonl"))
        while not os.path.exists(metrics) or os.path.getsize(metrics) == 0:
            self.assertIsNone(process.poll())
            time.sleep(0.01)

    def weights(self, output="out"):
        return self.read(os.path.join(output, "model.safetensors"))

    def json_in(self, *names):
        return json.loads(self.read(os.path.join(*names)))

    def metrics(self, output="out"):
        """Lines of the log, without the times."""
        lines = records_of(self.read(os.path.join(output, "metrics.jsonl")).decode())
        for line in lines:
            self.assertGreater(line.pop("seconds"), 0)
        return lines

    def losses(self, output="out"):
        return [line["loss"] for line in self.metrics(output) if "loss" in line]

    def as_if_killed(self, whole, output, step):
        """What a run that was killed would have left: checkpoint `step` and the log of `whole`."""
        os.mkdir(self.path(output))
        shutil.copytree(self.path(os.path.join(whole, f"checkpoint-{step}")),
                        self.path(os.path.join(output, f"checkpoint-{step}")))
        shutil.copy(self.path(os.path.join(whole, "metrics.jsonl")), self.path(output))
        return os.path.join(output, f"checkpoint-{step}")
