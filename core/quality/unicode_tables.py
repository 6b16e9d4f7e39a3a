"""Writes unicode_tables.cpp to standard output, in clang-format's style: unicode_tables.py | clang-format

The tables answer as this Python's str.isalnum(), str.isdecimal() and str.lower() do, so the Python that runs it
must have the version of Unicode that unicode.h names.
"""

import unicodedata

UNICODE = "14.0.0"
SURROGATES = range(0xD800, 0xE000)
CODE_POINTS = [c for c in range(0x80, 0x110000) if c not in SURROGATES]


def ranges(has):
    found = []
    for c in CODE_POINTS:
        if not has(chr(c)):
            continue
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def lower_cases():
    """[first, last, step, offset]: neighbours, or every other code point, with the same offset."""
    found = []
    for c in CODE_POINTS:
        lower = chr(c).lower()
        if len(lower) != 1 or lower == chr(c):
            continue
        offset = ord(lower) - c
        if found and found[-1][3] == offset:
            first, last, step, _ = found[-1]
            if c - last == step or (first == last and c - last == 2):
                found[-1] = [first, c, c - last, offset]
                continue
        found.append([c, c, 1, offset])
    return found


def table(kind, name, rows):
    values = ",".join("{" + ",".join(row) + "}" for row in rows)
    return f"constexpr {kind} {name}_table[] = {{{values}}};"


def spell(row):
    return [f"0x{value:X}" if i < 2 else str(value) for i, value in enumerate(row)]


def main():
    if unicodedata.unidata_version != UNICODE:
        raise SystemExit(f"this Python has Unicode {unicodedata.unidata_version}, not {UNICODE}")
    tables = [
        ("CodePoints", "word_code_points", ranges(str.isalnum)),
        ("CodePoints", "digit_code_points", ranges(str.isdecimal)),
        ("LowerCase", "lower_cases", lower_cases()),
    ]
    print(f"// Made by unicode_tables.py from Unicode {UNICODE}: don't edit.")
    print('#include "core/quality/unicode_tables.h"\n\nnamespace gist {\nnamespace {\n')
    for kind, name, rows in tables:
        print(table(kind, name, map(spell, rows)), "\n")
    print("}  // namespace\n")
    for kind, name, _ in tables:
        print(f"const std::span<const {kind}> {name} = {name}_table;")
    print("\n}  // namespace gist")


main()
