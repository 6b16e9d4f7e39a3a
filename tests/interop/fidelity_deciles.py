"""Does compress --check foretell wrong answers? Compresses and answers the word tasks, and prints exact
match by tenths of the records in the order of their KL divergence, from the smallest to the largest, and
the largest divergence of each tenth: judged by the model that was trained under pos, and by the model that compresses itself.

usage: python3 tests/interop/fidelity_deciles.py GIST"""

import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "examples" / "models"
MODEL = MODELS / "wordtasks-llama-gist"


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def run(*args, stdin):
    done = subprocess.run([sys.argv[1], *map(str, args)], input=stdin, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def exact(record):
    return record["completion"].strip() == record["output"].strip()


def main():
    with gzip.open(ROOT / "examples" / "data" / "wordtasks_seen.jsonl.gz", "rt") as file:
        records = [{"id": str(i), **json.loads(line)} for i, line in enumerate(file)]
    with tempfile.TemporaryDirectory() as directory:
        store, report = f"{directory}/gists.h5", f"{directory}/report.jsonl"
        right = None
        for name, reference in (("pos", ["--check-model", MODELS / "wordtasks-llama-pos"]), ("itself", [])):
            run("compress", "--model", MODEL, "--output", store, "--force", "--check", "all", "--check-report", report,
                *reference, stdin=lines(records))
            if right is None:
                questions = [{"gist": each["id"], "input": each["input"], "output": each["output"]} for each in records]
                answers = run("generate", "--model", MODEL, "--store", store, "--max-new-tokens", 24,
                              stdin=lines(questions))
                right = {answer["gist"]: exact(answer) for answer in answers}
            with open(report) as file:
                found = sorted((json.loads(line) for line in file), key=lambda each: each["kl"])
            tenth = len(found) // 10
            tenths = [found[i:i + tenth] for i in range(0, len(found), tenth)]
            print(f"{name}:", *(f"{100 * sum(right[each['id']] for each in part) / tenth:.0f} %" for part in tenths))
            print("  up to a divergence of:", *(f"{part[-1]['kl']:.2g}" for part in tenths))
            wrong = [each["kl"] for each in found if not right[each["id"]]]
            good = [each["kl"] for each in found if right[each["id"]]]
            larger = sum((a > b) + (a == b) / 2 for a in wrong for b in good) / (len(wrong) * len(good))
            print(f"  a wrong answer's divergence is the larger one in {100 * larger:.0f} % of pairs with a right one")


main()
