"""A large store of made-up activations, and requests for rows all over it: what do look-ups take?

usage: large_store.py SMALL_STORE OUTPUT ROWS REQUESTS [CHUNK_KIB]

SMALL_STORE, which gist compress wrote, has the header; REQUESTS gets 300 records for gist generate.
Then: /usr/bin/time -v gist generate --model MODEL --store OUTPUT --input REQUESTS --max-new-tokens 1
"""

import json
import random
import sys

import h5py
import numpy

BLOCK = 1 << 16  # rows made at once


def column(group, name, values):
    group.create_dataset(name, data=values, chunks=(min(len(values), 1 << 17), *values.shape[1:]), fletcher32=True)


def write_index(index, rows, generator):
    ids = numpy.frombuffer(b"".join(b"p%09d" % row for row in range(rows)), dtype="u1")
    column(index, "id", ids)
    column(index, "id_end", numpy.arange(1, rows + 1, dtype="u8") * 10)
    column(index, "by_id", numpy.arange(rows, dtype="u8"))
    column(index, "gist_end", numpy.arange(1, rows + 1, dtype="u8"))
    column(index, "position", numpy.full(rows, 9, dtype="u4"))
    column(index, "ordinal", numpy.arange(rows, dtype="u8"))
    column(index, "prompt_tokens", numpy.full(rows, 9, dtype="u4"))
    column(index, "prompt_sha256", generator.integers(0, 256, (rows, 32), dtype="u1"))


def main():
    small, output, rows, requests = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    chunk_bytes = int(sys.argv[5] if len(sys.argv) > 5 else 32) << 10
    generator = numpy.random.default_rng(0)
    with h5py.File(small) as source, h5py.File(output, "w", libver="v110") as target:
        for name, value in source.attrs.items():
            target.attrs[name] = value
        write_index(target.create_group("index"), rows, generator)
        for name, array in source["gist"].items():
            token = array.shape[1:]
            tokens_a_chunk = max(1, chunk_bytes // (array.dtype.itemsize * int(numpy.prod(token))))
            made = target.create_dataset(f"gist/{name}", (rows, *token), array.dtype,
                                         chunks=(tokens_a_chunk, *token), fletcher32=True)
            for begin in range(0, rows, BLOCK):
                count = min(BLOCK, rows - begin)
                made[begin : begin + count] = generator.standard_normal((count, *token), dtype="f4")
    chosen = random.Random(0).sample(range(rows), 300)
    with open(requests, "w", encoding="utf-8") as file:
        for row in chosen:
            file.write(json.dumps({"gist": f"p{row:09d}", "input": "cat, lake, red"}) + "\n")


main()
