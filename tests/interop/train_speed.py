"""`gist train` against plain PyTorch (eager_llama.py, eager_t5.py): the same small model, data, threads, in turn.

usage: train_speed.py GIST [THREADS]        checks the PyTorch models, then times both and prints a table a family
       train_speed.py --self-test [THREADS] checks the PyTorch models and that they learn, without gist

A round is 5 untimed and 30 timed steps of 64 records from a fresh model. A step is timed whole: batch,
forward, backward, clipping, optimiser; reading and tokenising the data isn't. Tokens are real ones, without
padding.
GIST_TRAIN_DATA names other data than examples/data/wordtasks_train.jsonl.gz.
"""

import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from types import ModuleType
from typing import Callable, NamedTuple

import numpy
import sentencepiece
import torch
import torch.utils.mkldnn

import eager_llama
import eager_t5
import layout
from safetensors_file import read_safetensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = os.environ.get("GIST_TRAIN_DATA", ROOT / "examples/data/wordtasks_train.jsonl.gz")
ROUNDS, WARM, TIMED, BATCH, RAMP = 3, 5, 30, 64, 10
BETA2, CLIP = 0.98, 1.0


class Family(NamedTuple):
    name: str
    eager: ModuleType
    layout: Callable
    learning_rate: float

    @property
    def config_file(self):
        return ROOT / f"examples/models/wordtasks-{self.name}.json"

    @property
    def tokenizer_file(self):
        return self.config_file.with_suffix(".model")

    def lay_out(self, records, k):
        """Rows of (ids, labels), and the gist token's id."""
        tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(self.tokenizer_file))
        gist_id = tokenizer.vocab_size()
        encode, piece = tokenizer.encode, tokenizer.piece_to_id
        return [self.layout(record, encode, piece, [gist_id] * k) for record in records], gist_id

    def model(self, gist_id):
        return self.eager.Model({**json.loads(self.config_file.read_text()), "vocab_size": gist_id + 1})


FAMILIES = (  # a family more is a row more
    Family("llama", eager_llama, layout.decoder, 2e-3),
    Family("t5", eager_t5, layout.encoder_decoder, 4e-3),
)


def check_goldens(family):
    """Tokens and losses of the goldens, each prompt alone and all padded into one batch."""
    name = f"wordtasks-{family.name}-gist"
    weights = read_safetensors(ROOT / "tests/fixtures/models" / name / "model.safetensors")
    golden = read_safetensors(ROOT / "tests/fixtures/golden" / name / "forward.safetensors")
    prompts = json.loads((ROOT / "tests/fixtures/golden" / name / "golden.json").read_text())["prompts"]
    for k in (1, 3):
        rows, gist_id = family.lay_out(prompts, k)
        model = family.model(gist_id)
        model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
        for i, (ids, labels) in enumerate(rows):
            assert ids == golden[f"gist.k{k}.{i}.input_ids"].tolist(), f"prompt {i}: tokens differ"
            assert labels == golden[f"gist.k{k}.{i}.labels"].tolist(), f"prompt {i}: labels differ"
        expected = [float(golden[f"gist.k{k}.{i}.loss"]) for i in range(len(rows))]
        counts = [sum(label != layout.NO_LABEL for label in labels) for _, labels in rows]
        batches = [[row] for row in rows] + [rows]
        expected.append(float(numpy.average(expected, weights=counts)))
        for batch, loss in zip(batches, expected):
            with torch.no_grad():
                found = model.loss(*family.eager.collate(batch, gist_id)).item()
            assert abs(found - loss) <= 1e-5 * max(1, loss), f"{name}: loss {found}, golden {loss}"


def read_rows(family, steps):
    records = layout.read_records(DATA)
    random.Random(0).shuffle(records)
    assert len(records) >= steps * BATCH, f"{DATA}: {len(records)} records"
    return family.lay_out(records[: steps * BATCH], 1)


def train_in_torch(family, rows, gist_id):
    """Metrics of each step, with the keys of `gist train`'s metrics.jsonl."""
    torch.manual_seed(0)
    model = family.model(gist_id)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=family.learning_rate, betas=(0.9, BETA2), weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / RAMP))
    metrics = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        began = time.perf_counter()
        loss = model.loss(*family.eager.collate(batch, gist_id))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        seconds = time.perf_counter() - began
        tokens = sum(family.eager.tokens(*row) for row in batch)
        metrics.append({"loss": loss.item(), "tokens": tokens, "seconds": seconds})
    return metrics


