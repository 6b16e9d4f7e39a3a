"""Records as models read them: formats/model/prompt_template.h, written independently of it.

A layout is a function (record, encode, piece, gists) -> token ids, labels. encode: text to ids, without bos
and eos; piece: a token's name to its id; gists: the ids of the gist tokens.
"""

import gzip
import json

SPACE = " \t\n\v\f\r"
NO_LABEL = -100


def read_records(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def instruction(record, encode):
    return encode(f"Instruction: {record['instruction']}".strip(SPACE))


def decoder(record, encode, piece, gists):
    """bos enc("Instruction: ...") gists enc("Input: ...\\nOutput:") enc(output) eos, labels on the last two."""
    task = f"Input: {record['input']}\nOutput:" if record["input"] else "Output:"
    prompt = [piece("<s>"), *instruction(record, encode), *gists, *encode(task.strip(SPACE))]
    answer = [*encode(record["output"]), piece("</s>")]
    return prompt + answer, [NO_LABEL] * len(prompt) + answer


def encoder_decoder(record, encode, piece, gists):
    """enc("Instruction: ...") "▁" gists enc("Input: ...") eos; labels: enc(output) eos."""
    task = encode(f"Input: {record['input']}".strip(SPACE)) if record["input"] else []
    prompt = [*instruction(record, encode), piece("▁"), *gists, *task, piece("</s>")]
    return prompt, [*encode(record["output"]), piece("</s>")]
