"""Models that gist wrote, in transformers, and models that transformers wrote, in gist.

usage: check_transformers.py BUILD_DIRECTORY WORKDIR

For each family: models of the repository have in transformers, record by record, the losses that `gist
evaluate` finds, and the same logits after gist wrote them again in shards. So have new models that transformers
saved, and what a few steps of `gist train` made of them.
"""

import json
import pathlib
import subprocess
import sys
from typing import Callable, NamedTuple

import torch
import transformers

import layout

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/fixtures/models"
DATA = ROOT / "examples/data/wordtasks_seen.jsonl.gz"


class Family(NamedTuple):
    lay_out: Callable
    tokenizer: transformers.PreTrainedTokenizer  # without a gist token
    ours: tuple  # directories of models with a gist token
    saved: tuple  # of each new model the class and what its configuration says


LLAMA_SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
               "initializer_range": 0.2}
T5_SIZES = {"d_model": 64, "d_kv": 12, "d_ff": 96, "num_layers": 2, "num_heads": 4,
            "decoder_start_token_id": 0, "initializer_factor": 0.5}
FAMILIES = (  # a family more is a row more
    Family(
        layout.decoder,
        transformers.LlamaTokenizer(str(FIXTURES / "stories260K/tokenizer.model")),
        (ROOT / "examples/models/wordtasks-llama-gist", FIXTURES / "stories260K-gist"),
        (
            (transformers.LlamaForCausalLM, LLAMA_SIZES),
            (transformers.LlamaForCausalLM, {
                **LLAMA_SIZES, "num_key_value_heads": 2, "tie_word_embeddings": True,
                "torch_dtype": torch.bfloat16}),
        ),
    ),
    Family(
        layout.encoder_decoder,
        transformers.T5Tokenizer(str(FIXTURES / "wordtasks-t5-gist/spiece.model")),
        (ROOT / "examples/models/wordtasks-t5-gist",),
        (
            (transformers.T5ForConditionalGeneration, T5_SIZES),  # v1.0: relu, tied
            (transformers.T5ForConditionalGeneration, {  # v1.1
                **T5_SIZES, "num_decoder_layers": 3, "feed_forward_proj": "gated-gelu",
                "tie_word_embeddings": False, "torch_dtype": torch.bfloat16}),
            (transformers.T5ForConditionalGeneration, {
                **T5_SIZES, "feed_forward_proj": "gated-silu", "relative_attention_num_buckets": 8,
                "relative_attention_max_distance": 20}),
            (transformers.MT5ForConditionalGeneration, {**T5_SIZES, "tie_word_embeddings": False}),
        ),
    ),
)


def load(directory):
    (architecture,) = json.loads((directory / "config.json").read_text())["architectures"]
    model = getattr(transformers, architecture).from_pretrained(directory, torch_dtype=torch.float32)
    return model.eval()


def logits(directory):
    ids = torch.tensor([[1, 281, 424, 339, 267, 307, 287, 279, 459, 13]])
    with torch.no_grad():
        return load(directory)(input_ids=ids, labels=ids).logits


def check_rewritten(build, original, work):
    written = work / original.name
    subprocess.run([build / "bin/rewrite_model", original, written, "1000000"], check=True)
    assert len(list(written.glob("model-*-of-*.safetensors"))) > 1, "not sharded"
    assert torch.equal(logits(written), logits(original)), f"{original}: logits differ"


def losses_of_gist(build, directory, records, k):
    """Mean loss over the labels: of each record, and of all."""
    named = [dict(record, record=str(i)) for i, record in enumerate(records)]
    report = subprocess.run(
        [build / "bin/gist", "evaluate", "--model", directory, "--data", "-", "--json", "--group-by", "record",
         "--condition", "pos", "--gist-tokens", str(k), "--max-new-tokens", "1"],
        input="".join(json.dumps(record) + "\n" for record in named).encode(),
        check=True, stdout=subprocess.PIPE,
    )
    (report,) = json.loads(report.stdout)["systems"]
    losses = {group["group"]: group["loss"] for group in report["groups"]}
    return [*(losses[record["record"]] for record in named), report["all"]["loss"]]


def losses_of_transformers(directory, rows):
    model = load(directory)
    losses, counts = [], []
    for ids, labels in rows:
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
        losses.append(loss.item())
        counts.append(sum(label != layout.NO_LABEL for label in labels))
    return [*losses, sum(loss * count for loss, count in zip(losses, counts)) / sum(counts)]


def check_losses(build, family, directory, k):
    """Of a model with k gist tokens, through the tokenizer that stands beside it."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, use_fast=False)
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
    gists = encode("<GIST>") if k else []
    assert len(gists) == k, f"{directory}: <GIST> is {gists}"
    assert load(directory).get_input_embeddings().num_embeddings == len(tokenizer)
    records = layout.read_records(DATA)[:20]
    rows = [family.lay_out(record, encode, tokenizer.convert_tokens_to_ids, gists) for record in records]
    ours, theirs = losses_of_gist(build, directory, records, k), losses_of_transformers(directory, rows)
    for i, (found, expected) in enumerate(zip(ours, theirs)):
        assert abs(found - expected) <= 1e-5 * max(1, expected), (
            f"{directory}: loss of record {i}: {found}, transformers {expected}")


def check_saved(build, family, architecture, settings, directory):
    torch.manual_seed(0)
    tokens = {name: getattr(family.tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = architecture.config_class(vocab_size=len(family.tokenizer), **tokens, **settings)
    architecture(config).to(config.torch_dtype or torch.float32).save_pretrained(directory)
    family.tokenizer.save_pretrained(directory)
    check_losses(build, family, directory, 0)

    trained = directory.with_name(directory.name + "-trained")
    subprocess.run(
        [build / "bin/gist", "train", "--model", directory, "--data", DATA, "--output", trained, "--condition",
         "pos", "--gist-tokens", "1", "--steps", "4", "--batch-records", "8", "--lr", "1e-4"],
        check=True, stdout=subprocess.DEVNULL)
    check_losses(build, family, trained, 1)


def main():
    build, work = map(pathlib.Path, sys.argv[1:])
    passed = 0
    for family in FAMILIES:
        for directory in family.ours:
            check_losses(build, family, directory, 1)
            check_rewritten(build, directory, work)
        for i, (architecture, settings) in enumerate(family.saved):
            check_saved(build, family, architecture, settings, work / f"{architecture.__name__}-{i}")
        passed += len(family.ours) + len(family.saved)
    print(f"transformers: {passed} passed, 0 failed")


main()
