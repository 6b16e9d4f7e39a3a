"""Small vocabularies in tokenizer.json's format, of the kinds that models have, made with PyPI's tokenizers; and texts
that are hard to cut into words."""
import json
import random
import unicodedata

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
          r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]

SPECIAL = ["<s>", "</s>", "<unk>"]
ADDED = [
    AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im|>", special=True, normalized=True),
    AddedToken("[L]", lstrip=True, normalized=False),
    AddedToken("[R]", rstrip=True, normalized=False),
    AddedToken("[LR]", lstrip=True, rstrip=True, normalized=True),
    AddedToken("[S]", single_word=True, normalized=False),
    AddedToken("word", single_word=True, normalized=True),
    AddedToken("Zebra", normalized=True),
    AddedToken("Zebra crossing", normalized=False),
    AddedToken("  ", normalized=False),
    AddedToken("\n\n", normalized=False),
]


def byte_level(text, pre_tokenizer, size, normalizer=None, decoder=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoder or decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


def bytes_after(*steps):
    return sequence(*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))


def with_bytes(text, size, **changes):
    """BPE as LLaMA's: characters, and bytes for those that the vocabulary lacks."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<unk>", "<s>", "</s>"] + byte_tokens, show_progress=False,
        limit_alphabet=60))
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [t for t in content["added_tokens"] if not t["content"].startswith("<0x")]
    content["pre_tokenizer"] = None
    content.update(changes)
    return Tokenizer.from_str(json.dumps(content))


REPLACE_DECODER = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
LLAMA_DECODER = {"type": "Sequence", "decoders": [
    REPLACE_DECODER, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
GEMMA_DECODER = {"type": "Sequence", "decoders": [REPLACE_DECODER, {"type": "ByteFallback"}, {"type": "Fuse"}]}
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}


def template(token, identity):
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": token, "type_id": 0}},
                                                     {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {token: {"id": token, "ids": [identity], "tokens": [token]}}}


def charsmap(work, rules=None):
    """A SentencePiece normalisation map, of rules or by name; base64."""
    import base64
    source = {"normalization_rule_name": "nmt_nfkc"}
    if rules is not None:
        path = work / "rules.tsv"
        path.write_text("".join(
            " ".join(f"{ord(c):x}" for c in a) + "\t" + " ".join(f"{ord(c):x}" for c in b) + "\n" for a, b in rules))
        source = {"normalization_rule_tsv": str(path)}
    lines = ["the quick brown fox jumps over the lazy dog", "pack my box with five dozen liquor jugs"] * 20
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=str(work / "map"), vocab_size=50,
                                             hard_vocab_limit=False, minloglevel=2, **source)
    from sentencepiece import sentencepiece_model_pb2
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((work / "map.model").read_bytes())
    return base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()


RULES = [("ﬁ", "fi"), ("\u00a0", " "), ("\u200b", ""), ("e\u0301", "é"), ("\t", " "), ("…", "..."), ("½", "1/2"), ("Ａ", "A"),
         ("①", "1"), ("\u0301", ""), ("カ\u3099", "ガ"), ("a\u0301", "á"), ("ß", "ss"), ("\u3000", " ")]


def unigram(text, size, normalizer, prepend, charset_size=None, byte_fallback=False, post=None):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else [])
    tokenizer.train_from_iterator(text, trainers.UnigramTrainer(vocab_size=size, special_tokens=special,
                                                                unk_token="<unk>", show_progress=False))
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [t for t in content["added_tokens"] if not t["content"].startswith("<0x")]
    content["normalizer"] = normalizer
    content["model"]["byte_fallback"] = byte_fallback
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend, "split": True}
    content["pre_tokenizer"] = metaspace
    content["decoder"] = metaspace
    if byte_fallback:
        content["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, metaspace]}
    content["post_processor"] = post
    return Tokenizer.from_str(json.dumps(content))


def t5_normalizer(map64):
    return {"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": map64}, {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}


def usual_kinds(text, size, map64):
    """By name: (tokenizer, changes to its JSON)."""
    n = normalizers
    bos = template("<s>", 0)
    yield "gpt2", byte_level(text, pre_tokenizers.ByteLevel(add_prefix_space=False), size)
    yield "llama3", byte_level(text, bytes_after(split(LLAMA3)), size, ignore_merges=True), {
        "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                                                               "use_regex": True}, bos]}}
    yield "qwen2", byte_level(text, bytes_after(split(QWEN2)), size, n.NFC())
    yield "smollm2", byte_level(text, sequence(pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)), size)
    yield "t5", unigram(text, size, t5_normalizer(map64), "always")
    yield "llama", with_bytes(text, size, decoder=LLAMA_DECODER, post_processor=template("<s>", 1), normalizer={
        "type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, SPACES]})
    yield "gemma", with_bytes(text, size, decoder=GEMMA_DECODER, normalizer=SPACES, pre_tokenizer={
        "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False})


def other_kinds(text, size, map64):
    n, p = normalizers, pre_tokenizers
    yield "tekken", byte_level(text, bytes_after(split(TEKKEN)), size, ignore_merges=True)
    yield "gpt2-space", byte_level(text, p.ByteLevel(add_prefix_space=True), size)
    yield "digits-together", byte_level(text, sequence(p.Digits(False), p.ByteLevel(add_prefix_space=False)), size, n.NFKC())
    yield "falcon", byte_level(text, sequence(p.Punctuation("contiguous"), p.ByteLevel(add_prefix_space=False), p.Digits(False),
                                              split("[0-9][0-9][0-9]")), size)
    yield "whitespace", byte_level(text, bytes_after(p.Whitespace()), size, n.Sequence([n.NFKD(), n.Lowercase()]))
    yield "whitespace-split", byte_level(text, bytes_after(p.WhitespaceSplit(), p.Punctuation()), size, n.NFD())
    for behavior in BEHAVIORS:
        for invert in [False, True]:
            yield f"split-{behavior}-{invert}", byte_level(text, bytes_after(split(r"[aeiou]+|\s", behavior, invert)), size)
    yield "regex-replace", byte_level(text, p.ByteLevel(add_prefix_space=False), size, n.Sequence([
        n.Strip(), n.Replace(Regex(r"\s+"), " "), n.Replace("a", "")]))
    yield "no-decoder", byte_level(text, p.ByteLevel(add_prefix_space=False), size), {"decoder": None}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    yield "llama-first", with_bytes(text, size, pre_tokenizer=metaspace, decoder=LLAMA_DECODER)
    yield "strip-first", with_bytes(text, size, pre_tokenizer=metaspace, decoder=LLAMA_DECODER, normalizer={
        "type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": True, "strip_right": False},
                                            {"type": "Replace", "pattern": {"Regex": "[ab]{2,}"}, "content": "b"}]})
    never = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False, "prepend_scheme": "never"}
    yield "metaspace-never", with_bytes(text, size, pre_tokenizer=never, decoder=never)
    unknown = with_bytes(text, size, decoder=LLAMA_DECODER, pre_tokenizer=metaspace)
    content = json.loads(unknown.to_str())
    for name, fuse in [("unk-fused", True), ("unk-each", False)]:
        content["model"].update(byte_fallback=False, fuse_unk=fuse)
        yield name, Tokenizer.from_str(json.dumps(content))
    suffix = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    suffix.pre_tokenizer = p.Whitespace()
    suffix.train_from_iterator(text, trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>"], end_of_word_suffix="</w>",
                                                         show_progress=False, limit_alphabet=80))
    yield "suffix", suffix
    prefix = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    prefix.pre_tokenizer = p.Whitespace()
    prefix.train_from_iterator(text, trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>"], continuing_subword_prefix="##",
                                                         show_progress=False, limit_alphabet=80))
    yield "prefix", prefix
    yield "unigram-first", unigram(text, size, t5_normalizer(map64), "first", byte_fallback=True)


def with_added(tokenizer, changes=None):
    """The content of the file, with the added tokens of each kind, which are in no vocabulary."""
    content = json.loads(tokenizer.to_str())
    content.update(changes or {})
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_tokens(ADDED)
    return json.loads(tokenizer.to_str())


HARD = """
|Hello, world!|  two  spaces   three    four |tab\there\t\ttwo|a\nb\n\nc\n\n\nd|a\r\nb\r\n\r\n|\n|\t| |  |   |    x
|I'm we're they've she'll he'd it's don't I'M WE'RE 'S 'Tis ''s 'ſ|1 12 123 1234 12345678 3.14 1,000,000 0x1F 1e-9|٣٤٥ ४५६ 一二三 ½ ² ⅷ ①
|naïve café cafe\u0301 Å A\u030a \u212b ﬁ ﬀ ß ẞ|Ünïcödé ÀÉÎ ǅ ŉ İstanbul ıI|Привет, мир! Как дела?|Ελληνικά: ΣΊΣΥΦΟΣ σίσυφος|שלום עולם|مرحبا بالعالم ١٢٣
|नमस्ते दुनिया क्षत्रिय|สวัสดีชาวโลก ำ|你好，世界。你好!|こんにちは世界、カ\u3099タカナ ｶﾞ|안녕하세요 세계 \u1112\u1161\u11ab|Xin chào thế giới ậ a\u0323\u0302 a\u0302\u0323
|👍 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 1️⃣ ☺ ☺️|😀😀😀😀|e\u0301\u0302\u0323 \u0301alone \u0323\u0301|q\u0307\u0323 q\u0323\u0307|\u0915\u093c \u0958|①②③ ㎏ ℌ ﷺ
|def f(x):\n    return x**2  # square\n\n\tif x:\n\t\tpass|for (int i = 0; i < n; ++i) { a[i] += b[i]; }|<div class="x">&amp;</div>|https://example.org/a?b=c&d=%20#e|{"key": [1, 2.5, null]}
|__init__ snake_case camelCase PascalCase HTTPServer XMLHttpRequest2|a-b a–b a—b a…b a...b|"quoted" 'single' “curly” ‘x’ «y»|$5 €6 £7 100% #tag @user
|\u00a0nbsp\u00a0 \u2003em \u3000ideographic \u200bzero\u200bwidth \u2028line \u2029para \x85nel \ufeffbom|\x00nul \x01 \x7f \x1b[0m|\u00ad soft\u00adhyphen|\u200d\u200c joiners
|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|=====================|............. !!!!!!!!! ??|----------\n----------|ababababababababababababab|the the the the
|<|im_start|>user|x<|im|>y <|IM|>|[L]a [L] b  [L]|[R]  a[R]b [R] |  [LR]  x|[S] a[S]b _[S]_ [S]. é[S]|word words word. a word sword wörd|Zebra Zebra crossing ZebraZebra zebra
|Zebra crossings|[L][R][L][R]|  [L]  [R]  |\n\n\n\n[L]\n\n|[S][S] [S]|<s> </s> <unk>|<0x41> <0xE2>|▁ ▁a ▁▁b a▁b|Ġ Ċ Ã© Ġhello|## ##a </w>
|\U0001f600\U00010348\U0001d400\U0002070e|\ue000private \U000e0001tag|A\u0300A\u0300 \u1e9b\u0323|ﾊﾝｶｸ ＦＵＬＬＷＩＤＴＨ　１２３|ǆ ǅ Ǆ ﬃ|\u0130\u0049\u0131|Σ ς σ Σ.|\u1100\u1161 가 \u11a8
| leading| \t mixed \n space \r\n |trailing |trailing   |\n leading newline| \n \n |a  b|a   b|  \n  |x\u2003\u2003y|\u3000\u3000
|The quick brown fox jumps over the lazy dog.|THE QUICK BROWN FOX|tHe qUiCk|Once upon a time, there was a little girl named Lily.|12345678901234567890|3.14159265358979
|a,b;c:d!e?f|(a) [b] {c} <d>|e.g. i.e. U.S.A. Dr. Mr.|50% off!!!|a/b\\c|~`^|±×÷√∞≠≤≥|→←↑↓⇒|αβγδ ΑΒΓΔ|∑∏∫∂|▀▄█▌▐|┌─┐│└┘|♠♥♦♣|☀☁☂★|ⓐⓑⓒ|𝔘𝔫𝔦𝔠𝔬𝔡𝔢|𝟘𝟙𝟚
"""


def hard_lines():
    bar = "\u0000BAR\u0000"  # <|im|> has bars of its own
    text = HARD.replace("<|im_start|>", f"<{bar}im_start{bar}>").replace("<|im|>", f"<{bar}im{bar}>").replace("<|IM|>", f"<{bar}IM{bar}>")
    return [line.replace(bar, "|") for line in text.replace("\n|", "|").strip("\n|").split("|")] + ["", "|", "||"]


def as_of_unicode_9(c):
    """PyPI's tokenizers normalizes by Unicode 9, in which marks and compatible characters of later versions are others."""
    text = "q\u0315" + c + "\u0334"
    return all(form().normalize_str(text) == unicodedata.normalize(name, text) for name, form in
               [("NFD", normalizers.NFD), ("NFKD", normalizers.NFKD)])


ASSIGNED = [chr(c) for c in range(0x20, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co") and
            as_of_unicode_9(chr(c))]
WHITE = list(" \t\n\r\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000")
MARKS = [c for c in ASSIGNED if unicodedata.combining(c)]


def random_line(rng, words):
    """Of some forty parts: words, runs, spaces, digits, marks, characters of one script, of any."""
    parts = []
    for _ in range(rng.randrange(1, 40)):
        kind = rng.randrange(10)
        if kind < 3:
            parts.append(rng.choice(words) + rng.choice([" ", "", "  ", "\n", ", ", "."]))
        elif kind == 3:
            parts.append(rng.choice(WHITE) * rng.randrange(1, 4))
        elif kind == 4:
            parts.append("".join(rng.choice("0123456789٣४") for _ in range(rng.randrange(1, 9))))
        elif kind == 5:
            parts.append(rng.choice(words) + "".join(rng.choice(MARKS) for _ in range(rng.randrange(1, 4))))
        elif kind == 6:
            block = rng.randrange(len(ASSIGNED) - 64)
            parts.append("".join(rng.choice(ASSIGNED[block:block + 64]) for _ in range(rng.randrange(1, 9))))
        elif kind == 7:
            parts.append("".join(rng.choice(ASSIGNED) for _ in range(rng.randrange(1, 6))))
        elif kind == 8:
            parts.append(rng.choice([token.content for token in ADDED]))
        else:
            parts.append(rng.choice("ab=-_. \n'") * rng.randrange(1, 60))
    return "".join(parts)


def random_lines(count, words, seed=0):
    rng = random.Random(seed)
    return [random_line(rng, words) for _ in range(count)]


def expected(content, lines):
    """[ids, decoded] of each line, special tokens in it being text."""
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.encode_special_tokens = True
    ids = [encoding.ids for encoding in tokenizer.encode_batch(lines, add_special_tokens=False)]
    return [[each, tokenizer.decode(each)] for each in ids]


def comparable(content, line):
    """Whether gist should give the same ids: where the vocabulary itself has special tokens as pieces, their text would become
    them in PyPI's tokenizers, not in gist."""
    special = [t["content"] for t in content["added_tokens"] if t["special"]]
    return content["model"]["type"] != "Unigram" or not any(token in line for token in special)
