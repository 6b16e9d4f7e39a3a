"""Small gist stores for tests."""

import json

from gist_cli import FIXTURES, run

MODEL = FIXTURES / "models" / "wordtasks-llama-gist"


def write_store(path, prompts, *options, gist_tokens=1):
    """Compresses {id: instruction} into a store at `path`."""
    records = [{"id": name, "instruction": text} for name, text in prompts.items()]
    result = run("compress", "--model", MODEL, "--output", path, "--gist-tokens", gist_tokens,
                 *options, stdin="".join(json.dumps(record) + "\n" for record in records))
    if result.code != 0:
        raise AssertionError(f"gist compress ended with {result.code}: {result.err}")
    return path


def numbered(first, last):
    """{"p3": "Count the words 3 times.", ...}"""
    return {f"p{i}": f"Count the words {i} times." for i in range(first, last)}
