"""gist gives the same ids and the same text as PyPI's tokenizers: for a vocabulary of each kind, for directories that are
named, and how fast.
usage: check_tokenizers.py TOKENIZED_TEXTS WORKDIR LINES [TEXTS.json.gz] [TOKENIZER.json ...]"""
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

from tokenizers import Tokenizer

from tokenizer_kinds import charsmap, comparable, expected, hard_lines, other_kinds, random_lines, usual_kinds, with_added

PROGRAM, WORK, LINES = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


def run(tokenizer, what, lines):
    done = subprocess.run([PROGRAM, str(tokenizer), what], input="".join(json.dumps(line) + "\n" for line in lines), text=True,
                          stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{tokenizer}: {what} failed")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def compare(name, path, lines, english):
    content = json.loads(path.read_text())
    lines = [line for line in lines if comparable(content, line)]
    ours, theirs = run(path, "ids", lines), expected(content, lines)
    wrong = [(line, a, b) for line, a, b in zip(lines, ours, theirs) if a != b]
    begin = time.process_time()
    tokenizer = Tokenizer.from_str(json.dumps(content))
    for line in english[:3000]:
        tokenizer.encode(line)
    their_speed = sum(len(line.encode()) for line in english[:3000]) / 1e6 / (time.process_time() - begin)
    speed = run(path, "speed", english)[0]
    print(f"{name:32} {len(lines):7} lines, {len(wrong)} differ; {speed['mb_per_second']:6.1f} MB/s (theirs {their_speed:.1f}), "
          f"opened in {speed['opening_seconds']:.2f} s", flush=True)
    for line, a, b in wrong[:3]:
        print("  ", ascii(line)[:300], "\n   gist", ascii(a)[:300], "\n   PyPI", ascii(b)[:300])
    return len(wrong) + (len(ours) != len(lines))


def english_in(path):
    records = json.loads(gzip.open(path).read())
    return ["\n".join(str(record[key]) for key in ("instruction", "input", "output")) for record in records]


def main():
    english = english_in(sys.argv[4])
    words = sorted({word for line in english[:2000] for word in line.split()})
    lines = hard_lines()
    lines += english[:LINES // 4] + random_lines(LINES - LINES // 4, words)
    whole = english[:20000]
    wrong = 0
    for path in sys.argv[5:]:
        wrong += compare(path, Path(path), lines, whole)
    text = english[:3000] + hard_lines()
    map64 = charsmap(WORK)
    for kinds in (usual_kinds, other_kinds):
        for name, tokenizer, *changes in kinds(text, 3000, map64):
            path = WORK / f"{name}.json"
            path.write_text(json.dumps(with_added(tokenizer, *changes)))
            wrong += compare(name, path, lines, whole)
    print(f"{wrong} lines differ")
    sys.exit(wrong > 0)


main()
