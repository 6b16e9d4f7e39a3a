"""What each CUDA kernel takes of a multiprocessor, compared with resources_sm_90.txt.

usage: resources.py [--update] BUILD

A kernel that takes more registers runs in fewer warps, one whose variables go to local memory waits for them: no
test of results shows it. A change that is meant is accepted by --update, which writes the table anew.
"""

import pathlib
import sys

from device_code import ARCHITECTURE, ROOT, SKIPPED, read_source

TABLE = pathlib.Path(__file__).with_name(f"resources_sm_{ARCHITECTURE}.txt")
LEGEND = f"""\
# Kernels on sm_{ARCHITECTURE} as nvcc COMPILER compiles them: registers and bytes of stack a thread, instructions that
# write and read local memory (spilled registers, arrays indexed at run time), bytes of static shared memory a block.
# Written by `python3 tests/cuda/resources.py --update BUILD`.
"""
ROW = "{:26} {:36} {:>9} {:>6} {:>7} {:>6} {:>7}"
COLUMNS = ("registers", "stack", "stores", "loads", "shared")


def measure(build):
    """The compiler, and {(file, kernel): values of COLUMNS}."""
    rows, compiler = {}, None
    for path in sorted((ROOT / "kernels/cuda").glob("*.cu")):
        compiler, kernels = read_source(build, path.name)
        for kernel in kernels:
            rows[path.name, kernel.name] = (kernel.registers, kernel.stack, kernel.instructions["STL"],
                                            kernel.instructions["LDL"], kernel.shared)
    return compiler, rows


def write(compiler, rows):
    lines = [ROW.format(*key, *values) for key, values in rows.items()]
    header = ROW.format("# file", "kernel", *COLUMNS)
    TABLE.write_text(LEGEND.replace("COMPILER", compiler) + "\n".join([header, *lines]) + "\n")


def read():
    text = TABLE.read_text()
    rows = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            names, *values = line.rsplit(maxsplit=len(COLUMNS))
            rows[tuple(names.split(maxsplit=1))] = tuple(map(int, values))
    return text.split(" nvcc ")[1].split()[0], rows


def shown(values):
    return ", ".join(f"{column} {value}" for column, value in zip(COLUMNS, values)) if values else "absent"


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--update"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    compiler, rows = measure(arguments[0])
    if "--update" in sys.argv:
        write(compiler, rows)
        return
    expected_compiler, expected = read()
    if compiler != expected_compiler:
        print(f"skipped: compiled by nvcc {compiler}; {TABLE.name} is of {expected_compiler}")
        sys.exit(SKIPPED)
    changed = [key for key in sorted({*rows, *expected}) if rows.get(key) != expected.get(key)]
    for key in changed:
        print(f"{' '.join(key)}: was {shown(expected.get(key))}; is {shown(rows.get(key))}; accept it by: "
              f"python3 tests/cuda/resources.py --update {arguments[0]}")
    sys.exit(1 if changed else 0)


main()
