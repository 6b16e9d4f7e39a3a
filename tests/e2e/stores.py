"""Small gist stores for tests."""

from families import LLAMA
from gist_cli import jsonl, run


def write_store(path, prompts, *options, gist_tokens=1, family=LLAMA):
    """Compresses {id: instruction} into a store at `path`."""
    records = jsonl({"id": name, "instruction": text} for name, text in prompts.items())
    result = run("compress", "--model", family.model, "--output", path, "--gist-tokens", gist_tokens,
                 *options, stdin=records)
    if result.code != 0:
        raise AssertionError(f"gist compress ended with {result.code}: {result.err}")
    return path


def numbered(first, last):
    """{"p3": "Count the words 3 times.", ...}"""
    return {f"p{i}": f"Count the words {i} times." for i in range(first, last)}
