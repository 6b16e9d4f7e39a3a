"""`gist train` against plain PyTorch (eager_llama.py): the same small model, data, threads, in turn.

usage: train_speed.py GIST [THREADS]        checks the PyTorch model, then times both and prints a table
       train_speed.py --self-test [THREADS] checks the PyTorch model and that it learns, without gist

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

import numpy
import sentencepiece
import torch

from eager_llama import Llama, collate, visible
from layout import NO_LABEL, decoder, read_records
from safetensors_file import read_safetensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/fixtures/models/wordtasks-llama-gist"
GOLDEN = ROOT / "tests/fixtures/golden/wordtasks-llama-gist"
DATA = os.environ.get("GIST_TRAIN_DATA", ROOT / "examples/data/wordtasks_train.jsonl.gz")
CONFIG = json.loads((MODEL / "config.json").read_text())

ROUNDS, WARM, TIMED, BATCH, RAMP = 3, 5, 30, 64, 10
LEARNING_RATE, BETA2, CLIP = 2e-3, 0.98, 1.0

tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(MODEL / "tokenizer.model"))
GIST_ID = tokenizer.vocab_size()


def check_goldens():
    """Tokens and losses of the goldens, each prompt alone and all padded into one batch."""
    model = Llama(CONFIG)
    weights = read_safetensors(MODEL / "model.safetensors")
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    golden = read_safetensors(GOLDEN / "forward.safetensors")
    prompts = json.loads((GOLDEN / "golden.json").read_text())["prompts"]
    for k in (1, 3):
        rows = [decoder(prompt, tokenizer.encode, tokenizer.piece_to_id, [GIST_ID] * k) for prompt in prompts]
        for i, (ids, labels) in enumerate(rows):
            assert ids == golden[f"gist.k{k}.{i}.input_ids"].tolist(), f"prompt {i}: tokens differ"
            assert labels == golden[f"gist.k{k}.{i}.labels"].tolist(), f"prompt {i}: labels differ"
        expected = [float(golden[f"gist.k{k}.{i}.loss"]) for i in range(len(rows))]
        counts = [sum(label != NO_LABEL for label in labels) for _, labels in rows]
        batches = [[row] for row in rows] + [rows]
        expected.append(float(numpy.average(expected, weights=counts)))
        for batch, loss in zip(batches, expected):
            with torch.no_grad():
                found = model.loss(*collate(batch, GIST_ID)).item()
            assert abs(found - loss) <= 1e-5 * max(1, loss), f"loss {found}, golden {loss}"


def read_rows(steps):
    records = read_records(DATA)
    random.Random(0).shuffle(records)
    assert len(records) >= steps * BATCH, f"{DATA}: {len(records)} records"
    return [decoder(r, tokenizer.encode, tokenizer.piece_to_id, [GIST_ID]) for r in records[: steps * BATCH]]


def train_in_torch(rows):
    """Metrics of each step, with the keys of `gist train`'s metrics.jsonl."""
    torch.manual_seed(0)
    model = Llama(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, BETA2), weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / RAMP))
    metrics = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        began = time.perf_counter()
        loss = model.loss(*collate(batch, GIST_ID))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        seconds = time.perf_counter() - began
        tokens = sum(len(ids) for ids, _ in batch)
        metrics.append({"loss": loss.item(), "tokens": tokens, "seconds": seconds})
    return metrics


def gist_command(gist, threads, output):
    return [
        gist, "train", "--init", MODEL / "config.json", "--tokenizer", MODEL / "tokenizer.model",
        "--data", DATA, "--output", output, "--condition", "gist", "--gist-tokens", "1",
        "--steps", str(WARM + TIMED), "--batch-records", str(BATCH), "--lr", str(LEARNING_RATE),
        "--schedule", "constant", "--warmup", str(RAMP), "--beta2", str(BETA2), "--clip", str(CLIP),
        "--seed", "0", "--threads", str(threads)]


