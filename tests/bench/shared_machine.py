"""How fast whole commands are on a machine that others use, too.

usage: python3 tests/bench/shared_machine.py GIST [OTHER_GIST] [--pairs N]

Runs `generate` of 100 records, `compress` of the prompts of the word tasks, and a few steps of `train`, with the
models under examples/: alone, beside one busy process, two and four side by side. Two programs take turns, so that
what else the machine does hits both. Prints the medians in seconds (of runs side by side: until the last has ended),
for two programs also the median and the range of the first one's time over the second one's.
"""
import argparse
import contextlib
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "examples/data"
MODELS = ROOT / "examples/models"
SCENES = [("alone", 1, 0), ("beside one busy process", 1, 1), ("two side by side", 2, 0), ("four side by side", 4, 0)]


def records(path, count=None):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines][:count]


def write_records(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def commands(work):
    """Name and arguments; OUT stands for a directory of the run's own."""
    seen = records(DATA / "wordtasks_seen.jsonl.gz", 100)
    write_records(work / "ask.jsonl", [{"instruction": r["instruction"], "input": r["input"]} for r in seen])
    rows = records(DATA / "wordtasks_train.jsonl.gz", 2000)
    write_records(work / "prompts.jsonl", [{"id": str(i), "instruction": r["instruction"] + " " + str(i)}
                                           for i, r in enumerate(rows)])
    return [
        ("generate", ["generate", "--model", MODELS / "wordtasks-llama-pos", "--condition", "pos",
                      "--input", work / "ask.jsonl", "--output", "OUT/answers.jsonl", "--max-new-tokens", "24"]),
        ("compress", ["compress", "--model", MODELS / "wordtasks-llama-gist", "--input", work / "prompts.jsonl",
                      "--output", "OUT/gists.h5"]),
        ("train", ["train", "--model", MODELS / "wordtasks-llama-pos", "--data", DATA / "wordtasks_train.jsonl.gz",
                   "--condition", "pos", "--steps", "6", "--lr", "1e-4", "--output", "OUT/model"]),
    ]


@contextlib.contextmanager
def busy(count):
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(gist, arguments, copies, neighbours):
    """Seconds until all copies have ended."""
    with tempfile.TemporaryDirectory() as out, busy(neighbours):
        places = [pathlib.Path(out) / str(copy) for copy in range(copies)]
        for place in places:
            place.mkdir()
        start = time.perf_counter()
        started = [subprocess.Popen([gist, *(str(a).replace("OUT", str(place)) for a in arguments)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                   for place in places]
        for process in started:
            _, errors = process.communicate()
            if process.returncode != 0:
                sys.exit(errors.decode())
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("gist", nargs="+")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    gists = [os.path.abspath(path) for path in options.gist]
    with tempfile.TemporaryDirectory() as work:
        for name, arguments in commands(pathlib.Path(work)):
            if options.only and name not in options.only:
                continue
            for scene, copies, neighbours in SCENES:
                times = [[run(gist, arguments, copies, neighbours) for gist in gists] for _ in range(options.pairs)]
                medians = [statistics.median(each) for each in zip(*times)]
                line = f"{name:9} {scene:24}" + "".join(f"{each:9.3f} s" for each in medians)
                if len(gists) == 2:
                    ratios = sorted(first / second for first, second in times)
                    line += f"   ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
                print(line, flush=True)


if __name__ == "__main__":
    main()
