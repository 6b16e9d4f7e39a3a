"""The original implementation's training runs on the word tasks, run again by `gist train`.

usage: word_tasks.py GIST llama|t5 WORKDIR [--base DIR] [SEED ...]

Trains base, pos, gist and neg (with --base: the last three, from that model) with each seed (0, 1 and 2 if none is named) by examples/train.sh into
WORKDIR/SEED, unless they stand there already; evaluates them; prints a table beside the reference's
figures; and exits 1 if the means leave the bands: at most 5 points of exact match below the reference on
the seen split, and a loss at most 25 % above it (neg: within 3 %).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPLITS = ("seen", "unseen")
# Exact match in per cent and mean loss over label tokens on (seen, unseen): PyTorch 2.5.1, seed 0.
REFERENCE = {
    "llama": {
        "base": ((90.6, 44.0), (0.1195, 2.2343)),
        "pos": ((94.2, 49.8), (0.0895, 2.3696)),
        "gist": ((92.2, 44.8), (0.0969, 2.2471)),
        "neg": ((6.6, 5.2), (1.4102, 1.5043)),
    },
    "t5": {
        "base": ((89.4, 47.4), (0.1066, 1.8417)),
        "pos": ((91.6, 51.6), (0.0775, 2.1462)),
        "gist": ((82.8, 37.0), (0.1934, 1.7047)),
        "neg": ((8.0, 8.0), (1.2410, 1.3634)),
    },
}


def train(gist, family, directory, seed, base, runs):
    runs = [directory / f"wordtasks-{family}-{run}" for run in runs]
    if not all((run / "training.json").exists() for run in runs):
        environment = {**os.environ, "GIST": gist}
        script = ROOT / "examples" / "train.sh"
        subprocess.run(["sh", script, family, directory, str(seed), *base], env=environment, check=True)


def evaluate(gist, model, split):
    """(exact match in per cent, loss)"""
    data = ROOT / "examples" / "data" / f"wordtasks_{split}.jsonl.gz"
    command = [gist, "evaluate", "--model", model, "--data", data, "--max-new-tokens", "24", "--json"]
    total = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["systems"][0]["all"]
    return 100 * total["exact_match"], total["loss"]


def within_band(run, reference, exact, loss):
    """Whether the means on the seen split are near the reference's."""
    (reference_exact, _), (reference_loss, _) = reference
    if run == "neg":
        return abs(loss / reference_loss - 1) <= 0.03
    return exact >= reference_exact - 5 and loss <= 1.25 * reference_loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gist", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("family", choices=REFERENCE)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--base")
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2])
    arguments = parser.parse_intermixed_args()
    gist, family, work, seeds = arguments.gist, arguments.family, arguments.workdir, arguments.seeds
    base = [arguments.base] if arguments.base else []
    runs = {run: figures for run, figures in REFERENCE[family].items() if run != "base" or not base}
    for seed in seeds:
        train(gist, family, work / str(seed), seed, base, runs)
    print("| run | exact match seen | unseen | loss seen | unseen | reference: seen | unseen | loss seen | unseen |")
    print("|---|---|---|---|---|---|---|---|---|")
    outside = []
    for run, reference in runs.items():
        exact_reference, loss_reference = reference
        exact, loss = {}, {}
        for split in SPLITS:
            results = [evaluate(gist, work / str(s) / f"wordtasks-{family}-{run}", split) for s in seeds]
            exact[split] = [each[0] for each in results]
            loss[split] = [each[1] for each in results]
        cells = [f"{statistics.mean(exact[s]):.1f} ({', '.join(f'{e:.1f}' for e in exact[s])})" for s in SPLITS]
        cells += [f"{statistics.mean(loss[s]):.4f}" for s in SPLITS]
        cells += [f"{e:.1f}" for e in exact_reference] + [f"{value:.4f}" for value in loss_reference]
        print(f"| {run} | " + " | ".join(cells) + " |")
        if not within_band(run, reference, statistics.mean(exact["seen"]), statistics.mean(loss["seen"])):
            outside.append(run)
    if outside:
        sys.exit(f"outside the bands: {', '.join(outside)}")


main()
