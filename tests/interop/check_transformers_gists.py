"""examples/interop/transformers_gists.py answers from gist's stores what `gist generate` answers.

usage: check_transformers_gists.py GIST WORKDIR

For each model, k and dtype of the store: some prompts are compressed, and several inputs behind each are answered
greedily by both. Models that were trained with one gist token are asked for several, too: what they answer then may
make no sense, but it is the same.
"""

import itertools
import json
import pathlib
import subprocess
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples/interop"))
import transformers_gists  # noqa: E402

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)  # several wait for each other longer than these small models compute

FIXTURES = ROOT / "tests/fixtures/models"
MODELS = (  # a family more is a row more
    ROOT / "examples/models/wordtasks-llama-gist",
    ROOT / "examples/models/wordtasks-t5-gist",
    FIXTURES / "wordtasks-llama-gist",
    FIXTURES / "wordtasks-t5-gist",
    FIXTURES / "stories260K-gist",  # heads share keys
)
STORES = ((1, "f32"), (3, "f32"), (5, "bf16"))  # k, dtype
PROMPTS = ("Leave out the first word.", "Say the words from the last to the first.",
           "Rotate the list by one word to the left.", "Count the words. " * 6)
INPUTS = ("cat, lake, red", "grey, camel, axe, apple, brown", "", "teal", "<GIST> cat </s>, " + "lake, " * 20)
MAX_NEW_TOKENS = 24


def run(gist, *arguments, records):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    done = subprocess.run([gist, *map(str, arguments), "--device", "cpu"], input=lines.encode(), check=True,
                          stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.splitlines()]


def without_gist_json(directory, work):
    """The same model, of which nothing says how many gist tokens it was trained with."""
    copy = work / f"{directory.parent.parent.name}-{directory.name}"
    copy.mkdir()
    for file in directory.iterdir():
        if file.name != "gist.json":
            (copy / file.name).symlink_to(file)
    return copy


def check(gist, directory, work):
    model = transformers_gists.Model(directory)
    answers = 0
    for k, dtype in STORES:
        store = work / f"{directory.name}-{k}.h5"
        prompts = [{"id": str(i), "instruction": prompt} for i, prompt in enumerate(PROMPTS)]
        run(gist, "compress", "--model", directory, "--gist-tokens", k, "--store-dtype", dtype, "--output", store,
            records=prompts)
        records = [{"gist": p["id"], "input": text} for p, text in itertools.product(prompts, INPUTS)]
        completions = run(gist, "generate", "--model", directory, "--store", store, "--max-new-tokens", MAX_NEW_TOKENS,
                          records=records)
        for record, expected in zip(records, completions, strict=True):
            row = transformers_gists.read_gist(store, record["gist"])
            assert len(row.key) == k, f"{store}: {len(row.key)} gist tokens, expected {k}"
            tokens = model.answer(row, record["input"], MAX_NEW_TOKENS)
            found = {"completion": model.text(tokens), "completion_tokens": len(tokens),
                     "finish_reason": "length" if len(tokens) == MAX_NEW_TOKENS else "eos"}
            expected = {name: expected[name] for name in found}
            assert found == expected, f"{directory.name}, k {k}, {record}: {found}, expected {expected}"
            answers += len(tokens) > 0
    assert answers > len(STORES) * len(PROMPTS), f"{directory.name}: only {answers} answers have tokens"
    return len(STORES) * len(PROMPTS) * len(INPUTS)


def main():
    work = pathlib.Path(sys.argv[2])
    passed = sum(check(sys.argv[1], without_gist_json(directory, work), work) for directory in MODELS)
    print(f"transformers_gists: {passed} answers equal those of gist generate")


main()
