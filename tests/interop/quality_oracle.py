"""The metrics of core/quality as Python programs have them: rouge_score 0.1.2, NLTK, and SQuAD's rules."""

import collections
import re
import string

from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
SCORERS = {stemmer: rouge_scorer.RougeScorer(TYPES, use_stemmer=stemmer) for stemmer in (False, True)}
STEMMER = PorterStemmer()


def rouge(completion, reference, stemmer):
    """12 numbers: precision, recall, F of each type."""
    scores = SCORERS[stemmer].score(reference, completion)
    return [number for kind in TYPES for number in scores[kind]]


def stem(word):
    return STEMMER.stem(word)


def normalized(text):
    """Lower case; no ASCII punctuation; no articles; single spaces."""
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(?:the|an?)\b", " ", kept).split())


def token_f1(completion, reference):
    left, right = normalized(completion).split(), normalized(reference).split()
    if not left or not right:
        return float(left == right)
    same = (collections.Counter(left) & collections.Counter(right)).total()
    if same == 0:
        return 0.0
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)