def train_in_gist(gist, threads):
    with tempfile.TemporaryDirectory() as work:
        output = pathlib.Path(work) / "model"
        subprocess.run(gist_command(gist, threads, output), check=True, stdout=subprocess.DEVNULL)
        lines = (output / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == WARM + TIMED, f"metrics.jsonl: {len(lines)} lines"
    return [json.loads(line) for line in lines]


def planned_flops(gist, threads):
    """Useful FLOPs a token as `gist train --dry-run` counts them."""
    with tempfile.TemporaryDirectory() as work:
        command = [*gist_command(gist, threads, pathlib.Path(work) / "model"), "--dry-run"]
        plan = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return plan["flops"] / plan["tokens"]


def estimated_flops(rows):
    """Useful FLOPs a token by formula: forward and twice that backward, no padding, no hidden key, the head
    where there is a label."""
    width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    tokens = sum(len(ids) for ids, _ in rows)
    labels = sum(label != NO_LABEL for _, row in rows for label in row)
    pairs = sum(
        int(visible(numpy.array([ids]), numpy.array([len(ids)]), GIST_ID).sum()) for ids, _ in rows)
    layer = tokens * (4 * width * width + 3 * width * inner) + pairs * 2 * width
    products = CONFIG["num_hidden_layers"] * layer + labels * width * CONFIG["vocab_size"]
    return 3 * 2 * products / tokens


def flops_a_token(gist, threads, rows):
    try:
        return planned_flops(gist, threads), "gist train --dry-run"
    except (subprocess.CalledProcessError, ValueError, KeyError) as error:
        print(f"no count from --dry-run ({type(error).__name__}): a formula's instead", file=sys.stderr)
        return estimated_flops(rows), "formula"


def matmul_peak(n=2048, repeats=10):
    """f32 FLOP/s of torch's matrix product, the best of several."""
    a, b = torch.rand(n, n), torch.rand(n, n)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best


def speed(metrics):
    timed = metrics[WARM:]
    return sum(m["tokens"] for m in timed) / sum(m["seconds"] for m in timed)


def show_round(name, metrics):
    print(f"{name:8} {speed(metrics):8.0f} tokens/s, loss {metrics[0]['loss']:.3f} -> "
          f"{metrics[-1]['loss']:.3f}", file=sys.stderr)


def compare(gist, threads):
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): the figures will be too low", file=sys.stderr)
    rows = read_rows(WARM + TIMED)
    flops, source = flops_a_token(gist, threads, rows)
    peaks = [matmul_peak()]
    speeds = []  # PyTorch, gist, PyTorch, gist ...
    for _ in range(ROUNDS):
        for name, train in (("PyTorch", lambda: train_in_torch(rows)),
                            ("gist", lambda: train_in_gist(gist, threads))):
            metrics = train()
            show_round(name, metrics)
            speeds.append(speed(metrics))
        peaks.append(matmul_peak())
    peak = max(peaks)
    print(f"{ROUNDS} rounds of {TIMED} steps, {BATCH} records a step, {threads} threads")
    print(f"f32 matrix product: {peak / 1e9:.0f} GFLOP/s")
    print(f"useful work: {flops / 1e6:.2f} MFLOP a token ({source})\n")
    print("           tokens/s                 of the")
    print("             median      best       matrix product")
    for name, of_it in (("gist", speeds[1::2]), ("PyTorch", speeds[0::2])):
        median = statistics.median(of_it)
        print(f"{name:8} {median:10.0f} {max(of_it):9.0f} {100 * median * flops / peak:11.1f} %")
    # A round and its neighbour, whichever comes first, saw the machine in much the same state.
    ratios = [b / a if i % 2 == 0 else a / b for i, (a, b) in enumerate(zip(speeds, speeds[1:]))]
    print(f"ratio    {statistics.median(ratios):10.2f}   (neighbouring rounds: "
          f"{min(ratios):.2f} to {max(ratios):.2f})")


def self_test(threads):
    rows = read_rows(50)
    metrics = train_in_torch(rows)
    first, last = metrics[0]["loss"], metrics[-1]["loss"]
    show_round("PyTorch", metrics)
    assert 6 < first < 9 and last < first - 2, f"loss {first} -> {last}"
    print(f"PyTorch: goldens and learning passed; {threads} threads, {speed(metrics):.0f} tokens/s, "
          f"f32 matrix product {matmul_peak() / 1e9:.0f} GFLOP/s, "
          f"{estimated_flops(rows) / 1e6:.2f} MFLOP a token")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    threads = int(sys.argv[2]) if len(sys.argv) == 3 else len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    check_goldens()
    if sys.argv[1] == "--self-test":
        self_test(threads)
    else:
        compare(sys.argv[1], threads)


main()
