"""Writes tests/fixtures/tokenizers/golden.json.gz: small vocabularies of many kinds, and what PyPI's tokenizers makes of lines
that are hard to cut into words.
usage: tokenizer_golden.py RECORDS.jsonl.gz OUTPUT    (RECORDS: examples/data/wordtasks_train.jsonl.gz)"""
import gzip
import json
import sys
import tempfile
from pathlib import Path

from tokenizer_kinds import RULES, charsmap, comparable, expected, hard_lines, other_kinds, random_lines, usual_kinds, with_added

OTHERS = {"tekken", "gpt2-space", "falcon", "whitespace", "split-merged_with_next-False", "split-contiguous-True", "regex-replace",
          "llama-first", "strip-first", "metaspace-never", "unk-each", "suffix", "prefix", "unigram-first"}


def results(content, lines, step):
    """Of each step-th line [ids], and the decoded text behind that where it isn't the line; of others null."""
    answers = []
    for i, (line, (ids, text)) in enumerate(zip(lines, expected(content, lines))):
        use = i % step == 0 and comparable(content, line)
        answers.append(None if not use else [ids] if text == line else [ids, text])
    return answers


def main():
    records = [json.loads(line) for line in gzip.open(sys.argv[1])][:600]
    text = [f"{r['instruction']} {r['input']}\n{r['output']}" for r in records]
    words = sorted({word for line in text[:100] for word in line.split()})
    lines = hard_lines() + [line[:80] for line in random_lines(60, words)]
    golden = {"lines": lines, "kinds": []}
    with tempfile.TemporaryDirectory() as work:
        map64 = charsmap(Path(work), RULES)
        for kinds in (usual_kinds, other_kinds):
            for name, tokenizer, *changes in kinds(text, 400 if kinds is usual_kinds else 320, map64):
                if kinds is other_kinds and name not in OTHERS:
                    continue
                content = with_added(tokenizer, *changes)
                golden["kinds"].append({"name": name, "tokenizer": content,
                                        "results": results(content, lines, 1 if kinds is usual_kinds else 3)})
    data = json.dumps(golden, ensure_ascii=False, separators=(",", ":")).encode()
    Path(sys.argv[2]).write_bytes(gzip.compress(data, 9, mtime=0))
    print(len(golden["kinds"]), "kinds,", len(lines), "lines,", len(data), "bytes,", Path(sys.argv[2]).stat().st_size, "compressed")


main()
