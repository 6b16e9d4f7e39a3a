"""That the tensor-core kernels are compiled to the instructions that they are written for: products of bf16 (HMMA),
matrices loaded from shared memory (LDSM), copies to it that pass by the registers (LDGSTS).

usage: instructions.py BUILD
"""

import sys

from device_code import ARCHITECTURE, read_source

REQUIRED = {
    "attention_bf16.cu": ("HMMA", "LDSM", "LDGSTS"),
    "attention_bf16_backward.cu": ("HMMA", "LDSM", "LDGSTS"),
}


def check(build, file, required):
    """Whether some kernel of the file has them all."""
    complete = False
    for kernel in read_source(build, file).kernels:
        counts = [kernel.instructions[name] for name in required]
        complete |= all(counts)
        if any(counts):
            listed = ", ".join(f"{name} {count}" for name, count in zip(required, counts))
            print(f"{file} {kernel.name}: {listed} (SASS for sm_{ARCHITECTURE})")
    if not complete:
        print(f"{file}: expected a kernel with {', '.join(required)} (SASS for sm_{ARCHITECTURE}); none has them all")
    return complete


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    passed = [check(sys.argv[1], file, names) for file, names in REQUIRED.items()]
    sys.exit(0 if all(passed) else 1)


main()
