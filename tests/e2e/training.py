"""Small training runs for tests."""

import gzip
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

from gist_cli import FIXTURES, GIST, ROOT, TempDirTest, environment, records_of, run

STORIES = FIXTURES / "models" / "stories260K"
WORDTASKS = ROOT / "examples" / "data" / "wordtasks_seen.jsonl.gz"
SANITIZED = os.environ.get("SANITIZED") == "ON"
# A model of no size, for --init.
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16,
    "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 512, "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": True,
    "bos_token_id": 1, "eos_token_id": 2,
}


def wordtasks(first, last):
    with gzip.open(WORDTASKS, "rt") as file:
        return [json.loads(line) for line in file.readlines()[first:last]]


def jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def tree(directory):
    """The names of all files under it."""
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*"))


def spoil(path, tensor, index):
    """Makes value `index` of an f32 tensor in a safetensors file not a number."""
    with open(path, "r+b") as file:
        [size] = struct.unpack("<Q", file.read(8))
        begin = json.loads(file.read(size))[tensor]["data_offsets"][0]
        file.seek(8 + size + begin + 4 * index)
        file.write(struct.pack("<f", float("nan")))


class TrainTest(TempDirTest):
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
        small = {"model": STORIES, "data": self.path("data.jsonl"), "output": self.path(output),
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

    def start(self, output="out", **options):
        command = [GIST, *self.arguments(output, **options)]
        return subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

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
