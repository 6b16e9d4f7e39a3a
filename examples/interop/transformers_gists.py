"""Answers inputs from a gist that `gist compress` stored, with PyTorch's transformers: one completion a line.

    gist compress --model MODEL --input prompts.jsonl --output gists.h5
    python3 transformers_gists.py MODEL gists.h5 ID "cat, lake, red" "one, two"

MODEL is the directory of the LLaMA or T5 that made the store; ID is the prompt's id. The greedy tokens are those of
`gist generate`. Needs torch, transformers (4.46), sentencepiece and h5py.
"""
import json
import string
import sys
from typing import NamedTuple

import h5py
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.llama.modeling_llama import rotate_half

SPACE = " \t\n\v\f\r"


class Gist(NamedTuple):
    """A row of a store, with what the store says of all its rows."""
    key: torch.Tensor  # [tokens, layers, key heads, key width], not rotated
    value: torch.Tensor  # [tokens, layers, key heads, value width]
    hidden: torch.Tensor  # [tokens, width of the model], what the last layer made of the gist tokens
    position: int  # where the first gist token stood in its prompt
    token_id: int  # of the gist token, which an answer never holds
    key_position: str  # "pre-rope", or "none" where keys carry no position
    template: list  # how a text is laid out around the gist


def read_gist(path, id):
    with h5py.File(path) as store:
        ids, id_ends = store["index/id"][()].tobytes(), [0, *store["index/id_end"]]
        row_of_id = {ids[id_ends[r] : id_ends[r + 1]].decode(): r for r in range(len(id_ends) - 1)}
        if id not in row_of_id:
            sys.exit(f"{path} has no gist with id {id!r}")
        row = row_of_id[id]
        gist_ends = [0, *store["index/gist_end"]]
        tokens = slice(gist_ends[row], gist_ends[row + 1])

        def tensor(name):
            return torch.from_numpy(store[name][tokens].astype("f4"))  # a store may hold f16 or bf16

        attributes = store.attrs
        return Gist(tensor("gist/key"), tensor("gist/value"), tensor("gist/hidden"), int(store["index/position"][row]),
                    int(attributes["gist_token_id"]), attributes["key_position"].decode(),
                    json.loads(attributes["template"]))


def tokens_behind_gist(template, tokenizer, fields):
    """What the template writes behind the gist. Each text is encoded on its own, and never read for special tokens."""
    tokens = []
    for piece in template[template.index("gist") + 1 :]:
        if piece in ("bos", "eos"):
            tokens.append(tokenizer.bos_token_id if piece == "bos" else tokenizer.eos_token_id)
        elif "piece" in piece:
            tokens.append(tokenizer.convert_tokens_to_ids(piece["piece"]))
        else:
            names = [name for _, name, _, _ in string.Formatter().parse(piece["text"]) if name]
            empty = names and not any(fields[name] for name in names)
            text = piece.get("else", "") if empty else piece["text"]
            text = text.format(**fields).strip(SPACE)
            tokens += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    return tokens


def cache_of(keys, values):
    """[tokens, layers, heads, width] as transformers caches it: for each layer [1, heads, tokens, width]."""
    cache = DynamicCache()
    for layer in range(keys.shape[1]):
        cache.update(keys[:, layer].transpose(0, 1)[None], values[:, layer].transpose(0, 1)[None], layer)
    return cache


def behind_gist_in_decoder(model, gist, tokens):
    """Two things: tokens to read first, and a function that reads tokens and gives the next one's logits."""
    assert gist.key_position == "pre-rope"
    end = gist.position + len(gist.key)  # of the gist: the position of the input's first token
    cos, sin = model.model.rotary_emb(gist.value, torch.arange(gist.position, end)[None])  # [1, tokens, width]
    cos, sin = cos[0, :, None, None], sin[0, :, None, None]
    keys = gist.key * cos + rotate_half(gist.key) * sin
    cache = cache_of(keys, gist.value)  # grows with each token that is read

    def read(tokens):
        begin = end + cache.get_seq_length() - len(gist.key)
        positions = torch.arange(begin, begin + len(tokens))[None]
        return model(torch.tensor([tokens]), past_key_values=cache, position_ids=positions).logits[0, -1]

    return tokens, read


def behind_gist_in_encoder(model, gist, tokens):
    """The same for an encoder-decoder, whose encoder reads the tokens here: the decoder is to read its start token."""
    assert gist.key_position == "none"
    encoder, k, n = model.encoder, len(gist.key), len(tokens)
    # The input sees the stored gist and itself. The bias of a key depends on how far it is: the gist stands right
    # before the input, so that both are places [0, k + n), of which the input's are the last n.
    bias = encoder.block[0].layer[0].SelfAttention.compute_bias(k + n, k + n)[:, :, k:]
    cache = EncoderDecoderCache(cache_of(gist.key, gist.value), DynamicCache())  # the second isn't used here
    hidden = model.shared(torch.tensor([tokens]))
    for block in encoder.block:
        hidden = block(hidden, position_bias=bias, past_key_value=cache, use_cache=True,
                       cache_position=torch.arange(k, k + n))[0]
    hidden = encoder.final_layer_norm(hidden)
    # The decoder sees the gist's part of the encoder's output, too, which the store has.
    encoded = BaseModelOutput(torch.cat([gist.hidden[None], hidden], dim=1))
    past = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def read(tokens):
        return model(encoder_outputs=encoded, decoder_input_ids=torch.tensor([tokens]), past_key_values=past,
                     use_cache=True).logits[0, -1]

    return [model.config.decoder_start_token_id], read


class Model:
    def __init__(self, directory):
        self.tokenizer = AutoTokenizer.from_pretrained(directory, use_fast=False)
        try:
            self.model = AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32)
        except ValueError:
            self.model = AutoModelForSeq2SeqLM.from_pretrained(directory, torch_dtype=torch.float32)
        self.model.eval()
        ends = self.model.generation_config.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [ends])

    @torch.inference_mode()
    def answer(self, gist, input, max_new_tokens=64):
        """The greedy tokens of an answer, without the one that ends it."""
        begin = behind_gist_in_encoder if self.model.config.is_encoder_decoder else behind_gist_in_decoder
        tokens = tokens_behind_gist(gist.template, self.tokenizer, {"input": input})
        unread, read = begin(self.model, gist, tokens)
        answer = []
        while len(answer) < max_new_tokens:
            logits = read(unread)
            logits[gist.token_id] = -torch.inf
            unread = [int(logits.argmax())]
            if unread[0] in self.ends:
                break
            answer += unread
        return answer

    def text(self, tokens):
        return self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def main():
    if len(sys.argv) < 5:
        sys.exit("usage: transformers_gists.py MODEL STORE ID INPUT ...")
    model = Model(sys.argv[1])
    gist = read_gist(sys.argv[2], sys.argv[3])
    for text in sys.argv[4:]:
        print(model.text(model.answer(gist, text)))


if __name__ == "__main__":
    main()
