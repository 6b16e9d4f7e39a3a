"""Records as a decoder reads them: formats/prompt_template.h, written independently of it.

bos enc("Instruction: ...") gist*k enc("Input: ...\\nOutput:") enc(output) eos, labels on the last two.
"""

import gzip
import json

SPACE = " \t\n\v\f\r"
NO_LABEL = -100


def read_records(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def lay_out(record, encode, gist_id, gist_tokens, bos=1, eos=2):
    """Token ids and labels. encode: text to ids, without bos and eos."""
    task = f"Input: {record['input']}\nOutput:" if record["input"] else "Output:"
    prompt = [bos, *encode(f"Instruction: {record['instruction']}".strip(SPACE))]
    prompt += [gist_id] * gist_tokens + encode(task.strip(SPACE))
    answer = [*encode(record["output"]), eos]
    return prompt + answer, [NO_LABEL] * len(prompt) + answer
