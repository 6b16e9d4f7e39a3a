"""How much the word tasks' recipe varies by itself: the small LLaMA's base model, trained by plain PyTorch.

usage: eager_word_tasks.py GIST WORKDIR [SEED ...]

Trains from scratch with the reference's recipe and each seed (0, 1 and 2 if none is named), five minutes each on
two cores; writes WORKDIR/SEED as a Hugging Face directory; lets gist evaluate it on the seen split; and
prints exact match and loss beside the loss that training ended with. Needs what train_speed.sh installs.
"""

import json
import pathlib
import shutil
import struct
import subprocess
import sys

import numpy
import torch

import layout
from eager import additive, padded
from train_speed import BATCH, BETA2, CLIP, DATA, FAMILIES, ROOT

STEPS, WARMUP, PEAK = 2500, 100, 2e-3
BASE = ROOT / "examples/models/wordtasks-llama-pos"


def collate(rows):
    """As eager_llama.collate, but everything visible that comes before: the condition pos."""
    ids = padded([ids for ids, _ in rows], 0)
    labels = padded([labels for _, labels in rows], layout.NO_LABEL)
    query, key = numpy.arange(ids.shape[1])[:, None], numpy.arange(ids.shape[1])
    real = key < numpy.array([len(ids) for ids, _ in rows])[:, None, None]
    return torch.from_numpy(ids), torch.from_numpy(labels), additive(real & (key <= query))


def train(rows, model, seed):
    """The mean loss of the last 100 steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, BETA2), weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1, (s + 1) / WARMUP) * (1 - s / STEPS))
    generator = numpy.random.default_rng(seed)
    losses, order = [], []
    for _ in range(STEPS):
        if len(order) < BATCH:
            order = generator.permutation(len(rows)).tolist()
        batch, order = [rows[i] for i in order[:BATCH]], order[BATCH:]
        loss = model.loss(*collate(batch))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return sum(losses[-100:]) / 100


def write_safetensors(path, tensors):
    header, blobs, end = {}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.detach().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + len(blob)]}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def evaluate(gist, directory):
    data = ROOT / "examples/data/wordtasks_seen.jsonl.gz"
    command = [gist, "evaluate", "--model", directory, "--data", data, "--max-new-tokens", "24", "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["systems"][0]["all"]


def main():
    gist, work = sys.argv[1], pathlib.Path(sys.argv[2])
    family = FAMILIES[0]
    rows, gist_id = family.lay_out(layout.read_records(DATA), 1)
    for seed in [int(seed) for seed in sys.argv[3:]] or [0, 1, 2]:
        torch.manual_seed(seed)
        model = family.model(gist_id)
        last = train(rows, model, seed)
        directory = work / str(seed)
        shutil.copytree(BASE, directory)
        write_safetensors(directory / "model.safetensors", model.state_dict())
        result = evaluate(gist, directory)
        print(f"seed {seed}: training ended at {last:.4f}; seen: exact match {100 * result['exact_match']:.1f} %, "
              f"loss {result['loss']:.4f}", flush=True)


main()
