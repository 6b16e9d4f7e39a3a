"""Writes tests/fixtures/quality/golden.json: texts with the metrics that Python programs give them.

usage: quality_golden.py > tests/fixtures/quality/golden.json (in the environment that rouge.sh makes)
"""

import itertools
import json
import random

import numpy

import quality_oracle as oracle
import quality_texts as texts


def pairs(generator):
    examples = texts.example_texts()[:2000]
    chosen = list(itertools.product(texts.CHOSEN, texts.CHOSEN))
    found = [(text, text) for text in texts.CHOSEN] + list(zip(texts.CHOSEN, texts.CHOSEN[1:]))
    found += generator.sample(chosen, 60)
    found += [texts.random_pair(generator, examples) for _ in range(170)]
    return found


def words(generator):
    made = sorted(texts.made_words() - set(texts.STEMMED))
    return texts.STEMMED + generator.sample(made, 500) + [texts.random_word(generator) for _ in range(200)]


def quantiles(generator):
    for size in (1, 2, 3, 10, 40):
        values = sorted(generator.random() for _ in range(size))
        for q in (0.0, 0.025, 0.3, 0.5, 0.975, 1.0):
            yield [values, q, float(numpy.quantile(values, q))]


def scores(completion, reference):
    return {
        "completion": completion,
        "reference": reference,
        "rouge": oracle.rouge(completion, reference, False),
        "rouge_stemmer": oracle.rouge(completion, reference, True),
        "token_f1": oracle.token_f1(completion, reference),
    }


def lines(name, rows):
    body = ",\n".join(json.dumps(row) for row in rows)
    return f'"{name}": [\n{body}\n]'


def main():
    generator = random.Random(7)
    parts = [
        lines("pairs", [scores(*pair) for pair in pairs(generator)]),
        lines("normalized", [[text, oracle.normalized(text)] for text in texts.CHOSEN]),
        lines("stems", [[word, oracle.stem(word)] for word in words(generator)]),
        lines("quantiles", quantiles(generator)),
    ]
    print("{", ",\n".join(parts), "}", sep="\n")


main()
