"""Words and pairs of texts on which metrics are compared: chosen ones, ones made by rule, random ones."""

import gzip
import itertools
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Each meets one rule of the stemmer, or just misses it.
STEMMED = """
caresses ponies ties dies flies caress cats gas this sses feed agreed plastered bled motoring sing conflated
troubled sized hopping tanned falling hissing fizzed failing filing died spied ied tied hied owed using aged
happy sky enjoy by say spy fly dry yyyy syzygy toy relational conditional rational valenci hesitanci digitizer
conformabli radicalli rationalli alli differentli vileli analogousli vietnamization predication operator
feudalism decisiveness hopefulness callousness formaliti sensitiviti sensibiliti hopefulli geologi theologi logi
apologi ologi triplicate formative formalize electriciti electrical hopeful goodness ness ful revival allowance
inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption onion
permission homologou communism activate angulariti homologous effective bowdlerize probate rate cease tree
controll roll fell skies dying lying tying news innings inning outings outing cannings canning howe proceed
exceed succeed proceeding succeeds generalizations oscillators 1980s 3rds x2ing 12ed b2b4s ying yed eying
abilities absolutely accompanied universities universal argument arguing organization maximum multidimensional
""".split()

STEMS = """a act age app ax bar bel beauti bl boy by cac cell comm condit cr day di dig elec ell en equ er essay
ex fail fall fin flow form fuzz geo gl go happ hiss hop hum id iz jo key know l lay log mat meas mess mov my
nat ne obey occur ow pay plan play pol pre quiz rad re roll rul sag se sky sl spell st stall sy tap tax they
tr try tw ty us val vow war way wid wiz wool x y ye yy zz 3 42 a1""".split()

SUFFIXES = """s es ies ss sses ed eed ied ing ying at ate ated ating bl bled iz ized izing y ly ally ily e ee er
ers ational tional enci anci izer bli abli alli entli eli ousli ization ation ator alism iveness fulness
ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence ic able ible ant
ement ment ent ion sion tion ou ism iti ous ive ize ll l""".split()

# What tokenisers and normalisers meet: empty, no words, other scripts, letters that become ASCII ones, lines.
CHOSEN = [
    "",
    " ",
    "\n",
    "\n\n \n",
    "!!! ... ???",
    "The cat sat on the mat.",
    "the CAT, sat; on (the) mat!",
    "The cats were sitting on mats\nand dogs were running",
    "and dogs ran\nThe cat sits on a mat",
    "a b c\na b c\nc b a",
    "c b a\na c b\nb b",
    "the the the the\nthe",
    "the\nthe\nthe the",
    "\u0130stanbul \u0130 I\u0307 \u0131 i",
    "istanbul i stanbul",
    "300 \u212a is cold, \u212aelvin \u212a\u212a",
    "300 k is cold, kelvin kk",
    "Stra\u00dfe na\u00efve caf\u00e9 \u00c9cole \u00c5ngstr\u00f6m",
    "strasse naive cafe ecole angstrom",
    "\u041c\u043e\u0441\u043a\u0432\u0430 \u2014 3 \u0433\u043e\u0440\u043e\u0434\u0430, Moscow 3",
    "\u6771\u4eac is Tokyo \u6771\u4eac2020 \uff11\uff12\uff13 \uff21\uff22\uff23",
    "\u039f\u0394\u039f\u03a3 \u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3. \u03a3",
    "\u03bf\u03b4\u03cc\u03c2 \u03bf\u03b4\u03bf\u03c2 \u03c3",
    "\u201cThe\u201d end\u2014an end \u2018a\u2019 the\u00e9 a\u0301",
    "emoji \U0001f600 and \U0001d49c math \ud7ff\ue000",
    "tab\tvertical\vform\fcarriage\rreturn\r\nnext\x00nul\x1cfs\x85nel\u2028ls\u00a0nbsp",
    "under_score hy-phen apos'trophe 1,000.5 $3.99 50%",
    "An apple a day; the a an THE A An theatre anther",
    "a",
    "the",
    "Yes",
    "yes.",
    "x" * 300 + " " + "y" * 300,
    " ".join(str(i % 7) for i in range(200)),
    " ".join(str(i % 5) for i in range(150)),
]


def made_words(texts=()):
    """Distinct words of [a-z0-9]: the chosen, those of the texts, stems with one and two suffixes."""
    found = set(STEMMED)
    for text in texts:
        found.update(re.findall("[a-z0-9]+", text.lower()))
    for stem in STEMS:
        found.update(stem + suffix for suffix in SUFFIXES)
        found.update(stem + a + b for a, b in itertools.product(SUFFIXES, SUFFIXES))
    return found


def random_word(random):
    letters = random.choice(["aeiouy", "aeyslt", "abeilnostuyz", "abcdefghijklmnopqrstuvwxyz0123456789"])
    return "".join(random.choices(letters, k=random.randint(1, 9))) + random.choice(SUFFIXES + [""] * 8)


def random_text(random, longest=40):
    """Of few different words, so that much is in common, in lines of any length."""
    vocabulary = [random_word(random) for _ in range(random.choice([1, 2, 3, 8, 40]))]
    words = random.choices(vocabulary, k=random.randint(0, longest))
    line_rate = random.choice([0, 0, 0.1, 0.4])
    return "".join(w + ("\n" if random.random() < line_rate else " ") for w in words)


def changed(random, text):
    """The text with words left out, doubled, moved, of another case or ending, and other lines."""
    words = re.split("( |\n)", text)
    rate = random.choice([0.05, 0.2, 0.5])
    result = []
    for word in words:
        if random.random() >= rate:
            result.append(word)
            continue
        result += random.choice(
            [[], [word, " ", word], [word.upper()], [word + "s"], ["\n", word], [word, "\n"], [word + "ing,"]]
        )
    if random.random() < 0.2:
        cut = random.randrange(len(result) + 1)
        result = result[cut:] + result[:cut]
    return "".join(result)


def random_pair(random, texts):
    """(completion, reference); about a third each: random texts, changed texts, two texts."""
    kind = random.randrange(3)
    if kind == 0 or not texts:
        text = random_text(random)
        return (changed(random, text) if random.random() < 0.5 else random_text(random)), text
    text = random.choice(texts)
    return (changed(random, text) if kind == 1 else random.choice(texts)), text


def example_texts():
    """The strings of examples/data's records."""
    texts = []
    for path in sorted((ROOT / "examples" / "data").glob("*.jsonl.gz")):
        texts += strings_in(path)
    return texts


def strings_in(path):
    """All strings of a .json or .jsonl file, .gz or not."""
    opened = gzip.open(path, "rt") if str(path).endswith(".gz") else open(path)
    with opened as file:
        if ".jsonl" in str(path):
            values = [json.loads(line) for line in file]
        else:
            values = json.load(file)
    found = []

    def collect(value):
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, (list, dict)):
            for part in value.values() if isinstance(value, dict) else value:
                collect(part)

    collect(values)
    return found
