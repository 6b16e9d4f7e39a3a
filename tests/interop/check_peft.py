"""An adapter that gist trained, in PEFT.

usage: check_peft.py BUILD_DIRECTORY WORKDIR

PEFT loads the directory, and its arithmetic, in f64, is let act on gist tokens alone: under the gist mask, records
have there the loss that `gist evaluate` finds.
"""

import json
import pathlib
import subprocess
import sys
import warnings

import peft
import safetensors.torch
import torch
import transformers
from peft.tuners.lora import LoraLayer

import layout

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = ROOT / "examples/models/wordtasks-llama-pos"
TRAIN_DATA = ROOT / "examples/data/wordtasks_train.jsonl.gz"
DATA = ROOT / "examples/data/wordtasks_seen.jsonl.gz"
GISTS = ("<GIST>", "<GIST1>", "<GIST2>")
TOLERANCE = 1e-5


def train(gist, adapter):
    subprocess.run([gist, "train", "--model", BASE, "--adapter", "lora", "--lora-rank", "4", "--lora-alpha", "6",
                    "--data", TRAIN_DATA, "--output", adapter, "--condition", "gist", "--gist-tokens", str(len(GISTS)),
                    "--gist-ids", "distinct", "--steps", "60", "--lr", "3e-3", "--save-every", "0"], check=True)


def gists_loss(gist, adapter, data):
    out = subprocess.run([gist, "evaluate", "--model", BASE, "--adapter", adapter, "--data", data, "--json",
                          "--max-new-tokens", "1"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["systems"][0]["all"]["loss"]


class Reader:
    """The adapter in PEFT, which acts on the tokens of `chosen`."""

    def __init__(self, adapter):
        self.tokenizer = transformers.LlamaTokenizer.from_pretrained(adapter)
        model = transformers.LlamaForCausalLM.from_pretrained(BASE, attn_implementation="eager")
        with warnings.catch_warnings():  # of the key that gist adds
            warnings.simplefilter("ignore")
            self.model = peft.PeftModel.from_pretrained(model, adapter).double().eval()
        tensors = safetensors.torch.load_file(pathlib.Path(adapter) / "adapter_model.safetensors")
        [name] = [name for name in tensors if name.endswith("trainable_tokens_delta")]
        self.rows = tensors[name].double()
        self.chosen = None
        layers = [module for module in self.model.modules() if isinstance(module, LoraLayer)]
        assert 2 * len(layers) + 1 == len(tensors), (len(layers), len(tensors))
        for layer in layers:
            layer.register_forward_hook(self.choose)

    def choose(self, layer, inputs, output):
        plain = layer.base_layer(*inputs)
        return torch.where(self.chosen[None, :, None], output, plain)

    def losses(self, record):
        encode = lambda text: self.tokenizer.encode(text, add_special_tokens=False)
        gists = self.tokenizer.convert_tokens_to_ids(list(GISTS))
        ids, labels = layout.decoder(record, encode, self.tokenizer.convert_tokens_to_ids, gists)
        begin, end, n = ids.index(gists[0]), ids.index(gists[-1]) + 1, len(ids)
        self.chosen = torch.zeros(n, dtype=torch.bool)
        self.chosen[begin:end] = True
        plain = [0 if begin <= i < end else token for i, token in enumerate(ids)]
        embedded = self.model.get_input_embeddings()(torch.tensor([plain])).clone()
        embedded[0, begin:end] = self.rows
        visible = torch.tril(torch.ones(n, n, dtype=torch.bool))
        visible[end:, :begin] = False
        mask = torch.zeros(n, n, dtype=torch.float64).masked_fill(~visible, torch.finfo(torch.float64).min)
        logits = self.model(inputs_embeds=embedded, attention_mask=mask[None, None]).logits[0]
        scores = torch.log_softmax(logits, -1)
        return [-scores[i - 1, label].item() for i, label in enumerate(labels) if label != layout.NO_LABEL]


def main():
    build, work = map(pathlib.Path, sys.argv[1:])
    gist, adapter, data = build / "bin/gist", work / "adapter", work / "records.jsonl"
    train(gist, adapter)
    records = layout.read_records(DATA)[:50]
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    reader = Reader(str(adapter))
    with torch.no_grad():
        losses = [loss for record in records for loss in reader.losses(record)]
    expected, found = sum(losses) / len(losses), gists_loss(gist, adapter, data)
    print(f"loss of {len(losses)} tokens: {expected:.8f} in PEFT, {found:.8f} in gist")
    sys.exit(abs(found / expected - 1) > TOLERANCE)


main()
