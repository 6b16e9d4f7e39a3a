"""The store that gist writes, read by h5py: attributes, index and values.

usage: check_store.py GIST WORKDIR
"""

import hashlib
import json
import pathlib
import subprocess
import sys

import h5py
import numpy

from safetensors_file import read_safetensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/fixtures"
MODELS = ("wordtasks-llama-gist", "wordtasks-t5-gist")  # a family more is a name more


def compress(gist, model, prompts, store, *options):
    lines = "".join(json.dumps(record) + "\n" for record in prompts)
    subprocess.run(
        [gist, "compress", "--model", FIXTURES / "models" / model, "--gist-tokens", "1", "--output", store,
         *options],
        input=lines.encode(), check=True, stdout=subprocess.DEVNULL,
    )
    return h5py.File(store, "r")


def near(found, expected, tolerance):
    error = numpy.abs(found - expected).max() / numpy.abs(expected).max()
    assert error <= tolerance, f"relative error {error}, expected at most {tolerance}"


def attribute(store, name):
    """Texts of fixed length, which gist writes, are bytes in h5py."""
    value = store.attrs[name]
    return value.decode() if isinstance(value, bytes) else value


def check(gist, model, work):
    directory = FIXTURES / "golden" / model
    texts = [p["instruction"] for p in json.loads((directory / "golden.json").read_text())["prompts"]]
    prompts = [{"id": f"prompt-{i}", "instruction": text} for i, text in enumerate(texts)]
    golden = read_safetensors(directory / "forward.safetensors")

    ours = compress(gist, model, prompts, work / f"{model}.h5")
    theirs = h5py.File(FIXTURES / "stores" / f"{model}-k1.h5", "r")
    for name in ("template", "model_sha256", "tokenizer_sha256", "gist_token_id", "n_layers",
                 "condition", "key_position", "layout", "version"):
        left, right = attribute(ours, name), attribute(theirs, name)
        if name == "template":
            left, right = json.loads(left), json.loads(right)
        assert left == right, f"attribute {name}: {left!r}, expected {right!r}"
    for name, dataset in theirs["index"].items():
        assert (ours["index"][name][()] == dataset[()]).all(), f"/index/{name} differs"
    for name, dataset in theirs["gist"].items():
        assert ours["gist"][name].shape == dataset.shape, name
        near(ours["gist"][name][()], dataset[()], 1e-5)
    for row, text in enumerate(texts):
        of_row = f"gist.k1.{row}."
        key = golden.get(of_row + "key_prerope", golden[of_row + "key"])  # without RoPE: the key itself
        near(ours["gist/key"][row], key[:, :, 0], 1e-5)
        near(ours["gist/value"][row], golden[of_row + "value"][:, :, 0], 1e-5)
        if of_row + "hidden" in golden:
            near(ours["gist/hidden"][row], golden[of_row + "hidden"][0], 1e-5)
        digest = hashlib.sha256(text.strip().encode()).digest()
        assert ours["index/prompt_sha256"][row].tobytes() == digest

    half = compress(gist, model, prompts, work / f"{model}-f16.h5", "--store-dtype", "f16")
    assert half["gist/key"].dtype == numpy.float16
    near(half["gist/key"][()].astype("f4"), ours["gist/key"][()], 2e-3)


def main():
    for model in MODELS:
        check(sys.argv[1], model, pathlib.Path(sys.argv[2]))
    print(f"h5py: {len(MODELS)} passed, 0 failed")


main()
