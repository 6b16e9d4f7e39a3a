"""What real_model.sh checks. usage: check_real_model.py GIST MODEL GOLDEN WORK"""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

GIST, MODEL, GOLDEN, WORK = sys.argv[1], *map(Path, sys.argv[2:5])
TOLERANCE = 1e-5
GREEDY = 24
QUESTION = {"instruction": "You are a helpful assistant.", "input": "What is the capital of France?",
            "output": "The capital of France is Paris."}


def run(*args):
    done = subprocess.run([GIST, *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"gist {' '.join(map(str, args))} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def written(name, records):
    path = WORK / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def near(what, found, expected, allowed=TOLERANCE):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    error = np.abs(found - expected).max() / max(1, np.abs(expected).max())
    if not error <= allowed:
        sys.exit(f"{what}: off by {error:.1e} (relative), allowed {allowed:.0e}")
    return error


def equal(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: expected {expected!r}, found {found!r}")


def trained(name, template, data, steps, rate):
    out = WORK / name
    run("train", "--model", MODEL, "--data", data, "--output", out, "--condition", "gist", "--gist-tokens", 1,
        "--template", template, "--steps", steps, "--lr", rate, "--batch-records", 1, "--save-every", 0)
    return out


def completions(model, data, *args):
    lines = run("generate", "--model", model, "--input", data, "--max-new-tokens", GREEDY, *args).splitlines()
    return [json.loads(line)["completion"] for line in lines]


def check_goldens(prompts):
    """The gist token's row is the mean of the others, and nothing is trained: the steps' rate is nothing."""
    template = WORK / "template.json"
    template.write_text(json.dumps(["bos", {"text": "Instruction: {instruction}"}, "gist",
                                    {"text": "Input: {input}\nOutput:", "else": "Output:"}]))
    data = written("golden.jsonl", [{**prompt, "id": f"{i}", "n": str(i)} for i, prompt in enumerate(prompts["prompts"])])
    model = trained("untrained", template, data, 1, 1e-30)
    golden = load_file(GOLDEN / "forward.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(model)
    equal("the gist token's id in transformers", tokenizer.convert_tokens_to_ids("<GIST>"), prompts["gist_token_id"])
    worst = 0
    for k in prompts["ks"]:
        for condition in ("gist", "pos", "neg"):
            found = json.loads(run("evaluate", "--model", model, "--data", data, "--condition", condition,
                                   "--gist-tokens", k, "--group-by", "n", "--json", "--max-new-tokens", 1))
            for group in found["systems"][0]["groups"]:
                name = f"{condition}.k{k}.{group['group']}"
                worst = max(worst, near(f"loss of {name}", group["loss"], golden[name + ".loss"]))
        store = WORK / f"k{k}.h5"
        run("compress", "--model", model, "--input", data, "--output", store, "--gist-tokens", k)
        with h5py.File(store) as file:
            rows = {id: i for i, id in enumerate(ids_of(file))}
            for i in range(len(prompts["prompts"])):
                row = rows[str(i)] * k
                for which, name in (("key", "key_prerope"), ("value", "value")):
                    stored = np.moveaxis(file[f"gist/{which}"][row:row + k], 0, 2)
                    near(f"{which}s of gist.k{k}.{i}", stored, golden[f"gist.k{k}.{i}.{name}"], 3 * TOLERANCE)
    asked = written("asked.jsonl", [{"gist": str(i), "input": prompt["input"]} for i, prompt in enumerate(prompts["prompts"])])
    for i, text in enumerate(completions(model, asked, "--store", WORK / "k1.h5")):
        equal(f"greedy answer {i}", text, tokenizer.decode(golden[f"gist.k1.{i}.greedy"], skip_special_tokens=True))
    print(f"losses (off by {worst:.1e} at most), gists' keys and values, greedy answers: as in the goldens")


def ids_of(file):
    arena, ends = bytes(file["index/id"][:]), file["index/id_end"][:]
    return [arena[begin:end].decode() for begin, end in zip([0, *ends[:-1]], ends)]


def chat_ids(tokenizer, instruction, text):
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True)


def check_chat():
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, torch_dtype=torch.float32)
    ids = torch.tensor([chat_ids(tokenizer, QUESTION["instruction"], QUESTION["input"])])
    made = model.generate(ids, max_new_tokens=GREEDY, do_sample=False)[0, ids.shape[1]:]
    data = written("chat.jsonl", [QUESTION])
    text = completions(MODEL, data, "--condition", "pos", "--gist-tokens", 0)[0]
    equal("the chat's answer", text, tokenizer.decode(made, skip_special_tokens=True))
    print(f"a chat, as in transformers: {text}")


def check_training():
    data = written("train.jsonl", [QUESTION])
    model = trained("trained", "chatml", data, 10, 1e-5)
    store = WORK / "trained.h5"
    run("compress", "--model", model, "--input", written("prompt.jsonl", [{"id": "a", **QUESTION}]), "--output", store)
    text = completions(model, written("ask.jsonl", [{"gist": "a", "input": QUESTION["input"]}]), "--store", store)[0]
    print(f"after ten steps, through one gist token: {text}")
    tokenizer = AutoTokenizer.from_pretrained(model)
    before = chat_ids(tokenizer, QUESTION["instruction"] + "<GIST>", QUESTION["input"])
    answer = tokenizer(QUESTION["output"], add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    ids = torch.tensor([before + answer])
    labels = torch.tensor([[-100] * len(before) + answer])
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(model, torch_dtype=torch.float32)(ids, labels=labels).loss
    found = json.loads(run("evaluate", "--model", model, "--data", data, "--condition", "pos", "--gist-tokens", 1,
                           "--json", "--max-new-tokens", 1))
    error = near("loss of the trained model, under pos", found["systems"][0]["all"]["loss"], float(theirs))
    print(f"the trained model in transformers, its chat template's ids included: the same loss (off by {error:.1e})")


torch.manual_seed(0)
check_goldens(json.loads((GOLDEN / "golden.json").read_text()))
check_chat()
check_training()
