"""The metrics on texts equal those of Python programs. usage: check_quality.py QUALITY_SCORES [TEXTS ...]"""

import ast
import json
import pathlib
import random
import subprocess
import sys
import sysconfig
import unicodedata

import numpy
from rouge_score import scoring

import quality_oracle as oracle
import quality_texts as texts

WORDS = 100_000
PAIRS = 24_000
TOLERANCE = 1e-9


def answers(program, arguments, lines):
    result = subprocess.run(
        [program, *map(str, arguments)], input="".join(line + "\n" for line in lines), stdout=subprocess.PIPE,
        check=True, encoding="utf-8",
    )
    return result.stdout.split("\n")[:-1]


def json_answers(program, arguments, values):
    return [json.loads(line) for line in answers(program, arguments, map(json.dumps, values))]


def docstrings():
    """Paragraphs of English: the documentation in Python's own library, of a few hundred words at most."""
    found = []
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                found += (ast.get_docstring(node) or "").split("\n\n")
    return [text for text in found if 20 < len(text) < 2000]


def check_stems(program, real, generator):
    words = texts.made_words(real)
    while len(words) < WORDS:
        words.add(texts.random_word(generator))
    words = sorted(words)
    wrong = [
        f"{word}: {ours}, not {oracle.stem(word)}"
        for word, ours in zip(words, answers(program, ["stems"], words), strict=True)
        if ours != oracle.stem(word)
    ]
    print(f"stems: {len(wrong)} of {len(words)} differ", *wrong[:10], sep="\n  ")
    return not wrong


def check_scores(name, ours, theirs):
    largest = float(numpy.abs(numpy.array(ours) - numpy.array(theirs)).max())
    print(f"{name}: {len(ours)} pairs, largest difference {largest:.3g}")
    return largest <= TOLERANCE


def check_pairs(program, pairs):
    good = True
    for metric, stemmer in (("rouge", False), ("rouge-stemmer", True)):
        theirs = [oracle.rouge(a, b, stemmer) for a, b in pairs]
        good &= check_scores(metric, json_answers(program, [metric], pairs), theirs)
    theirs = [oracle.token_f1(a, b) for a, b in pairs]
    good &= check_scores("token F1", json_answers(program, ["token-f1"], pairs), theirs)
    return good


def unicode_texts(generator):
    """Each character (but the surrogates) between letters, many together, and Greek words."""
    if unicodedata.unidata_version != "14.0.0":
        print(f"This Python has Unicode {unicodedata.unidata_version}, not 14.0.0: its characters are left out")
        return
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for c in characters:
        yield "a" + c + "THE" + c + " The " + c
    mixed = [c for c in characters[:0x500] if c != "\u03a3"] + list(" " * 100)
    greek = list("\u0391\u03a3\u03b1\u03c3\u03c2 .,;'\u2019-1")
    for _ in range(50_000):
        yield "".join(generator.choices(mixed, k=20))
        yield "".join(generator.choices(greek, k=12))


def check_normalized(program, real, generator):
    compared = real + list(unicode_texts(generator))
    wrong = [
        ascii(text)
        for text, ours in zip(compared, json_answers(program, ["normalized"], compared), strict=True)
        if ours != oracle.normalized(text)
    ]
    print(f"normalised answers: {len(wrong)} of {len(compared)} differ", *wrong[:10], sep="\n  ")
    return not wrong


def aggregate(values):
    """The low, mid and high of rouge_score's BootstrapAggregator."""
    aggregator = scoring.BootstrapAggregator()
    for value in values:
        aggregator.add_scores({"score": scoring.Score(value, value, value)})
    return [bound.fmeasure for bound in aggregator.aggregate()["score"]]


def check_bootstrap(program, generator):
    """The mean of each bound over many seeds, in standard errors of the two means' difference."""
    repetitions, worst = 60, 0
    for name, size, draw in (
        ("uniform", 50, generator.random),
        ("skewed", 400, lambda: generator.random() ** 4),
        ("right or wrong", 100, lambda: float(generator.random() < 0.1)),
    ):
        values = [draw() for _ in range(size)]
        ours = numpy.array(
            [json_answers(program, ["bootstrap", 1000, seed], [values])[0] for seed in range(repetitions)]
        )
        theirs = numpy.array([aggregate(values) for _ in range(repetitions)])
        error = numpy.sqrt((ours.var(0) + theirs.var(0)) / repetitions)
        distance = numpy.abs(ours.mean(0) - theirs.mean(0)) / error
        worst = max(worst, distance.max())
        print(
            f"bootstrap, {size} values, {name}: low mid high", *(f"{v:.5f}" for v in ours.mean(0)),
            "- BootstrapAggregator", *(f"{v:.5f}" for v in theirs.mean(0)),
            f"- {distance.max():.1f} standard errors apart, deviation", *(f"{v:.5f}" for v in ours.std(0)),
            "-", *(f"{v:.5f}" for v in theirs.std(0)),
        )
    return worst < 4.5


def main():
    program = sys.argv[1]
    generator = random.Random(11)
    numpy.random.seed(11)  # BootstrapAggregator draws from the global generator
    real = texts.example_texts()[:5000] + docstrings()
    for path in sys.argv[2:]:
        real += texts.strings_in(path)
    pairs = [(a, b) for a in texts.CHOSEN for b in texts.CHOSEN]
    pairs += [texts.random_pair(generator, real) for _ in range(PAIRS - len(pairs))]
    print(f"{len(real)} real texts")
    good = check_stems(program, real, generator)
    good &= check_pairs(program, pairs)
    good &= check_normalized(program, real, generator)
    good &= check_bootstrap(program, generator)
    if not good:
        raise SystemExit("not equal")


main()
