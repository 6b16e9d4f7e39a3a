"""A model that `gist train` wrote, in transformers: its gist token, and each record's loss against gist's.

usage: check_training.py GIST MODEL, trained under the condition pos with one gist token
"""

import json
import pathlib
import subprocess
import sys

import torch
import transformers

from decoder_layout import NO_LABEL, lay_out, read_records

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "examples/data/wordtasks_seen.jsonl.gz"


def check_tokenizer(tokenizer, model, directory):
    added = json.loads((directory / "added_tokens.json").read_text())
    gist_id = added["<GIST>"]
    assert tokenizer.encode("<GIST>", add_special_tokens=False) == [gist_id]
    sizes = {
        "tokenizer": len(tokenizer),
        "config.json": model.config.vocab_size,
        "embeddings": model.get_input_embeddings().num_embeddings,
        "head": model.get_output_embeddings().out_features,
    }
    for name, size in sizes.items():
        assert size == gist_id + 1, f"{name}: vocabulary of {size}, expected {gist_id + 1}"
    return gist_id


def losses_of_gist(gist, directory, records):
    """Mean loss over the labels: of each record, and of all."""
    named = [dict(record, record=str(i)) for i, record in enumerate(records)]
    report = subprocess.run(
        [gist, "evaluate", "--model", directory, "--data", "-", "--json", "--group-by", "record",
         "--condition", "pos", "--gist-tokens", "1", "--max-new-tokens", "1"],
        input="".join(json.dumps(record) + "\n" for record in named).encode(),
        check=True, stdout=subprocess.PIPE,
    )
    report = json.loads(report.stdout)
    losses = {group["group"]: group["loss"] for group in report["groups"]}
    return [losses[record["record"]] for record in named], report["all"]["loss"]


def losses_of_transformers(model, rows):
    losses, counts = [], []
    for ids, labels in rows:
        with torch.no_grad():
            loss = model(torch.tensor([ids]), labels=torch.tensor([labels])).loss
        losses.append(loss.item())
        counts.append(sum(label != NO_LABEL for label in labels))
    total = sum(loss * count for loss, count in zip(losses, counts)) / sum(counts)
    return losses, total


def near(found, expected, what):
    assert abs(found - expected) <= 1e-5 * expected, f"loss of {what}: {found}, transformers {expected}"


def main():
    gist, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, use_fast=False)
    gist_id = check_tokenizer(tokenizer, model, directory)

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False)

    records = read_records(DATA)[:20]
    ours, our_mean = losses_of_gist(gist, directory, records)
    rows = [lay_out(record, encode, gist_id, 1) for record in records]
    theirs, their_mean = losses_of_transformers(model, rows)
    for i, (found, expected) in enumerate(zip(ours, theirs)):
        near(found, expected, f"record {i}")
    near(our_mean, their_mean, "all records")
    print("transformers, trained model: 1 passed, 0 failed")


main()
