"""Logits of rewritten models in transformers against those of the original files.

usage: check_model.py WORKDIR, which holds the rewritten models under their names.
"""

import pathlib
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORIGINALS = {
    "wordtasks-llama-pos": ROOT / "examples/models",
    "stories260K-gist": ROOT / "tests/fixtures/models",
}


def logits(directory, ids):
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32)
    with torch.no_grad():
        return model(ids).logits


def main():
    work = pathlib.Path(sys.argv[1])
    ids = torch.tensor([[1, 281, 424, 339, 267, 307, 287, 279, 459, 13]])
    for name, parent in ORIGINALS.items():
        assert len(list((work / name).glob("model-*-of-*.safetensors"))) > 1, "not sharded"
        written, original = logits(work / name, ids), logits(parent / name, ids)
        assert torch.equal(written, original), f"{name}: logits differ"
    print(f"transformers: {len(ORIGINALS)} passed, 0 failed")


main()