def gist_command(gist, family, threads, output):
    return [
        gist, "train", "--init", family.config_file, "--tokenizer", family.tokenizer_file,
        "--data", DATA, "--output", output, "--condition", "gist", "--gist-tokens", "1",
        "--steps", str(WARM + TIMED), "--batch-records", str(BATCH), "--lr", str(family.learning_rate),
        "--schedule", "constant", "--warmup", str(RAMP), "--beta2", str(BETA2), "--clip", str(CLIP),
        "--seed", "0", "--threads", str(threads)]


def train_in_gist(gist, family, threads):
    with tempfile.TemporaryDirectory() as work:
        output = pathlib.Path(work) / "model"
        subprocess.run(gist_command(gist, family, threads, output), check=True, stdout=subprocess.DEVNULL)
        lines = (output / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == WARM + TIMED, f"metrics.jsonl: {len(lines)} lines"
    return [json.loads(line) for line in lines]


def flops_a_token(gist, family, threads):
    """Useful ones, as `gist train --dry-run` counts them: no padding, no hidden key, the head where there is
    a label."""
    with tempfile.TemporaryDirectory() as work:
        command = [*gist_command(gist, family, threads, pathlib.Path(work) / "model"), "--dry-run"]
        plan = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return plan["flops"] / plan["tokens"]


def matmul_peak(n=2048, repeats=10):
    """f32 FLOP/s of a matrix product, the best of several: torch's own (MKL's, which is slow on AMD) and
    oneDNN's."""
    a, b = torch.rand(n, n), torch.rand(n, n)
    linear = torch.utils.mkldnn.to_mkldnn(torch.nn.Linear(n, n).eval())
    packed = a.to_mkldnn()
    best = float("inf")
    with torch.inference_mode():
        for product in (lambda: torch.mm(a, b), lambda: linear(packed)):
            for _ in range(repeats):
                began = time.perf_counter()
                product()
                best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best


def speed(metrics):
    timed = metrics[WARM:]
    return sum(m["tokens"] for m in timed) / sum(m["seconds"] for m in timed)


def show_round(name, metrics):
    print(f"{name:8} {speed(metrics):8.0f} tokens/s, loss {metrics[0]['loss']:.3f} -> "
          f"{metrics[-1]['loss']:.3f}", file=sys.stderr)


def compare(gist, family, threads):
    rows, gist_id = read_rows(family, WARM + TIMED)
    flops = flops_a_token(gist, family, threads)
    peaks = [matmul_peak()]
    speeds = []  # PyTorch, gist, PyTorch, gist ...
    for _ in range(ROUNDS):
        for name, train in (("PyTorch", lambda: train_in_torch(family, rows, gist_id)),
                            ("gist", lambda: train_in_gist(gist, family, threads))):
            metrics = train()
            show_round(name, metrics)
            speeds.append(speed(metrics))
        peaks.append(matmul_peak())
    peak = max(peaks)
    print(f"{family.name}: {ROUNDS} rounds of {TIMED} steps, {BATCH} records a step, {threads} threads")
    print(f"f32 matrix product: {peak / 1e9:.0f} GFLOP/s")
    print(f"useful work: {flops / 1e6:.2f} MFLOP a token\n")
    print("           tokens/s                 of the")
    print("             median      best       matrix product")
    for name, of_it in (("gist", speeds[1::2]), ("PyTorch", speeds[0::2])):
        median = statistics.median(of_it)
        print(f"{name:8} {median:10.0f} {max(of_it):9.0f} {100 * median * flops / peak:11.1f} %")
    # A round and its neighbour, whichever comes first, saw the machine in much the same state.
    ratios = [b / a if i % 2 == 0 else a / b for i, (a, b) in enumerate(zip(speeds, speeds[1:]))]
    print(f"ratio    {statistics.median(ratios):10.2f}   (neighbouring rounds: "
          f"{min(ratios):.2f} to {max(ratios):.2f})\n")


def self_test(family, threads):
    rows, gist_id = read_rows(family, 50)
    metrics = train_in_torch(family, rows, gist_id)
    first, last = metrics[0]["loss"], metrics[-1]["loss"]
    show_round("PyTorch", metrics)
    assert 6 < first < 9 and last < first - 2, f"loss {first} -> {last}"
    print(f"{family.name} in PyTorch: goldens and learning passed; {threads} threads, "
          f"{speed(metrics):.0f} tokens/s, f32 matrix product {matmul_peak() / 1e9:.0f} GFLOP/s")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    threads = int(sys.argv[2]) if len(sys.argv) == 3 else len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): the figures will be too low", file=sys.stderr)
    for family in FAMILIES:
        check_goldens(family)
    for family in FAMILIES:
        if sys.argv[1] == "--self-test":
            self_test(family, threads)
        else:
            compare(sys.argv[1], family, threads)


if __name__ == "__main__":
    main()
