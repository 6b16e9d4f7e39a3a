"""What each part of the recipe is worth on the word tasks: the paper's, then one part more at a time.

usage: recipes.py GIST llama|t5 BASE WORKDIR [SEED ...]

BASE is a model that was trained under pos for a while (wordtasks-FAMILY-base of examples/train.sh). For
each seed (0, 1 and 2 if none is named), in 1,000 steps each: pos, and the paper's gist model, from BASE;
then students of that pos model, which start from it. What stands in WORKDIR already is not trained again,
so a run that was interrupted goes on. Prints means over the seeds, in brackets each seed's.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "data"
FULL = ["--lr", "1e-3"]
DISTILLED = ["--teacher", "self", "--distill", "1"]
DISTINCT = ["--gist-ids", "distinct"]
ADAPTER = ["--lr", "3e-3", "--adapter", "lora", "--lora-rank", "64"]
# Name of the run: what it starts from, how it is trained, and with how many gist tokens it is evaluated.
RUNS = {
    "pos": ("base", ["--condition", "pos", "--gist-tokens", "1", *FULL], [1]),
    "paper": ("base", ["--condition", "gist", "--gist-tokens", "1", *FULL], [1]),
    "paper, from pos": ("pos", ["--condition", "gist", "--gist-tokens", "1", *FULL], [1]),
    "+ distillation": ("pos", ["--condition", "gist", "--gist-tokens", "1", *FULL, *DISTILLED], [1]),
    "+ 3 distinct tokens": ("pos", ["--condition", "gist", "--gist-tokens", "3", *FULL, *DISTILLED, *DISTINCT], [3]),
    "+ random k": ("pos", ["--condition", "gist", "--gist-tokens", "1-8", *FULL, *DISTILLED, *DISTINCT], [1, 3, 8]),
    "+ adapter": ("pos", ["--condition", "gist", "--gist-tokens", "1-8", *ADAPTER, *DISTILLED, *DISTINCT], [1, 3, 8]),
}


def train(gist, base, output, options, seed):
    command = [gist, "train", "--model", base, "--output", output, "--data", DATA / "wordtasks_train.jsonl.gz"]
    command += ["--batch-records", "64", "--steps", "1000", "--warmup", "100", "--beta2", "0.98"]
    command += ["--clip", "1", "--seed", str(seed), "--save-every", "200", "--keep", "1", *options]
    if output.exists():
        command.append("--resume")
    subprocess.run(command, check=True)


def evaluate(gist, model, adapter, tokens, split):
    """(exact match in per cent, loss)"""
    command = [gist, "evaluate", "--model", model, "--data", DATA / f"wordtasks_{split}.jsonl.gz"]
    command += ["--max-new-tokens", "24", "--gist-tokens", str(tokens), "--json"]
    if adapter:
        command += ["--adapter", adapter]
    total = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["systems"][0]["all"]
    return 100 * total["exact_match"], total["loss"]


def results_of_seed(gist, base, work, seed):
    """{(run, gist tokens): {split: (exact match, loss)}}"""
    results = {}
    for run, (start, options, numbers) in RUNS.items():
        directory = work / str(seed) / run.replace(" ", "_").replace(",", "")
        known = directory.with_suffix(".json")
        if not known.exists():
            start = base if start == "base" else work / str(seed) / start
            if not (directory / "training.json").exists():
                directory.parent.mkdir(parents=True, exist_ok=True)
                train(gist, start, directory, options, seed)
            adapted = (directory / "adapter_config.json").exists()
            model, adapter = (start, directory) if adapted else (directory, None)
            known.write_text(
                json.dumps(
                    {k: {s: evaluate(gist, model, adapter, k, s) for s in ("seen", "unseen")} for k in numbers}
                )
            )
        for tokens, splits in json.loads(known.read_text()).items():
            results[run, tokens] = splits
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gist", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("family", choices=["llama", "t5"])
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    work = arguments.workdir / arguments.family
    seeds = [results_of_seed(arguments.gist, arguments.base, work, seed) for seed in arguments.seeds]
    print(f"| {arguments.family} | k | exact match seen | unseen | loss seen | unseen |")
    print("|---|---|---|---|---|---|")
    for run, tokens in seeds[0]:
        cells = []
        for number, form in ((0, ".1f"), (1, ".3f")):
            for split in ("seen", "unseen"):
                values = [seed[run, tokens][split][number] for seed in seeds]
                cells.append(f"{statistics.mean(values):{form}} ({', '.join(f'{v:{form}}' for v in values)})")
        print(f"| {run} | {tokens} | " + " | ".join(cells) + " |")


main()
