"""The machine code of a build's CUDA objects: kernels, what they take of a multiprocessor, their instructions.

All is read from the objects as they are linked: nothing is compiled again, and compiler caches don't matter, which
keep no report of ptxas (-Xptxas -v) where the build asked for none. A toolkit of the compiler alone has neither
cuobjdump nor nvdisasm.
"""

import collections
import pathlib
import re
import struct
import subprocess
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARCHITECTURE = 90  # that continuous integration compiles for
SKIPPED = 77  # what CTest takes for it

# By the low 12 bits of an instruction's 16 bytes, from sm_80 to sm_120; NVIDIA documents the names only.
# nvdisasm 13.1 counts the same ones.
OPCODES = {0x23C: "HMMA", 0x83B: "LDSM", 0xFAE: "LDGSTS", 0x387: "STL", 0x983: "LDL"}

FATBIN_MAGIC, MACHINE_CODE = 0xBA55ED50, 2
# Records of .nv.info, as nvdisasm names them: EIATTR_REGCOUNT, EIATTR_MIN_STACK_SIZE.
REGISTERS, STACK = 0x2F, 0x12  # the latter only of kernels
RESERVED_SHARED = 1024  # bytes of a block's that are the system's, from sm_90 on


class Kernel(NamedTuple):
    name: str  # attention_kernel<128>
    registers: int  # a thread
    stack: int  # bytes a thread
    shared: int  # bytes a block, static ones
    instructions: collections.Counter  # of OPCODES' values


class Section(NamedTuple):
    name: str
    size: int
    data: bytes


def fail(text):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {text}")


def elf_sections(elf):
    offset, size, count, names = struct.unpack_from("<Q10xHHH", elf, 40)
    headers = [struct.unpack_from("<IIQQQQ", elf, offset + i * size) for i in range(count)]
    for name, kind, _, _, at, length in headers:
        start = headers[names][4] + name
        data = b"" if kind == 8 else elf[at : at + length]  # 8: NOBITS
        yield Section(elf[start : elf.index(b"\0", start)].decode(), length, data)


def machine_codes(fatbins, path):
    """(architecture, ELF) of each entry of the fat binaries in an object's section."""
    at = 0
    while at < len(fatbins):
        magic, _, header, size = struct.unpack_from("<IHHQ", fatbins, at)
        if magic != FATBIN_MAGIC:
            fail(f"{path}: no fat binary that this script knows at {at} of .nv_fatbin")
        at, end = at + header, at + header + size
        while at < end:
            kind, _, header, size = struct.unpack_from("<HHIQ", fatbins, at)
            if kind == MACHINE_CODE:
                (architecture,) = struct.unpack_from("<I", fatbins, at + 28)
                yield architecture, fatbins[at + header : at + header + size]
            at += header + size
        at += -at % 8


def attributes(records):
    """{(attribute, symbol): value} of those that have both."""
    found, at = {}, 0
    while at < len(records):
        form, attribute, size = struct.unpack_from("<BBH", records, at)
        at += 4
        if form != 4:  # the value stands in place of a size
            continue
        if size == 8:
            symbol, value = struct.unpack_from("<II", records, at)
            found[attribute, symbol] = value
        at += size
    return found


def readable(symbols):
    text = subprocess.run(["c++filt", "-p"], input="\n".join(symbols), text=True, stdout=subprocess.PIPE, check=True)
    return [re.sub(r"^void |\(anonymous namespace\)::|gist::(cuda::)?", "", line) for line in text.stdout.splitlines()]


def count_instructions(code):
    words = (OPCODES.get(word & 0xFFF) for word, _ in struct.iter_unpack("<QQ", code))
    return collections.Counter(name for name in words if name)


def kernels_of(elf, path):
    sections = {section.name: section for section in elf_sections(elf)}
    strings, symbols = sections[".strtab"].data, sections[".symtab"].data
    found = attributes(sections[".nv.info"].data)
    kernels = []
    for index, (at, *_) in enumerate(struct.iter_unpack("<IBBHQQ", symbols)):
        name = strings[at : strings.index(b"\0", at)].decode()
        if (STACK, index) not in found:
            continue
        code = sections.get(f".text.{name}") or fail(f"{path}: no code of {name}")
        shared = sections.get(f".nv.shared.{name}")
        kernels.append(Kernel(name, found[REGISTERS, index], found[STACK, index],
                              shared.size - RESERVED_SHARED if shared else 0, count_instructions(code.data)))
    names = readable([kernel.name for kernel in kernels])
    return sorted(kernel._replace(name=name) for kernel, name in zip(kernels, names))


def compiler_of(elf):
    """V13.0.88"""
    notes = next(section.data for section in elf_sections(elf) if section.name == ".note.nv.tkinfo")
    return re.search(rb"release [0-9.]+, (V[0-9.]+)", notes)[1].decode()


class Source(NamedTuple):
    compiler: str
    kernels: list


def read_source(build, name):
    """Of kernels/cuda/NAME as BUILD compiled it. Ends the script where the build is for other architectures."""
    path = pathlib.Path(build) / "kernels/cuda/CMakeFiles/gist_cuda_kernels.dir" / f"{name}.o"
    if not path.exists():
        fail(f"{path} is missing: build gist_cuda_kernels first")
    sections = elf_sections(path.read_bytes())
    fatbins = b"".join(section.data for section in sections if section.name == ".nv_fatbin")
    codes = dict(machine_codes(fatbins, path))
    if ARCHITECTURE not in codes:
        print(f"skipped: {name} is compiled for {sorted(codes)}, not for sm_{ARCHITECTURE}")
        sys.exit(SKIPPED)
    elf = codes[ARCHITECTURE]
    if elf[:4] != b"\x7fELF":
        fail(f"{path}: its machine code is compressed")
    return Source(compiler_of(elf), kernels_of(elf, path))
