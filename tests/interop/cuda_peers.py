"""gist's attention on the CUDA device 0 against PyTorch's FlexAttention, with the same mask in blocks, and
scaled_dot_product_attention (SDPA), with a dense one: the same shapes and dtypes, in turn.

usage: cuda_peers.py KERNELS_CUDA_BENCHMARK   times all three and prints a table of milliseconds
       cuda_peers.py --self-test              on the CPU, that the two of PyTorch compute the same under each mask
"""

import functools
import itertools
import json
import statistics
import subprocess
import sys
import time

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

ROUNDS, SECONDS, CALLS = 3, 0.5, 10
# Those of tests/bench/kernels_cuda_benchmark.cpp.
LENGTHS, DIMS, WIDTH = (512, 2048, 8192), (64, 128), 2048
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def visibility(mask, n):
    """Whether a query sees a key. A gist hides the first three quarters from what comes after them."""
    hidden = n // 4 * 3 if mask == "gist" else 0
    return lambda batch, head, query, key: (key <= query) & ((query < hidden) | (key >= hidden))


def peers(mask, n, device):
    """Functions of q, k and v [1, heads, n, dim]."""
    visible = visibility(mask, n)
    blocks = create_block_mask(visible, None, None, n, n, device=device)
    place = torch.arange(n, device=device)
    dense = visible(0, 0, place[:, None], place)
    flex = torch.compile(flex_attention, dynamic=False) if device == "cuda" else flex_attention
    return {"FlexAttention": functools.partial(flex, block_mask=blocks),
            "SDPA": functools.partial(scaled_dot_product_attention, attn_mask=dense)}


def milliseconds(call):
    call()
    torch.cuda.synchronize()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for _ in range(CALLS):
            call()
        torch.cuda.synchronize()
        count += CALLS
    return 1e3 * (time.perf_counter() - start) / count


def time_peer(attend, inputs, dy):
    """Of a forward and a backward pass."""
    try:
        y = attend(*inputs)
        return milliseconds(lambda: attend(*inputs)), milliseconds(
            lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True))
    except Exception as error:  # Triton has no kernel that fits for some shapes in f32
        print(str(error).splitlines()[0], file=sys.stderr)
        return float("nan"), float("nan")


def time_gist(benchmark, case):
    command = [benchmark, "--benchmark_format=json", f"--benchmark_filter=^attention(_backward)? {case}/real_time$"]
    result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [run["real_time"] for run in result["benchmarks"]]


def compare(benchmark, dtype, mask, n, dim):
    shape = (1, WIDTH // dim, n, dim)
    q, k, v, dy = (torch.randn(shape, device="cuda", dtype=DTYPES[dtype]) for _ in range(4))
    inputs = [x.requires_grad_() for x in (q, k, v)]
    case = f"{dtype} {mask} {n} x {dim}"
    torch.compiler.reset()  # which compiles a function for a few shapes only, and then no more
    attends = peers(mask, n, "cuda")
    times = {name: [] for name in ("gist", *attends)}
    for _ in range(ROUNDS):
        for name, attend in attends.items():
            times[name].append(time_peer(attend, inputs, dy))
        times["gist"].append(time_gist(benchmark, case))
    for i, direction in enumerate(("forward", "backward")):
        median = {name: statistics.median(round[i] for round in rounds) for name, rounds in times.items()}
        ours, flex, dense = median["gist"], median["FlexAttention"], median["SDPA"]
        print(f"| {case} {direction} | {ours:.3f} | {flex:.3f} | {dense:.3f} | "
              f"{flex / ours:.2f} | {dense / ours:.2f} |", flush=True)


def self_test():
    for mask in ("causal", "gist"):
        q, k, v = (torch.randn(1, 2, 128, 64) for _ in range(3))
        results = [attend(q, k, v) for attend in peers(mask, 128, "cpu").values()]
        torch.testing.assert_close(*results)
    print("passed")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--self-test":
        self_test()
        return
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}: milliseconds, and theirs by gist's\n")
    print("| attention | gist | FlexAttention | SDPA, dense mask | FlexAttention : gist | SDPA : gist |")
    print("|---|---|---|---|---|---|")
    for dtype, mask, n, dim in itertools.product(DTYPES, ("causal", "gist"), LENGTHS, DIMS):
        compare(sys.argv[1], dtype, mask, n, dim)


main()
